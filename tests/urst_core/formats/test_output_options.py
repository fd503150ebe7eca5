"""Options of results: accepted, refused, and their disk space."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import pytest
import torch
from examples import stored_picture
from PIL import Image

from urst_core.errors import OutputError
from urst_core.formats.deep_zoom import publish_tiles
from urst_core.formats.disk_needs import disk_needs
from urst_core.formats.open import ImageFileCanvas, check_output, copy_picture
from urst_core.formats.output_options import OutputOptions, add_output_arguments, output_options
from urst_core.formats.registry import FORMATS
from urst_core.pictures.source import TensorSource

SOURCE = TensorSource(stored_picture((90, 120)))
ALL = {
    "quality": 80,
    "compression": "lzw",
    "pyramid": True,
    "stored_tile_size": 128,
    "tile_format": "png",
}


def parsed(*arguments: str) -> OutputOptions:
    parser = argparse.ArgumentParser()
    add_output_arguments(parser)
    return output_options(parser.parse_args(arguments))


def test_arguments():
    assert parsed() == OutputOptions()
    everything = "--quality 80 --compression lzw --pyramid --stored-tile-size 128 --tile-format png"
    assert parsed(*everything.split()) == OutputOptions(**ALL)
    assert OutputOptions(**ALL).chosen == tuple(ALL)
    with pytest.raises(OutputError, match="quality 0 is out of range; use 1 to 100"):
        parsed("--quality", "0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 101}, "quality 101 is out of range; use 1 to 100"),
        (
            {"compression": "rar"},
            "compression 'rar' is unknown; use deflate or zstd or lzw or none",
        ),
        ({"tile_format": "gif"}, "tile format 'gif' is unknown; use jpeg or png"),
        *(
            (
                {"stored_tile_size": edge},
                f"stored tile size {edge} cannot be used; use a multiple of 16 from 64 to 4096",
            )
            for edge in (0, 48, 100, 4112, -64)
        ),
    ],
)
def test_options_that_no_format_takes(options, message):
    with pytest.raises(OutputError) as caught:
        OutputOptions(**options).check()
    assert str(caught.value) == message


TAKEN = {
    ".jpg": {"quality"},
    ".png": set(),
    ".tif": {"compression", "pyramid", "stored_tile_size"},
    ".webp": {"quality"},
    ".avif": {"quality"},
    ".dzi": {"quality", "stored_tile_size", "tile_format"},
    ".npy": set(),
}
REFUSALS = {
    "quality": (
        "quality",
        "JPEG (.jpg), WebP (.webp), AVIF (.avif), HEIC (.heic), JPEG XL (.jxl), DeepZoom (.dzi)",
    ),
    "compression": ("compression", "TIFF (.tif)"),
    "pyramid": ("a pyramid", "TIFF (.tif)"),
    "stored_tile_size": ("a stored tile size", "TIFF (.tif), DeepZoom (.dzi)"),
    "tile_format": ("a tile format", "DeepZoom (.dzi)"),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ending", TAKEN)
def test_each_option_in_each_format(tmp_path, ending, name):
    path = tmp_path / f"result{ending}"
    options = OutputOptions(**{name: ALL[name]})
    if name in TAKEN[ending]:
        with ImageFileCanvas(path, SOURCE, options) as canvas:
            copy_picture(SOURCE, canvas)
        assert path.exists()
        return
    with pytest.raises(OutputError) as caught:
        check_output(path, SOURCE, options)
    format_name = next(format_.name for format_ in FORMATS if ending in format_.endings)
    label, others = REFUSALS[name]
    assert str(caught.value) == (
        f"{path}: {format_name} takes no choice of {label}; leave it out, or use {others}"
    )


@pytest.mark.parametrize("ending", [".png", ".dzi", ".jpg"])
def test_floating_pictures(tmp_path, ending):
    path = tmp_path / f"result{ending}"
    with pytest.raises(OutputError) as caught:
        check_output(path, TensorSource(torch.zeros(3, 8, 8)))
    name = next(format_.name for format_ in FORMATS if ending in format_.endings)
    assert str(caught.value) == (
        f"{path}: {name} holds 8 or 16 bits a channel, the picture torch.float32; use .npy"
    )


# DeepZoom


def deep_zoom(path: Path, source=SOURCE, *, overwrite=False, **options) -> set[str]:
    """Writes one; returns the endings of its tiles."""
    with ImageFileCanvas(path, source, OutputOptions(**options), overwrite=overwrite) as canvas:
        copy_picture(source, canvas)
    folder = path.with_name(f"{path.stem}_files")
    return {tile.suffix for tile in folder.rglob("*") if tile.is_file()}


def test_deep_zoom_tiles_show_the_picture(tmp_path):
    source = TensorSource(stored_picture((300, 420)))
    assert deep_zoom(tmp_path / "a.dzi", source, stored_tile_size=128, tile_format="png") == {
        ".png"
    }
    assert 'Format="png"' in (tmp_path / "a.dzi").read_text()
    assert 'TileSize="128"' in (tmp_path / "a.dzi").read_text()
    level = tmp_path / "a_files" / "9"  # 2 ** 9 px hold 420
    assert sorted(os.listdir(level)) == [f"{x}_{y}.png" for x in range(4) for y in range(3)]
    joined = Image.new("RGB", (420, 300))
    for tile in level.iterdir():
        column, row = (int(part) for part in tile.stem.split("_"))
        with Image.open(tile) as image:
            joined.paste(image, (max(0, 128 * column - 1), max(0, 128 * row - 1)))
    expected = Image.fromarray(source.pixels.permute(1, 2, 0).numpy())
    assert joined.tobytes() == expected.tobytes()
    assert sorted(os.listdir(tmp_path)) == ["a.dzi", "a_files"]


@pytest.mark.parametrize(
    ("dtype", "channels", "endings"),
    [
        (torch.uint8, 3, {".jpg"}),
        (torch.uint8, 4, {".png"}),
        (torch.uint16, 3, {".png"}),
    ],
)
def test_deep_zoom_tiles_lose_no_alpha_and_no_bits(tmp_path, dtype, channels, endings):
    source = TensorSource(stored_picture((30, 40), dtype, channels=channels))
    assert deep_zoom(tmp_path / "a.dzi", source) == endings
    if endings == {".png"}:
        with pytest.raises(OutputError) as caught:
            check_output(tmp_path / "b.dzi", source, OutputOptions(tile_format="jpeg"))
        assert str(caught.value) == (
            f"{tmp_path / 'b.dzi'}: tile format jpeg holds 8 bits a channel and no alpha, the "
            "picture has more; use png"
        )


def test_deep_zoom_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.dzi"
    deep_zoom(path, TensorSource(stored_picture((600, 800))))
    with pytest.raises(OutputError, match=r"a\.dzi exists; choose another name, or pass"):
        deep_zoom(path)
    deep_zoom(path, overwrite=True)
    assert sorted(int(level.name) for level in (tmp_path / "a_files").iterdir()) == list(range(8))
    assert 'Width="120"' in path.read_text()
    assert sorted(os.listdir(tmp_path)) == ["a.dzi", "a_files"]


@pytest.mark.parametrize("kind", ["page of a browser", "no dzi", "file", "link"])
def test_foreign_folders_are_kept(tmp_path, kind):
    path, folder = tmp_path / "a.dzi", tmp_path / "a_files"
    if kind == "file":
        folder.write_text("precious")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        (folder / ("12" if kind == "no dzi" else "logo.png")).touch()
    if kind != "no dzi":
        path.write_text("dzi")
    with pytest.raises(OutputError) as caught:
        deep_zoom(path, overwrite=True)
    assert str(caught.value) == (
        f"{folder} exists, and {path} does not describe it; move it, or choose another name"
    )
    assert folder.exists()


def test_folder_of_a_link_target_is_checked(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "b_files").mkdir(parents=True)
    (elsewhere / "b_files" / "logo.png").touch()
    link = tmp_path / "a.dzi"
    link.symlink_to(elsewhere / "b.dzi")
    with pytest.raises(OutputError, match=r"b_files exists, and .*b\.dzi does not describe it"):
        deep_zoom(link, overwrite=True)
    assert os.listdir(elsewhere / "b_files") == ["logo.png"]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_rename_that_fails_leaves_the_old_result(tmp_path, monkeypatch, fails_at):
    path, partial = tmp_path / "a.dzi", tmp_path / "partial"
    for place, name, text in ((tmp_path, "a", "old"), (partial, "picture", "new")):
        (place / f"{name}_files").mkdir(parents=True)
        (place / f"{name}_files" / text).touch()
        (place / f"{name}.dzi").write_text(text)
    replace, calls = Path.replace, []

    def sometimes(self, target):
        calls.append(self)
        if len(calls) == fails_at:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", sometimes)
    with pytest.raises(OSError, match="Input/output"):
        publish_tiles(partial, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path / "a_files") == ["old"]


# The disk


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "options"),
    [
        (".tif", {}),
        (".tif", {"compression": "lzw"}),
        (".tif", {"compression": "none", "pyramid": True}),
        (".png", {}),
        (".jpg", {"quality": 100}),
        (".webp", {"quality": 100}),
        (".npy", {}),
        (".dzi", {"tile_format": "png"}),
    ],
)
@pytest.mark.parametrize("size", [(700, 900), (1, 3000)])
def test_noise_takes_no_more_than_forecast(tmp_path, ending, options, size):
    source = TensorSource(torch.randint(0, 256, (3, *size), dtype=torch.uint8))
    path = tmp_path / f"result{ending}"
    needs = disk_needs(path, source, OutputOptions(**options))
    with ImageFileCanvas(path, source, OutputOptions(**options)) as canvas:
        copy_picture(source, canvas)
        assert canvas._work.path.stat().st_size <= needs.work_file
    taken = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert taken <= needs.result
    # And not absurdly much: headers have a megabyte, and tiles are filled up.
    assert size[0] == 1 or needs.result < 2.2 * max(taken, 3 * size[0] * size[1]) + (1 << 21)
    assert needs.total == needs.work_file + needs.result


def test_pyramids_and_lzw_need_more(tmp_path):
    class Large:
        size, channels, dtype = (20_000, 20_000), 3, torch.uint8

    raw = 1.2e9
    shares = [
        disk_needs(tmp_path / "a.tif", Large(), OutputOptions(**options)).result / raw
        for options in ({}, {"pyramid": True}, {"compression": "lzw"})
    ]
    assert shares == pytest.approx([1.04, 1.39, 1.53], abs=0.02)
    assert disk_needs(tmp_path / "a.tif", Large()).work_file == pytest.approx(raw, rel=0.001)


def test_the_disk_of_a_link_counts(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "elsewhere" / "b.png")
    asked = []

    def usage(folder):
        asked.append(folder)
        return type("Usage", (), {"free": 0})()

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(OutputError, match=r"a\.png may take .* are free in .*elsewhere"):
        check_output(link, SOURCE)
    assert asked == [tmp_path / "elsewhere"]
