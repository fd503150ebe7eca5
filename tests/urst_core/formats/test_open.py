"""Picture files: reading, writing, refusals, and leftover files."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from examples import load_picture, save_picture, stored_picture
from PIL import Image, ImageCms, ImageOps

from urst_core.errors import ImageError, OutputError, ShapeError
from urst_core.formats import open as files
from urst_core.formats.open import (
    ImageFile,
    ImageFileCanvas,
    check_output,
    copy_picture,
    open_picture,
)
from urst_core.formats.output_options import OutputOptions
from urst_core.geometry import Rectangle
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.pictures.source import TensorSource, to_unit
from urst_core.tiling.settings import Settings

SIZE = (90, 118)
SETTINGS = Settings(strokes="fine", thumbnail_size=64, style_size=64, tile_size=32, device="cpu")
SIZES = [(1, 1), (1, 37), (37, 1), (2, 3), (61, 43), (3, 2051), (1500, 2)]
Usage = namedtuple("Usage", "total used free")


def whole(source) -> torch.Tensor:
    return source.read(Rectangle.of_size(source.size))


def pillow_pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def stylize_file(backbone, content: Path, output: Path, style: Path | None = None, **options):
    source = ImageFile(content)
    styles = (
        [open_picture(style, flatten=True)]
        if style is not None
        else [TensorSource(stored_picture((64, 72), seed=3))]
    )
    with ImageFileCanvas(output, source) as canvas:
        stylize(source, styles, canvas, backbone, SETTINGS, **options)


# Reading


def test_missing_file(tmp_path):
    with pytest.raises(ImageError) as caught:
        ImageFile(tmp_path / "absent.jpg")
    assert str(caught.value) == (
        f"picture {tmp_path / 'absent.jpg'} does not exist; check the path"
    )


def test_empty_file(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(ImageError) as caught:
        ImageFile(path)
    assert str(caught.value) == f"picture {path} is empty (0 bytes); get it again"


@pytest.mark.parametrize("name", ["text.jpg", "text.png", "text.tif", "text"])
def test_file_that_is_not_a_picture(tmp_path, name):
    path = tmp_path / name
    path.write_text("a letter, not a picture\n" * 40)
    with pytest.raises(ImageError) as caught:
        ImageFile(path)
    message = str(caught.value)
    assert message.startswith(f"picture {path} cannot be read (")
    assert "not a known file format" in message
    assert message.endswith("); use a complete JPEG, PNG, TIFF, WebP or AVIF file")


def test_without_libvips(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "content.png", stored_picture(SIZE))
    source = open_picture(path)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.startswith("image files need libvips, which did not load (")
    assert message.endswith('); pip install "pyvips[binary]"')
    # Results need it, too, and say so before any work; arrays do not.
    with pytest.raises(ImageError, match="image files need libvips"):
        check_output(tmp_path / "result.png", source)
    check_output(tmp_path / "result.npy", source)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_truncated_file(tmp_path, ending, share):
    path = tmp_path / f"content{ending}"
    # Pillow writes a TIFF's directory first: such a file opens whole, and lacks its end.
    Image.fromarray(stored_picture((200, 300)).permute(1, 2, 0).numpy()).save(path)
    encoded = path.read_bytes()
    path.write_bytes(encoded[: int(len(encoded) * share)])
    with pytest.raises(ImageError) as caught:
        whole(ImageFile(path))
    message = str(caught.value)
    assert message.startswith(
        (f"picture {path} cannot be read (", f"picture {path} is damaged or truncated (")
    )
    assert message.endswith(
        ("; use a complete JPEG, PNG, TIFF, WebP or AVIF file", "); get it again"),
    )


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_truncation_that_shows_while_reading(tmp_path, ending):
    path = save_picture(tmp_path / f"content{ending}", stored_picture((200, 300)))
    encoded = path.read_bytes()
    path.write_bytes(encoded[: len(encoded) * 3 // 4])
    source = ImageFile(path)
    assert source.size == (200, 300)
    with pytest.raises(ImageError) as caught:
        whole(source)
    message = str(caught.value)
    assert message.startswith(f"picture {path} is damaged or truncated (")
    assert message.endswith("); get it again")


@pytest.mark.slow
def test_damage_that_shows_in_the_middle_of_a_run(tmp_path, microast):
    """The upper tiles are stylized before the damaged ones are read; nothing stays behind."""
    pixels = stored_picture((256, 192))
    path = tmp_path / "content.tif"
    save_picture(
        path, pixels, tile=True, tile_width=32, tile_height=32, compression="deflate", Q=90
    )
    encoded = bytearray(path.read_bytes())
    start = len(encoded) * 8 // 10
    encoded[start : start + 2000] = bytes(2000)
    path.write_bytes(encoded)
    style = TensorSource(stored_picture((64, 72), seed=3))
    stats = Run.of(TensorSource(pixels), microast, SETTINGS).measure([style])
    source, done = ImageFile(path), []
    canvas = ImageFileCanvas(tmp_path / "result.png", source)
    run = Run.of(source, microast, SETTINGS, listener=done.append)
    network = run.network(stats)
    with pytest.raises(ImageError, match="is damaged or truncated"), canvas:
        run.stylize(network, canvas)
    assert done[-1].tiles_done >= 6
    assert os.listdir(tmp_path) == ["content.tif"]


def test_a_replaced_file_is_read_again(tmp_path):
    path = save_picture(tmp_path / "content.png", stored_picture((20, 30)))
    assert torch.equal(whole(ImageFile(path)), stored_picture((20, 30)))
    save_picture(path, stored_picture((14, 22), seed=1))
    assert torch.equal(whole(ImageFile(path)), stored_picture((14, 22), seed=1))


def test_a_name_that_libvips_might_take_for_options(tmp_path):
    path = tmp_path / "a[1].png"
    with ImageFileCanvas(path, TensorSource(stored_picture((5, 6)))) as canvas:
        copy_picture(TensorSource(stored_picture((5, 6))), canvas)
    assert torch.equal(whole(ImageFile(path)), stored_picture((5, 6)))


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "RGB"),
        ("LA", "RGBA"),
        ("P", "RGB"),
        ("1", "RGB"),
    ],
)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_every_kind_of_picture_becomes_rgb_or_rgba(tmp_path, mode, becomes, ending):
    image = Image.fromarray(stored_picture(SIZE).permute(1, 2, 0).numpy())
    if mode.endswith("A"):
        alpha = stored_picture(SIZE, seed=5, channels=1)[0].numpy()
        image.putalpha(Image.fromarray(alpha))
    image = image.convert(mode)
    path = tmp_path / f"content{ending}"
    image.save(path)
    source = ImageFile(path)
    assert source.size == SIZE
    assert source.dtype == torch.uint8
    assert source.channels == len(becomes)
    assert torch.equal(whole(source), pillow_pixels(image.convert(becomes)))


def test_transparent_palette(tmp_path):
    image = Image.fromarray(stored_picture(SIZE).permute(1, 2, 0).numpy()).convert("P")
    path = tmp_path / "content.png"
    image.save(path, transparency=3)
    source = ImageFile(path)
    assert source.channels == 4
    with Image.open(path) as stored:
        assert torch.equal(whole(source), pillow_pixels(stored.convert("RGBA")))


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_kept(tmp_path, ending, channels):
    pixels = stored_picture(SIZE, torch.uint16, channels=channels)
    source = ImageFile(save_picture(tmp_path / f"content{ending}", pixels))
    assert source.dtype == torch.uint16
    assert source.channels == (4 if channels in (2, 4) else 3)
    gray = channels <= 2
    colors = pixels[:1].repeat(3, 1, 1) if gray else pixels[:3]
    stored = whole(source)
    assert torch.equal(stored[:3], colors)
    if source.channels == 4:
        assert torch.equal(stored[3], pixels[-1])


def test_cmyk_jpeg(tmp_path):
    """White paper stays white, and each ink takes away its own color."""
    inks = Image.new("CMYK", (64, 16), (0, 0, 0, 0))
    for index in range(3):
        ink = [0, 0, 0, 0]
        ink[index] = 255
        inks.paste(tuple(ink), (16 * (index + 1), 0, 16 * (index + 2), 16))
    path = tmp_path / "content.jpg"
    inks.save(path, quality=95)
    source = ImageFile(path)
    assert (source.channels, source.dtype, source.profile) == (3, torch.uint8, None)
    white, *patches = (whole(source)[:, 8, 16 * i + 8].int().tolist() for i in range(4))
    assert min(white) > 245
    for index, patch in enumerate(patches):
        assert patch.index(min(patch)) == index
        assert patch[index] < 100 + 140 * (index == 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path, orientation):
    image = Image.fromarray(stored_picture((24, 37)).permute(1, 2, 0).numpy())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "content.jpg"
    image.save(path, exif=exif, quality=98, subsampling=0)
    with Image.open(path) as stored:
        upright = pillow_pixels(ImageOps.exif_transpose(stored))
    source = ImageFile(path)
    assert source.size == tuple(upright.shape[1:])
    assert int((whole(source).int() - upright.int()).abs().max()) <= 3
    corner = Rectangle(3, 2, 11, 19)
    assert torch.equal(source.read(corner), whole(source)[:, 3:11, 2:19])
    result = tmp_path / "result.jpg"
    with ImageFileCanvas(result, source) as canvas:
        copy_picture(source, canvas)
    with Image.open(result) as written:
        assert written.getexif().get(0x0112, 1) == 1
        assert (written.height, written.width) == source.size


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_profile_and_resolution_are_carried_over(tmp_path, microast, ending):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = tmp_path / "content.png"
    image = Image.fromarray(stored_picture(SIZE).permute(1, 2, 0).numpy())
    image.save(content, icc_profile=profile, dpi=(300, 150))
    result = tmp_path / f"result{ending}"
    stylize_file(microast, content, result)
    with Image.open(result) as written:
        assert written.info["icc_profile"] == profile
    if ending != ".webp":  # which has no place for a resolution
        image = pyvips.Image.new_from_file(str(result))
        assert (image.xres * 25.4, image.yres * 25.4) == pytest.approx((300, 150), rel=0.01)


def test_content_keeps_the_colors_of_its_profile_and_a_style_is_brought_to_srgb(tmp_path):
    pixels = stored_picture((40, 40))
    rows = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    image = pyvips.Image.new_from_array(rows, interpretation="srgb")
    path = tmp_path / "wide.png"
    image.icc_transform("p3", input_profile="srgb").write_to_file(str(path))
    content, style = ImageFile(path), ImageFile(path, to_srgb=True)
    assert content.profile is not None
    assert torch.equal(whole(content), load_picture(path))
    assert int((whole(content).int() - pixels.int()).abs().max()) > 8
    assert style.profile is None
    assert float((whole(style).int() - pixels.int()).abs().float().mean()) < 1.5


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_colors_come_in_srgb_where_they_are_asked_for_so(tmp_path, dtype, channels):
    pixels = stored_picture((40, 40), dtype, channels=channels)
    path = save_picture(tmp_path / "plain.png", pixels)
    assert torch.equal(whole(ImageFile(path, to_srgb=True)), pixels)
    wide = tmp_path / "wide.png"
    image = pyvips.Image.new_from_file(str(path))
    depth = 8 * dtype.itemsize
    image.icc_transform("p3", input_profile="srgb", depth=depth).write_to_file(str(wide))
    source = ImageFile(wide, to_srgb=True)
    assert (source.channels, source.dtype, source.profile) == (channels, dtype, None)
    colors, expected = (to_unit(p) for p in (whole(source), pixels))
    assert float((to_unit(load_picture(wide)) - expected)[:3].abs().max()) > 0.03
    assert float((colors - expected)[:3].abs().mean()) < 0.005
    assert torch.equal(colors[3:], expected[3:])


def test_gray_with_a_profile_of_colors(tmp_path):
    """Common, though a contradiction: the values stay."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "content.png"
    values = stored_picture((20, 30), channels=1)[0]
    Image.fromarray(values.numpy()).save(path, icc_profile=profile)
    colors = whole(ImageFile(path))
    assert int((colors.int() - values.int()).abs().max()) <= 1


