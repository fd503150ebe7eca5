"""``urst doctor`` on broken installations, and the scripts of ``urst completion``."""

from __future__ import annotations

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
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[1]: line for line in lines}


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
    assert f"GB free in {tmp_path}; free some space" in lines["disk"]
    assert "missing  hub             Connect" in lines["hub"]


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
