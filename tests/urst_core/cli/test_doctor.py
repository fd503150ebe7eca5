"""``urst doctor`` on broken installations, and the scripts of ``urst completion``."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import urst_core
from urst_core.cli import doctor
from urst_core.cli import main as cli
from urst_core.cli.completion import SHELLS
from urst_core.cli.start import main

ROOT = Path(urst_core.__file__).parents[1]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test reaches the real hub."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def report(capsys) -> dict[str, str]:
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    return {line.split()[1]: line for line in printed.out.splitlines()}


def test_a_working_installation(capsys):
    assert cli.main(["doctor"]) == 0
    lines = report(capsys)
    assert lines["urst"].startswith(f"ok       urst            {urst_core.__version__} in ")
    assert "JPEG, PNG, TIFF, WebP" in lines["formats"]
    assert lines["weights"].startswith("ok       weights         microast built in, ")
    assert lines["hub"] == "ok       hub             offline, as HF_HUB_OFFLINE asks"
    assert "GB free" in lines["disk"]


@pytest.mark.parametrize(
    ("module", "line", "code"),
    [
        ("tqdm", 'missing  tqdm            ImportError: gone; pip install "urst[app]"', 0),
        ("pyvips", "missing  libvips         ImportError: gone; pip install ", 0),
        ("safetensors", "FAILED   safetensors     ImportError: gone; pip install safetensors", 1),
    ],
)
def test_a_broken_module(capsys, monkeypatch, module, line, code):
    real = doctor.import_module

    def broken(name):
        if name == module:
            raise ImportError("gone\nand more")
        return real(name)

    monkeypatch.setattr(doctor, "import_module", broken)
    assert doctor.run_doctor() == code
    assert line in capsys.readouterr().out


def test_other_trouble(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "SMALL_DISK_BYTES", 1e18)
    monkeypatch.setattr(doctor, "SMALL_MEMORY_BYTES", 1e18)
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (9, 0))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("urst_core.tiling.device.find_device", lambda: 1 / 0)
    monkeypatch.chdir(tmp_path)
    assert doctor.run_doctor() == 1
    lines = report(capsys)
    assert lines["Python"].endswith("; use 9.0 or newer")
    assert lines["device"].endswith("ZeroDivisionError: division by zero; use --device cpu")
    assert "MemoryError: " in lines["memory"]
    assert f"GB free in {tmp_path}; free some space, or use another folder" in lines["disk"]
    assert "missing  hub             Connect" in lines["hub"]


def test_folders_that_cannot_be_written_to(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "gone"))
    monkeypatch.chdir(tmp_path)
    assert doctor.run_doctor() == 0
    lines = report(capsys)
    remedy = "free some space, or use another folder"
    for label, folder in (("disk", tmp_path), ("temporary", tmp_path / "gone")):
        assert lines[label] == (
            f"missing  {label:15} PermissionError: {folder} is not writable; {remedy}"
        )


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the current folder")
def test_a_current_folder_that_is_gone(capsys, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert doctor.run_doctor() == 0
    assert report(capsys)["disk"].startswith("missing  disk            FileNotFoundError")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[starry\n", "SettingsError: presets {path} are not valid TOML ("),
        (b"\xff", "SettingsError: presets {path} cannot be read ("),
        (None, "SettingsError: presets {path} cannot be read ("),
    ],
)
def test_presets_that_cannot_be_read(capsys, monkeypatch, tmp_path, content, found):
    path = tmp_path / "presets.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setattr("urst_core.cli.presets.presets_path", lambda: path)
    assert doctor.run_doctor() == 0
    line = report(capsys)["presets"]
    assert line.startswith("missing  presets         " + found.format(path=path))
    assert line.endswith("; correct that file, or remove it")


def test_a_gpu_that_torch_does_not_use(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.run_doctor() == 0
    line = report(capsys)["GPU"]
    assert line.startswith("missing  GPU             OSError: an NVIDIA GPU is here, and torch ")
    assert line.endswith("does not use it; choose a build with CUDA on pytorch.org/get-started")


@pytest.mark.parametrize("command", [pytest.param("doctor", marks=pytest.mark.slow), "info"])
def test_without_torch(tmp_path, command):
    """In a process of its own, where importing torch fails."""
    (tmp_path / "torch.py").write_text("raise OSError('libtorch.so: cannot open')")
    done = subprocess.run(
        [sys.executable, "-m", "urst_core", command],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if command == "doctor":
        assert "FAILED   torch           OSError: libtorch.so: cannot open; pip install torch" in (
            done.stdout
        )
        assert "ok       numpy" in done.stdout
    else:
        assert done.stderr == "urst: OSError: libtorch.so: cannot open; run 'urst doctor'\n"


@pytest.mark.parametrize("is_broken", [False, True])
def test_modules_are_left_out_of_garbage_collections(monkeypatch, is_broken):
    frozen = gc.get_freeze_count()
    if is_broken:
        monkeypatch.setitem(sys.modules, "urst_core.cli.main", None)
        assert main(["info"]) == 1
    else:
        with pytest.raises(SystemExit):
            main(["--version"])
        assert gc.get_freeze_count() > frozen
    assert gc.isenabled()


@pytest.mark.parametrize("output", ["gone", "full"])
def test_a_report_that_cannot_be_printed(monkeypatch, output):
    """Also where urst itself does not load."""
    warnings = []
    monkeypatch.setitem(sys.modules, "urst_core.cli.main", None)
    monkeypatch.setattr("urst_core.cli.start.warn", warnings.append)
    monkeypatch.setattr("urst_core.cli.console._abandon", lambda _: None)

    def broken(*_words, **_options):
        raise BrokenPipeError if output == "gone" else OSError("No space left on device")

    monkeypatch.setattr("builtins.print", broken)
    if output == "gone":
        with pytest.raises(SystemExit) as end:
            main(["doctor"])
        assert end.value.code == 141
        return
    assert main(["doctor"]) == 1
    assert warnings == [
        "standard output cannot be written to (No space left on device); send it elsewhere"
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(capsys, shell):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("stylize", "thumbnail", "describe"):
        assert word in script
    program = shutil.which(shell)
    if program is not None and shell in ("bash", "zsh", "fish"):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_completion_without_shtab(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "completion needs shtab, which did not load (" in capsys.readouterr().err