@pytest.mark.parametrize("format_", ["short", "uint"])
def test_values_that_are_neither_8_nor_16_bits(tmp_path, format_):
    path = tmp_path / "content.tif"
    pyvips.Image.black(8, 8, bands=3).cast(format_).write_to_file(str(path))
    with pytest.raises(ImageError) as caught:
        ImageFile(path)
    assert str(caught.value) == (
        f"picture {path} stores {format_} values; convert it to 8 or 16 bits a channel"
    )


@pytest.mark.parametrize("bands", [5, 6, 12])
def test_too_many_channels(tmp_path, bands):
    path = tmp_path / "satellite.tif"
    pyvips.Image.black(8, 8, bands=bands).write_to_file(str(path))
    with pytest.raises(ImageError) as caught:
        ImageFile(path)
    assert str(caught.value) == (
        f"picture {path} has {bands} channels; use gray, RGB or CMYK, with or without alpha"
    )


# Styles


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_style_is_laid_on_white(tmp_path, dtype):
    full_scale = torch.iinfo(dtype).max
    pixels = stored_picture((3, 9), dtype, channels=4).int()
    pixels[3, 0], pixels[3, 1], pixels[3, 2] = 0, full_scale, full_scale // 2
    source = open_picture(save_picture(tmp_path / "style.png", pixels.to(dtype)), flatten=True)
    assert (source.channels, source.dtype) == (3, dtype)
    clear, opaque, half = whole(source).int().unbind(1)
    assert bool((clear == full_scale).all())
    assert torch.equal(opaque, pixels[:3, 1])
    middle = (pixels[:3, 2] + full_scale) / 2
    assert float((half - middle).abs().max()) <= full_scale / 255


