"""urst stylize --crop: one region, with the pixels of the whole picture."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from examples import load_picture, save_picture, stored_picture

from urst_core.cli import main as cli
from urst_core.cli.crop import Crop
from urst_core.geometry import Rectangle


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png", stored_picture((72, 104), seed=1))
    save_picture(tmp_path / "monet.png", stored_picture((40, 40), seed=2))
    command = ["stylize", "photo.png", "monet.png", "--device", "cpu", "--strokes", "fine", "-o"]
    return lambda output, *more: cli.main([*command, output, *more])


def test_a_region_has_the_pixels_of_the_whole_picture(run, tmp_path, capsys):
    assert run("whole.png", "--quiet") == 0
    assert run("part.png", "--crop", "50,20,40x30") == 0
    assert "part.png: 40 x 30 px at 50,20" in capsys.readouterr().out
    whole, part = (load_picture(tmp_path / f"{name}.png") for name in ("whole", "part"))
    assert torch.equal(part, whole[:, 20:50, 50:90])


def test_a_region_without_a_corner_is_in_the_middle():
    assert Crop(40, 30).region((72, 104)) == Rectangle(21, 32, 51, 72)
    assert Crop(400, 30).region((72, 104)) == Rectangle(21, 0, 51, 104)
    assert str(Crop(40, 30)) == "40x30"
    assert str(Crop(40, 30, 5, 6)) == "5,6,40x30"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--crop", "90,20,40x30"], "40 x 30 px at 90,20 is not inside the picture of 104 x 72"),
        (["--crop", "0x9"], "crop '0x9' is not [X,Y,]WIDTHxHEIGHT"),
        (["--crop", "9x9", "--mask", "monet.png"], "tries one region of a picture in one style"),
    ],
)
def test_what_cannot_be_tried_is_refused(run, tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) if "0x9" in more else nullcontext():
        assert run("part.png", *more) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "part.png").exists()
