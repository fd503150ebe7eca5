"""Damaged, suspicious and large pictures on the command line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from examples import picture, save_picture, stored_picture
from PIL import Image

from urst_core.cli.main import main
from urst_core.formats import vips_loader
from urst_core.pictures.source import from_unit

SMALL = ["--device", "cpu", "--thumbnail-size", "64", "--style-size", "64", "--tile-size", "64"]


@pytest.fixture
def style(tmp_path) -> str:
    return str(save_picture(tmp_path / "style.png", stored_picture((64, 64))))


@pytest.fixture
def damaged(tmp_path) -> Path:
    pixels = from_unit(picture((100, 150)), torch.uint8).permute(1, 2, 0).numpy()
    path = tmp_path / "damaged.jpg"
    Image.fromarray(pixels).save(path, progressive=True, quality=90)
    stored, chance = bytearray(path.read_bytes()), random.Random(1)
    for _ in range(8):
        place = chance.randrange(len(stored) // 3, 2 * len(stored) // 3)
        if 0xFF not in stored[place - 1 : place + 1]:
            stored[place] = chance.randrange(255)
    path.write_bytes(stored)
    return path


@pytest.mark.slow
def test_a_damaged_picture_is_warned_of_or_refused(tmp_path, damaged, style, capsys, caplog):
    output = tmp_path / "out.png"
    command = ["stylize", str(damaged), style, "-o", str(output), "--quiet", *SMALL]
    assert main([*command, "--strict"]) == 1
    assert f"urst: picture {damaged} is damaged or truncated (" in capsys.readouterr().err
    assert not output.exists()
    assert main(command) == 0
    assert output.exists()
    assert f"picture {damaged} is damaged (" in caplog.text


def test_a_suspicious_picture_is_confirmed(tmp_path, style, capsys, monkeypatch):
    monkeypatch.setattr(vips_loader, "SUSPICIOUS_BYTES", 100_000)
    bomb = tmp_path / "bomb.png"
    Image.new("1", (4000, 3000)).save(bomb)
    command = ["plan", str(bomb), style, *SMALL]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error.endswith("to fill memory and disk; confirm it with --any-size\n")
    mask = ["--mask", str(bomb)]
    assert main(["plan", style, style, *mask, *SMALL]) == 1
    assert "--any-size" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_counts_the_space_to_unpack(tmp_path, style, capsys, monkeypatch):
    monkeypatch.setattr(vips_loader, "LARGEST_IN_MEMORY", 20_000)
    content = str(save_picture(tmp_path / "content.png", stored_picture((100, 150))))
    monkeypatch.chdir(tmp_path)
    assert main(["plan", content, style, "--json", *SMALL]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["temporary_bytes"] == 45_000
    assert main(["plan", content, style, *SMALL]) == 0
    assert "\ntemporary 0.0 MB for unpacked pictures, of " in capsys.readouterr().out