@pytest.mark.parametrize("size", [(1, 1), (4, 4)])
def test_tiny_style(tmp_path, microast, size):
    content = save_picture(tmp_path / "content.png", stored_picture(SIZE))
    style = save_picture(tmp_path / "style.png", stored_picture(size))
    with pytest.raises(ShapeError) as caught:
        stylize_file(microast, content, tmp_path / "result.png", style)
    assert str(caught.value) == (
        f"style of {size[0]} x {size[1]} px is too small for MicroAST; "
        "use a picture of at least 8 x 8 px"
    )
    assert not (tmp_path / "result.png").exists()


@pytest.mark.slow
def test_gray_style_equals_the_same_style_in_rgb(tmp_path, microast):
    content = save_picture(tmp_path / "content.png", stored_picture(SIZE))
    gray = stored_picture((64, 72), channels=1)
    results = []
    for name, pixels in (("gray", gray), ("rgb", gray.repeat(3, 1, 1))):
        style = save_picture(tmp_path / f"{name}.png", pixels)
        results.append(tmp_path / f"{name}-result.png")
        stylize_file(microast, content, results[-1], style)
    first, second = (load_picture(path) for path in results)
    assert torch.equal(first, second)
    assert not torch.equal(first, load_picture(content))


# Writing


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("ending", "dtype", "channels"),
    [
        (".png", torch.uint8, 3),
        (".png", torch.uint16, 4),
        (".tif", torch.uint8, 4),
        (".tif", torch.uint16, 3),
        (".tiff", torch.uint8, 3),
    ],
)
def test_file_to_rectangles_to_file_is_bit_exact(tmp_path, size, ending, dtype, channels):
    pixels = stored_picture(size, dtype, channels=channels)
    source = ImageFile(save_picture(tmp_path / f"content{ending}", pixels))
    result = tmp_path / f"result{ending}"
    height, width = size
    with ImageFileCanvas(result, source) as canvas:
        # Rectangles out of order, of two sizes.
        for top in reversed(range(0, height, 640)):
            for left in reversed(range(0, width, 500)):
                rectangle = Rectangle(top, left, min(top + 640, height), min(left + 500, width))
                canvas.write(rectangle, source.read(rectangle))
    assert torch.equal(load_picture(result), pixels)
    assert sorted(os.listdir(tmp_path)) == [f"content{ending}", f"result{ending}"]


