"""Capabilities of each format, and refusals before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import tifffile
import torch
from examples import load_picture, stored_picture

from urst_core.errors import OutputError
from urst_core.formats.open import ImageFileCanvas, copy_picture
from urst_core.formats.output_options import OutputOptions
from urst_core.formats.registry import FORMATS, check_format, format_of
from urst_core.pictures.source import TensorSource

PATH = Path("result")


@dataclass
class Shape:
    """A picture of which only the shape matters."""

    size: tuple[int, int] = (100, 120)
    channels: int = 3
    dtype: torch.dtype = torch.uint8


def named(name):
    return next(format_ for format_ in FORMATS if format_.name == name)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("a.jpg", "JPEG"),
        ("a.jpeg", "JPEG"),
        ("a.JPG", "JPEG"),
        ("a.png", "PNG"),
        ("a.b.tif", "TIFF"),
        ("a.TIFF", "TIFF"),
        ("a.webp", "WebP"),
    ],
)
def test_ending_chooses_the_format(file_name, name):
    assert format_of(Path("folder.png") / file_name).name == name


@pytest.mark.parametrize(
    ("file_name", "ending"),
    [
        ("result.gif", ".gif"),
        ("result", ""),
        (".png", ""),
        ("result.png.", None),
        ("a.jp2", ".jp2"),
    ],
)
def test_unknown_ending(file_name, ending):
    path = Path(file_name)
    with pytest.raises(OutputError) as caught:
        format_of(path)
    shown = path.suffix.lower() if ending is None else ending
    assert str(caught.value) == (
        f"{path}: ending {shown!r} names no known format; "
        "use one of: .jpg .jpeg .png .tif .tiff .webp .avif .heic .jxl .exr .dzi .npy .zarr"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "longest"), [("JPEG", 65_500), ("WebP", 16_383)])
@pytest.mark.parametrize("upright", [False, True])
def test_longest_side(tmp_path, name, longest, upright):
    """The longest that passes can be written; one pixel more is refused."""
    format_ = named(name)
    path = tmp_path / f"long{format_.endings[0]}"

    def size(side):
        return (side, 1) if upright else (1, side)

    picture = TensorSource(torch.zeros(3, *size(longest), dtype=torch.uint8))
    with ImageFileCanvas(path, picture) as canvas:
        copy_picture(picture, canvas, band=longest)
    assert load_picture(path).shape == (3, *size(longest))
    with pytest.raises(OutputError) as caught:
        format_.check(path, Shape(size(longest + 1)), OutputOptions())
    assert str(caught.value) == (
        f"{path}: {name} holds at most {longest} px a side, the picture has {longest + 1}; use .tif"
    )


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_formats_without_a_limit_that_matters(name):
    picture = Shape((1, 2_000_000), channels=4, dtype=torch.uint16)
    assert named(name).check(PATH, picture, OutputOptions()) is None


@pytest.mark.parametrize("name", ["JPEG", "WebP"])
def test_16_bits(name):
    with pytest.raises(OutputError) as caught:
        named(name).check(PATH, Shape(dtype=torch.uint16), OutputOptions())
    assert str(caught.value) == (
        f"result: {name} has 8 bits a channel, the picture 16; use .png or .tif"
    )


def test_alpha():
    for name in ("PNG", "TIFF", "WebP"):
        assert named(name).check(PATH, Shape(channels=4), OutputOptions()) is None
    with pytest.raises(OutputError) as caught:
        named("JPEG").check(PATH, Shape(channels=4), OutputOptions())
    assert str(caught.value) == (
        "result: JPEG holds no alpha, the picture has it; use .png, .tif or .webp"
    )


@pytest.mark.parametrize("quality", [-1, 0, 101])
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_quality_out_of_range(name, quality):
    with pytest.raises(OutputError) as caught:
        check_format(
            Path(f"result{named(name).endings[0]}"), Shape(), OutputOptions(quality=quality)
        )
    assert str(caught.value) == f"quality {quality} is out of range; use 1 to 100"


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".avif"])
def test_quality_reaches_the_lossy_formats(tmp_path, ending):
    picture = TensorSource(stored_picture((64, 64)))
    sizes = []
    for quality in (20, None, 100):
        path = tmp_path / f"{quality}{ending}"
        with ImageFileCanvas(path, picture, OutputOptions(quality=quality)) as canvas:
            copy_picture(picture, canvas)
        sizes.append(path.stat().st_size)
    assert sizes == sorted(set(sizes))


def test_tiff_may_exceed_4_gb(tmp_path):
    picture = TensorSource(stored_picture((64, 64)))
    with ImageFileCanvas(tmp_path / "result.tif", picture) as canvas:
        copy_picture(picture, canvas)
    with tifffile.TiffFile(tmp_path / "result.tif") as written:
        assert written.is_bigtiff
