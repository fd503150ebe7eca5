"""Contact sheets: cells are previews of the results; what cannot be read is left out."""

from __future__ import annotations

import pytest
import torch
from examples import load_picture, save_picture, stored_picture

from urst_core.cli import main as cli
from urst_core.errors import ImageError
from urst_core.formats.find_pictures import find_pictures
from urst_core.formats.open import open_picture
from urst_core.method.run import Run
from urst_core.method.style_saving import make_saved_style
from urst_core.pictures.sheet import LEAST_CAPTION, Cell, draw_table
from urst_core.pictures.source import TensorCanvas, TensorSource, from_unit
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.runs.contact_sheet import ContactSheet
from urst_core.tiling.settings import Settings

SETTINGS = Settings(device="cpu", thumbnail_size=48)


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "lake.png", stored_picture((60, 96), seed=1))
    save_picture(tmp_path / "monet.jpg", stored_picture((40, 40), seed=3))
    (tmp_path / "bad.webp").write_bytes(b"no picture")
    return tmp_path


def found(folder, *names):
    return [picture for name in names for picture in find_pictures(folder / name)]


def test_tables():
    red = torch.zeros(3, 20, 32, dtype=torch.uint8)
    red[0] = 255
    sheet = draw_table([[Cell(), Cell(red, "a caption that is too long for a cell")]], 32)
    gap = LEAST_CAPTION // 3
    assert sheet.shape == (3, 32 + LEAST_CAPTION + gap // 2, 2 * (32 + gap))
    left, right = sheet.chunk(2, dim=2)
    assert bool((left == 255).all())
    place = right[:, gap // 2 + 12 : gap // 2 + 32, gap // 2 : gap // 2 + 32]
    assert torch.equal(place, red)
    caption = right[:, gap // 2 + 33 :]
    assert int(caption.min()) < 128
    assert bool((caption[..., : gap // 2] == 255).all())  # cut to the cell's width


def test_a_cell_is_the_preview_of_the_result(folder, microast):
    edge = 24
    sheet = ContactSheet(microast, SETTINGS, edge).draw(
        found(folder, "lake.png"), found(folder, "monet.jpg")
    )
    style = open_picture(folder / "monet.jpg", flatten=True)
    photo = TensorSource(
        from_unit(make_thumbnail(open_picture(folder / "lake.png"), 48)[0], torch.uint8)
    )
    run = Run.of(photo, microast, SETTINGS)
    canvas = TensorCanvas(photo.size)
    run.stylize(run.network(run.measure([style])), canvas)
    small = from_unit(make_thumbnail(canvas, edge)[0], torch.uint8)
    gap = LEAST_CAPTION // 3
    top = edge + LEAST_CAPTION + gap // 2 + gap // 2 + edge - small.shape[1]
    left = edge + gap + gap // 2
    cell = sheet[:, top : top + small.shape[1], left : left + edge]
    assert torch.equal(cell, small)


def test_matched_colors_and_style_files(folder, microast):
    style = make_saved_style([open_picture(folder / "monet.jpg")], microast)
    style.save(folder / "starry.style.safetensors")
    contents, styles = found(folder, "lake.png"), found(folder, "monet.jpg")
    matched = Settings(device="cpu", thumbnail_size=48, colors="matched")
    plain = ContactSheet(microast, SETTINGS, 24).draw(contents, styles)
    assert not torch.equal(ContactSheet(microast, matched, 24).draw(contents, styles), plain)
    saved = ContactSheet(microast, SETTINGS, 24).draw(
        contents, found(folder, "starry.style.safetensors")
    )
    row = plain.shape[1] // 2
    assert torch.equal(saved[:, row:], plain[:, row:])


def test_what_cannot_be_read_is_left_out(folder, microast):
    errors = []
    sheet = ContactSheet(microast, SETTINGS, 24, report=errors.append)
    whole = sheet.draw(found(folder, "lake.png"), found(folder, "monet.jpg"))
    names = "lake.png", "bad.webp"
    assert torch.equal(
        sheet.draw(found(folder, *names), found(folder, "monet.jpg", "bad.webp")), whole
    )
    assert [str(folder / "bad.webp") in str(error) for error in errors] == [True, True]
    with pytest.raises(ImageError, match="no picture is left for the sheet; name others"):
        sheet.draw(found(folder, "bad.webp"), found(folder, "monet.jpg"))


def test_the_command(folder, capsys):
    (folder / "out").mkdir()
    output = folder / "out" / "sheet.jpg"
    arguments = ["sheet", str(folder), str(folder / "monet.jpg"), "-o", str(output)]
    options = ["--cell-size", "40", "--thumbnail-size", "32", "--device", "cpu"]
    assert cli.main([*arguments, *options]) == 0
    height, width = load_picture(output).shape[1:]
    printed = capsys.readouterr()
    assert printed.out == f"{output}: {width} x {height} px\n"
    assert f"left out: picture {folder / 'bad.webp'} cannot be read" in printed.err
    assert cli.main([*arguments, *options]) == 1
    assert "exists; choose another name, or replace it with --overwrite" in capsys.readouterr().err
    assert cli.main([*arguments, "--overwrite", "--cell-size", "5000"]) == 1
    assert capsys.readouterr().err == "urst: cell size 5000 is out of range; use 32 to 2048\n"