@pytest.mark.parametrize("band", [1, 7, 4096])
def test_copy_picture(tmp_path, band):
    source = TensorSource(stored_picture((33, 21)))
    with ImageFileCanvas(tmp_path / "copy.png", source) as canvas:
        copy_picture(source, canvas, band=band)
    assert torch.equal(load_picture(tmp_path / "copy.png"), source.pixels)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bits_go_through_a_run(tmp_path, microast, ending):
    pixels = stored_picture(SIZE, torch.uint16)
    content = save_picture(tmp_path / f"content{ending}", pixels)
    result = tmp_path / f"result{ending}"
    stylize_file(microast, content, result)
    stylized = load_picture(result)
    assert stylized.dtype == torch.uint16
    assert stylized.shape == pixels.shape
    # Finer than 8 bits: few of the values could be spread out from those.
    assert float((stylized.int() % 257 == 0).float().mean()) < 0.05


@pytest.mark.parametrize(
    ("ending", "name"), [(".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WebP")]
)
def test_16_bits_into_8(tmp_path, ending, name):
    content = save_picture(tmp_path / "content.png", stored_picture(SIZE, torch.uint16))
    result = tmp_path / f"result{ending}"
    with pytest.raises(OutputError) as caught:
        ImageFileCanvas(result, ImageFile(content))
    assert str(caught.value) == (
        f"{result}: {name} has 8 bits a channel, the picture 16; use .png or .tif"
    )
    assert os.listdir(tmp_path) == ["content.png"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "dtype"),
    [(".png", torch.uint8), (".webp", torch.uint8), (".tif", torch.uint16), (".png", torch.uint16)],
)
def test_alpha_goes_through_a_run_bit_exact(tmp_path, microast, ending, dtype):
    pixels = stored_picture(SIZE, dtype, channels=4)
    content = save_picture(tmp_path / "content.png", pixels)
    result = tmp_path / f"result{ending}"
    stylize_file(microast, content, result)
    stylized = load_picture(result)
    assert torch.equal(stylized[3], pixels[3])
    assert not torch.equal(stylized[:3], pixels[:3])


