"""Every command that is printed for users runs, page by page, on small pictures."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from examples import save_picture, stored_picture
from pages import OF_USERS, ROOT, blocks, commands_of, name_of
from ray_in_process import RayInProcess

from urst_core.cli import main as cli
from urst_core.cli import presets
from urst_core.cluster import ray as ray_cluster

RUN_ELSEWHERE = {
    "urst demo": "tests/urst_core/weights/test_no_network.py",
    "urst train": "tests/urst_core/cli/test_train.py",
    "urst weights convert": "tests/urst_core/weights/conversion/test_convert.py",
    "urst weights generate": "tests/urst_core/backbones/test_metanet.py",
    "urst weights get": "tests/urst_core/weights/test_store.py",
    "urst weights verify": "tests/urst_core/weights/test_store.py",
}
"""Commands that need published files, a hub or minutes, and the tests that run them."""

WITH_OTHER_WEIGHTS = re.compile(r"--weights (mine|adain|cin|starry)\.safetensors")
"""Made by the commands above them; weights from files are in tests/urst_core/cli/test_main.py."""

SMALLER = {"100x70cm": "10x7mm"}
"""98 megapixels take minutes."""

PICTURES = {
    **dict.fromkeys(("photo.jpg", "photo.tif", "giga.tif", "new.jpg"), 3),
    **dict.fromkeys(("photos/lake.jpg", "photos/2024/hut.tif", "sky.png", "gray.png"), 3),
    **dict.fromkeys(("painting.jpg", "monet.jpg", "hokusai.jpg", "day.jpg", "night.jpg"), 3),
    **dict.fromkeys(("colors.jpg", "strokes.jpg", "paintings/monet.jpg"), 3),
    "paintings/starry_night.jpg": 3,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The pictures that pages name, which is also the user's home."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    for seed, (name, channels) in enumerate(PICTURES.items()):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        save_picture(tmp_path / name, stored_picture((24, 32), seed=seed, channels=channels))
    areas = torch.zeros(3, 24, 32, dtype=torch.uint8)
    areas[0, :, :16] = areas[2, :, 16:] = 255
    save_picture(tmp_path / "map.png", areas)
    return tmp_path


@pytest.fixture
def _cluster(monkeypatch):
    """Workers in this process, whose threads they set."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(ray_cluster, "ray_module", RayInProcess)
    yield
    torch.set_num_threads(threads)


def is_run_here(words):
    line = " ".join(["urst", *words])
    elsewhere = any(line.startswith(command) for command in RUN_ELSEWHERE)
    return not elsewhere and not WITH_OTHER_WEIGHTS.search(line)


def pages_with_commands():
    return [page for page in OF_USERS if any(map(is_run_here, commands_of(page)))]


@pytest.mark.slow
@pytest.mark.usefixtures("_cluster")
@pytest.mark.parametrize("page", pages_with_commands(), ids=name_of)
def test_the_commands_of_a_page_run_one_after_another(page, folder, monkeypatch, capsys):
    monkeypatch.setattr(presets, "presets_path", lambda: folder / "presets.toml")
    monkeypatch.setattr("urst_core.cli.defaults.presets_path", lambda: folder / "presets.toml")
    (folder / "presets.toml").write_text("\n".join(blocks(page, "toml")), encoding="utf-8")
    for words in filter(is_run_here, commands_of(page)):
        arguments = [SMALLER.get(word, word) for word in words]
        if words[0] in ("stylize", "plan", "sheet"):
            arguments += ["--overwrite"]  # pages write to one name again and again
        if ".zarr" in " ".join(words):
            pytest.importorskip("zarr")
        if "clip.mp4" in words:
            pytest.importorskip("av")
            from clips import moving_frames, save_clip  # noqa: PLC0415 - needs it, too

            save_clip(folder / "clip.mp4", moving_frames(2))
        assert cli.main(arguments) == 0, (words, capsys.readouterr().err)
        if "-o" in words and words[0] != "plan":
            output = folder / words[words.index("-o") + 1]
            assert output.exists(), words
            if output.is_dir() and words[0] == "stylize" and "--ray" in words:
                shutil.rmtree(output)


def test_commands_that_are_not_run_here_are_run_elsewhere():
    lines = [" ".join(["urst", *words]) for page in OF_USERS for words in commands_of(page)]
    for command, file in RUN_ELSEWHERE.items():
        assert any(line.startswith(command) for line in lines), command
        words = [f'"{word}"' for word in command.split()[1:]]
        assert re.search(r",\s*".join(words), (ROOT / file).read_text(encoding="utf-8")), command
