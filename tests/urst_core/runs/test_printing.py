"""Prints: sizes in pixels, cropping and fitting, resolution, masks, plan."""

from __future__ import annotations

import re

import pytest
import torch
from examples import load_picture, save_picture, stored_picture
from PIL import Image

from urst_core.cli import main as cli
from urst_core.errors import SettingsError
from urst_core.geometry import Rectangle
from urst_core.pictures.resized import Resized
from urst_core.pictures.source import TensorSource
from urst_core.runs.description import read_description
from urst_core.runs.printing import PaperSize, Printing


@pytest.mark.parametrize(
    ("text", "dpi", "size"),
    [
        ("100x70cm", 300, (8268, 11811)),
        ("700 x 1000 MM", 300, (11811, 8268)),
        ("24x36in", 150, (5400, 3600)),
        ("2.54x5.08cm", 10, (20, 10)),
        ("1x1mm", 1, (1, 1)),
    ],
)
def test_sizes_in_pixels(text, dpi, size):
    assert PaperSize.parse(text).pixels(dpi) == size
    assert PaperSize.parse(str(PaperSize.parse(text))) == PaperSize.parse(text)


@pytest.mark.parametrize("text", ["100x70", "cm", "0x7cm", "100x70px", "-1x2cm", "1e3x2cm"])
def test_sizes_that_are_none(text):
    with pytest.raises(SettingsError) as caught:
        PaperSize.parse(text)
    assert str(caught.value) == (
        f"print size {text!r} is not WIDTHxHEIGHT with a unit; use mm, cm or in: 100x70cm"
    )


@pytest.mark.parametrize(
    ("printing", "message"),
    [
        (Printing(dpi=0.5), "dpi 0.5 is out of range; use 1 to 10000"),
        (Printing(fit="stretch"), "fit 'stretch' is unknown; use cover or contain"),
        (Printing(fit="contain"), "fit contain needs a size of the print; give print_size"),
    ],
)
def test_out_of_range(printing, message):
    with pytest.raises(SettingsError) as caught:
        printing.check()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("size", "part"),
    [
        ((40, 100), Rectangle(0, 20, 40, 80)),
        ((100, 60), Rectangle(30, 0, 70, 60)),
        ((20, 30), Rectangle(0, 0, 20, 30)),
    ],
)
def test_cover_crops_the_sides(size, part):
    photo = TensorSource(torch.zeros(3, *size))
    resized = Printing(PaperSize(30, 20, "cm"), 254).resize(photo)
    assert isinstance(resized, Resized)
    assert (resized.part, resized.size) == (part, (2000, 3000))


@pytest.mark.parametrize(
    ("size", "fitting"),
    [((40, 100), (1200, 3000)), ((100, 50), (2000, 1000)), ((2, 3), (2000, 3000))],
)
def test_contain_keeps_the_whole(size, fitting):
    photo = TensorSource(torch.zeros(3, *size))
    resized = Printing(PaperSize(30, 20, "cm"), 254, "contain").resize(photo)
    assert isinstance(resized, Resized)
    assert (resized.part, resized.size) == (Rectangle.of_size(size), fitting)


# The command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png", stored_picture((40, 60), seed=1))
    save_picture(tmp_path / "monet.jpg", stored_picture((24, 24), seed=3))
    return tmp_path


def run(*arguments, output="out.jpg", command="stylize") -> int:
    options = ["-o", output, "--device", "cpu", "--thumbnail-size", "32"]
    quiet = ["--quiet"] if command == "stylize" else []
    return cli.main([command, "photo.png", "monet.jpg", *options, *quiet, *map(str, arguments)])


def dpi_of(path):
    with Image.open(path) as image:
        return tuple(round(each, 1) for each in image.info["dpi"])


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
def test_a_print_has_its_size_and_resolution(folder, ending):
    assert run("--print-size", "20x10mm", "--dpi", 200, output=f"out{ending}") == 0
    assert load_picture(folder / f"out{ending}").shape == (3, 79, 157)
    assert dpi_of(folder / f"out{ending}") == (200, 200)


def test_dpi_alone_changes_no_pixel(folder):
    assert run(output="plain.png") == run("--dpi", 300, output="out.png") == 0
    assert dpi_of(folder / "out.png") == (300, 300)
    plain, tagged = load_picture(folder / "plain.png"), load_picture(folder / "out.png")
    assert torch.equal(plain, tagged)


@pytest.mark.slow
def test_tile_size_does_not_show(folder):
    options = ["--print-size", "10x8mm", "--precision", "fp32"]
    assert run(*options, "--tile-size", 64, output="a.png") == 0
    assert run(*options, "--tile-size", 1024, output="b.png") == 0
    first, second = load_picture(folder / "a.png"), load_picture(folder / "b.png")
    # Sums in another order may round a value between two levels to the other one.
    assert int((first.int() - second.int()).abs().max()) <= 1


def test_masks_are_resized_too(folder):
    mask = torch.zeros(1, 40, 60, dtype=torch.uint8)
    mask[:, :, 30:] = 255
    save_picture(folder / "mask.png", mask)
    options = ["--print-size", "60x40mm", "--dpi", 50.8]
    assert run(*options, "--mask", "mask.png", "--strokes", "fine", output="out.png") == 0
    out = load_picture(folder / "out.png")
    photo = Resized(
        TensorSource(load_picture(folder / "photo.png")), Rectangle(0, 0, 40, 60), (80, 120)
    )
    unchanged = Rectangle(0, 0, 80, 50)
    assert torch.equal(out[(..., *unchanged.slices)], photo.read(unchanged))


def test_like_repeats_a_print(folder):
    assert run("--print-size", "10x10mm", "--fit", "contain") == 0
    assert read_description(folder / "out.jpg").printing == {
        "print_size": "10x10mm",
        "dpi": 300.0,
        "fit": "contain",
    }
    assert run("--like", "out.jpg", output="again.jpg") == 0
    assert (folder / "again.jpg").read_bytes() == (folder / "out.jpg").read_bytes()


@pytest.mark.usefixtures("folder")
def test_plan(capsys):
    assert run("--print-size", "20x20mm", "--dpi", 127, command="plan") == 0
    printed = capsys.readouterr().out
    assert "picture   100 x 100 px, " in printed
    assert re.search(
        r"print     20x20mm at 127 dpi, cover: 2\.50 times the photograph's size, 33% of it crop",
        printed,
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--dpi", 0], 1, "urst: dpi 0 is out of range; use 1 to 10000\n"),
        (
            ["--fit", "contain"],
            1,
            "urst: fit contain needs a size of the print; give --print-size\n",
        ),
        (
            ["--dpi", 3, "--ray", "local"],
            1,
            "urst: --dpi 3.0 does not work on clusters; leave out --dpi or --ray\n",
        ),
    ],
)
def test_refused(capsys, options, code, message):
    assert run(*options) == code
    assert capsys.readouterr().err.startswith(message)


def test_a_size_without_a_unit(capsys):
    with pytest.raises(SystemExit):
        run("--print-size", "100x70")
    assert "print size '100x70' is not WIDTHxHEIGHT with a unit" in capsys.readouterr().err