def test_alpha_into_jpeg(tmp_path):
    content = save_picture(tmp_path / "content.png", stored_picture(SIZE, channels=4))
    with pytest.raises(OutputError) as caught:
        ImageFileCanvas(tmp_path / "result.jpg", ImageFile(content))
    assert str(caught.value) == (
        f"{tmp_path / 'result.jpg'}: JPEG holds no alpha, the picture has it; "
        "use .png, .tif or .webp"
    )


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_quality_decides_between_size_and_fidelity(tmp_path, ending):
    source = TensorSource(stored_picture(SIZE))
    sizes, errors = [], []
    for quality in (10, 60, 100):
        path = tmp_path / f"{quality}{ending}"
        with ImageFileCanvas(path, source, OutputOptions(quality=quality)) as canvas:
            copy_picture(source, canvas)
        sizes.append(path.stat().st_size)
        errors.append(float((load_picture(path).float() - source.pixels.float()).abs().mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert sizes[0] < sizes[2] / 2


# Refused before any work

SOURCE = TensorSource(stored_picture((16, 24)))


def refusal(path: Path, like=SOURCE, **options) -> str:
    before = sorted(os.listdir(path.parent)) if path.parent.is_dir() else None
    with pytest.raises(OutputError) as caught:
        ImageFileCanvas(path, like, **options)
    assert before == (sorted(os.listdir(path.parent)) if path.parent.is_dir() else None)
    return str(caught.value)


def test_folder_that_is_not_there(tmp_path):
    path = tmp_path / "absent" / "result.png"
    assert refusal(path) == f"folder {path.parent} does not exist; create it first"


def test_folder_that_is_not_writable(tmp_path, monkeypatch):
    # By hand: the superuser may write everywhere.
    monkeypatch.setattr(files.os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    message = refusal(tmp_path / "result.png")
    assert message == f"folder {tmp_path} is not writable; choose another"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere"
)
def test_folder_that_its_mode_protects(tmp_path):
    folder = tmp_path / "protected"
    folder.mkdir(mode=0o555)
    message = refusal(folder / "result.png")
    assert message == f"folder {folder} is not writable; choose another"


def test_file_that_the_system_refuses(tmp_path):
    path = tmp_path / ("n" * 252 + ".png")
    message = refusal(path)
    assert message.startswith(f"{path} cannot be written (")
    assert os.strerror(errno.ENAMETOOLONG) in message
    assert message.endswith("); choose another name")


@pytest.mark.parametrize("name", ["result.bmp", "result", "result.jpg.bak"])
def test_ending_that_names_no_format(tmp_path, name):
    path = tmp_path / name
    assert refusal(path) == (
        f"{path}: ending {path.suffix!r} names no known format; "
        "use one of: .jpg .jpeg .png .tif .tiff .webp .avif .heic .jxl .exr .dzi .npy .zarr"
    )


def test_output_that_exists(tmp_path):
    path = tmp_path / "result.png"
    path.write_bytes(b"precious")
    assert refusal(path) == f"{path} exists; choose another name, or pass overwrite=True"
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("through_a_link", [False, True])
def test_output_that_is_the_content(tmp_path, overwrite, through_a_link):
    content = save_picture(tmp_path / "content.png", SOURCE.pixels)
    output = content
    if through_a_link:
        output = tmp_path / "link.png"
        output.symlink_to(content)
    before = content.read_bytes()
    message = refusal(output, ImageFile(content), overwrite=overwrite)
    assert message == f"output {output} is the content itself; choose another name"
    assert content.read_bytes() == before


def test_output_that_is_a_folder(tmp_path):
    path = tmp_path / "result.png"
    path.mkdir()
    assert refusal(path, overwrite=True) == f"{path} is a folder; name a file in it"


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_quality_out_of_range(tmp_path, quality):
    message = refusal(tmp_path / "result.jpg", options=OutputOptions(quality=quality))
    assert message == f"quality {quality} is out of range; use 1 to 100"


def test_too_little_disk_space(tmp_path, monkeypatch):
    class Large:
        size, channels, dtype = (30_000, 50_000), 3, torch.uint8

    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(1e10, 1e9, 9_090_000_000))
    path = tmp_path / "result.png"
    assert refusal(path, Large()) == (
        f"{path} may take 9.1 GB with its work file, 9.1 GB are free in {tmp_path}; "
        "free some or choose another folder"
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(1e10, 0, 9_095_000_000))
    check_output(path, Large())


# Failures on the way


class FullDisk:
    """A raw file whose disk is full after some rows: an error, or a row that fits in part."""

    def __init__(self, raw, rows: int, *, says_so: bool) -> None:
        self._raw, self._rows, self._says_so = raw, rows, says_so

    def seek(self, position: int) -> int:
        return self._raw.seek(position)

    def write(self, values) -> int:
        self._rows -= 1
        if self._rows >= 0:
            return self._raw.write(values)
        if self._says_so:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._says_so = True
        return self._raw.write(values[:1])

    def close(self) -> None:
        self._raw.close()


@pytest.mark.parametrize("says_so", [True, False])
def test_disk_full_while_writing(tmp_path, says_so):
    path = tmp_path / "result.png"
    canvas = ImageFileCanvas(path, SOURCE)
    canvas._work._raw = FullDisk(canvas._work._raw, 5, says_so=says_so)
    with pytest.raises(OutputError) as caught, canvas:
        copy_picture(SOURCE, canvas, band=1)
    assert str(caught.value) == (
        f"writing work file {canvas._work.path} failed "
        f"([Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}); free disk space"
    )
    assert os.listdir(tmp_path) == []


def test_disk_full_in_the_last_step(tmp_path, monkeypatch):
    path = tmp_path / "result.png"
    path.write_bytes(b"old")

    def full(self, target):
        assert self.exists()  # the encoded file, complete
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(Path, "replace", full)
    with (
        pytest.raises(OutputError, match=r"writing .*result\.png failed \(.*No space left"),
        ImageFileCanvas(path, SOURCE, overwrite=True) as canvas,
    ):
        copy_picture(SOURCE, canvas)
    assert os.listdir(tmp_path) == ["result.png"]
    assert path.read_bytes() == b"old"


def test_encoder_that_fails(tmp_path):
    """Something cut the work file off, as a failing disk may."""
    path = tmp_path / "result.png"
    with (
        pytest.raises(OutputError, match=r"^work file .* \(100 bytes\) is not that of a picture"),
        ImageFileCanvas(path, SOURCE) as canvas,
    ):
        os.truncate(canvas._work.path, 100)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_error_during_a_run_leaves_no_files(tmp_path, error):
    during = []

    def fail():
        with ImageFileCanvas(tmp_path / "result.png", SOURCE) as canvas:
            canvas.write(Rectangle(0, 0, 8, 24), SOURCE.read(Rectangle(0, 0, 8, 24)))
            during.extend(os.listdir(tmp_path))
            raise error

    with pytest.raises(error):
        fail()
    assert len(during) == 1
    assert during[0].startswith(".result.png.")
    assert os.listdir(tmp_path) == []


def test_an_interrupted_run_leaves_no_files(tmp_path, microast):
    content = save_picture(tmp_path / "content.png", stored_picture(SIZE))

    def interrupt(progress):
        if progress.tiles_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize_file(microast, content, tmp_path / "result.png", listener=interrupt)
    assert os.listdir(tmp_path) == ["content.png"]


def test_overwriting_keeps_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = save_picture(tmp_path / "result.png", stored_picture((5, 5), seed=9))
    old = path.read_bytes()

    def fail():
        with ImageFileCanvas(path, SOURCE, overwrite=True) as canvas:
            copy_picture(SOURCE, canvas)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == old
    with ImageFileCanvas(path, SOURCE, overwrite=True) as canvas:
        copy_picture(SOURCE, canvas)
        assert path.read_bytes() == old
    assert torch.equal(load_picture(path), SOURCE.pixels)
    assert os.listdir(tmp_path) == ["result.png"]


def test_another_file_of_a_similar_name_may_be_overwritten(tmp_path):
    """A copy of the content under the output's name is another file."""
    content = save_picture(tmp_path / "content.png", SOURCE.pixels)
    output = tmp_path / "copy.png"
    shutil.copy(content, output)
    source = ImageFile(content)
    with ImageFileCanvas(output, source, overwrite=True) as canvas:
        copy_picture(TensorSource(255 - SOURCE.pixels), canvas)
    assert torch.equal(load_picture(output), 255 - SOURCE.pixels)
    assert torch.equal(load_picture(content), SOURCE.pixels)


def test_a_folder_is_not_a_picture(tmp_path):
    with pytest.raises(ImageError) as caught:
        ImageFile(tmp_path)
    assert str(caught.value) == f"picture {tmp_path} is a folder; name a file in it"


# Pages, and letting go


def test_pages_that_are_left_out(tmp_path, caplog):
    rows = [stored_picture((80, 100), seed=s).permute(1, 2, 0).numpy() for s in (0, 1, 2)]
    path = tmp_path / "content.tif"
    frames = [Image.fromarray(np.ascontiguousarray(page)) for page in rows]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert torch.equal(whole(ImageFile(path)), stored_picture((80, 100)))
    assert caplog.messages == [
        f"picture {path} has 3 pages or frames; only the first is used",
    ]


def test_a_pyramid_does_not_affect_reading(tmp_path, caplog):
    source = TensorSource(stored_picture((400, 500)))
    options = OutputOptions(pyramid=True, stored_tile_size=64)
    with ImageFileCanvas(tmp_path / "content.tif", source, options) as canvas:
        copy_picture(source, canvas)
    assert torch.equal(whole(ImageFile(tmp_path / "content.tif")), source.pixels)
    assert caplog.messages == []


def test_after_it_was_closed(tmp_path):
    path = save_picture(tmp_path / "content.png", SOURCE.pixels)
    with ImageFile(path) as source:
        whole(source)
    source.close()
    with pytest.raises(ImageError) as caught:
        whole(source)
    assert str(caught.value) == f"picture {path} was closed; open it again"
    assert (source.size, source.channels, source.dtype) == ((16, 24), 3, torch.uint8)


def test_heic_that_this_libvips_cannot_read(tmp_path):
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(40))
    with pytest.raises(ImageError) as caught:
        ImageFile(path)
    assert str(caught.value).startswith(f"picture {path} cannot be read (")
    assert str(caught.value).endswith(
        "); use a libvips with an HEVC decoder, for example from conda-forge or the system with "
        "pip install pyvips, or convert the picture to JPEG or AVIF"
    )


