"""``urst style``: files that replace paintings, with the same pixels."""

from __future__ import annotations

import pytest
import torch
from examples import load_picture, save_picture, stored_picture

from urst_core.cli.main import main
from urst_core.networks.saved_style import SavedStyle


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A content and two styles, in the working directory."""
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "content.png", stored_picture((40, 56)))
    save_picture(tmp_path / "style.png", stored_picture((72, 80), seed=3))
    save_picture(tmp_path / "other.png", stored_picture((64, 64), seed=4))
    return tmp_path


def stylize(*styles: str, output: str) -> int:
    return main(["stylize", "content.png", *styles, "-o", output, "--device", "cpu", "--quiet"])


def test_a_saved_style_paints_the_same_pixels(folder, capsys):
    assert main(["style", "save", "style.png", "-o", "a.style.safetensors", "--title", "A"]) == 0
    size = (folder / "a.style.safetensors").stat().st_size
    assert capsys.readouterr().out == f"a.style.safetensors: A, {size / 1000:.0f} KB\n"
    assert stylize("style.png", output="from_picture.png") == 0
    assert stylize("a.style.safetensors", output="from_file.png") == 0
    first, second = (load_picture(folder / f"from_{kind}.png") for kind in ("picture", "file"))
    assert float(first.float().std()) > 10
    assert torch.equal(first, second)


def test_mixtures_of_files_and_pictures(folder):
    save = ["style", "save", "--quiet", "--overwrite"]
    assert main([*save, "style.png", "-o", "a.safetensors"]) == 0
    mixture = ["a.safetensors", "other.png", "--style-weights", "1", "2"]
    assert main([*save, *mixture, "-o", "mixed.safetensors"]) == 0
    assert SavedStyle.load(folder / "mixed.safetensors").title == "a.safetensors, other.png"
    assert stylize("mixed.safetensors", output="one.png") == 0
    assert stylize("a.safetensors", "other.png", "--style-weights", "1", "2", output="two.png") == 0
    assert torch.equal(load_picture(folder / "one.png"), load_picture(folder / "two.png"))


@pytest.mark.usefixtures("folder")
def test_show(microast, capsys):
    assert main(["style", "save", "style.png", "-o", "a.safetensors", "--quiet"]) == 0
    assert main(["style", "show", "a.safetensors"]) == 0
    assert capsys.readouterr().out == (
        "a.safetensors: style.png\n"
        f"  microast, weights {microast.fingerprint[:12]}, preview of 80 x 72 px\n"
    )


@pytest.mark.usefixtures("folder")
def test_plan_takes_style_files(capsys):
    assert main(["style", "save", "style.png", "-o", "a.safetensors", "--quiet"]) == 0
    assert main(["plan", "content.png", "a.safetensors", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("picture   56 x 40 px")


@pytest.mark.usefixtures("folder")
def test_refused(capsys):
    assert main(["style", "save", "style.png", "-o", "a.style"]) == 1
    assert capsys.readouterr().err == (
        "urst: style a.style needs the ending .safetensors; use a.style.safetensors\n"
    )
    assert main(["style", "save", "style.png", "-o", "a.safetensors", "--quiet"]) == 0
    assert main(["style", "save", "style.png", "-o", "a.safetensors"]) == 1
    assert capsys.readouterr().err == (
        "urst: a.safetensors exists; choose another name, or replace it with --overwrite\n"
    )
    assert main(["style", "save", "-o", "b.safetensors"]) == 1
    assert capsys.readouterr().err == "urst: MicroAST needs a style; give a picture\n"
    assert stylize("b.safetensors", output="out.png") == 1
    assert capsys.readouterr().err == (
        "urst: style file b.safetensors does not exist; check the path\n"
    )