def test_no_room_to_unpack_a_picture(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "content.png", stored_picture((200, 300)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = ImageFile(path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(9e9, 9e9, 1000))
    with pytest.raises(ImageError) as caught:
        whole(source)
    message = str(caught.value)
    assert message.startswith(f"picture {path} cannot be unpacked in {tempfile.gettempdir()} (")
    assert message.endswith("); free some space there, or let TMPDIR name another folder")


def test_links_in_a_circle(tmp_path):
    path = tmp_path / "a.png"
    path.symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(path)
    with pytest.raises(OutputError, match=r"a\.png cannot be written \(.*\); choose another name"):
        ImageFileCanvas(path, SOURCE)


@pytest.mark.parametrize("kind", ["strips", "tiles", "bigtiff", "planar"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiffs_of_another_writer(tmp_path, kind, dtype):
    rows = stored_picture((70, 90)).permute(1, 2, 0).numpy().astype(dtype)
    options = {
        "strips": {"rowsperstrip": 7},
        "tiles": {"tile": (32, 48)},
        "bigtiff": {"bigtiff": True, "compression": "zlib"},
        "planar": {"planarconfig": "separate"},
    }[kind]
    path = tmp_path / "content.tif"
    stored = np.moveaxis(rows, 2, 0) if kind == "planar" else rows
    tifffile.imwrite(path, stored, photometric="rgb", **options)
    pixels = whole(ImageFile(path)).permute(1, 2, 0).numpy()
    assert pixels.dtype == rows.dtype
    assert (pixels == rows).all()
