"""Scene-linear light: OpenEXR and TIFF of floats, in and out; highlights survive."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from examples import picture, save_picture, stored_picture

from urst_core.errors import ImageError, OutputError
from urst_core.formats import exr
from urst_core.formats.open import ImageFileCanvas, copy_picture, open_picture
from urst_core.formats.output_options import OutputOptions
from urst_core.formats.vips import can_save
from urst_core.geometry import Rectangle
from urst_core.pictures.metadata import PictureMetadata, WithMetadata, metadata_of
from urst_core.pictures.scene_linear import KNEE, SceneLinear, decoded, encoded, light_of
from urst_core.pictures.source import TensorSource
from urst_core.runs.description import read_description
from urst_core.runs.file_run import FileRun
from urst_core.tiling.settings import Settings

SIZE = (24, 32)
WHOLE = Rectangle.of_size(SIZE)
SETTINGS = Settings(device="cpu", strokes="fine")


def hdr(channels=3):
    """Light of 0 to 1, and a lamp a hundred times as bright."""
    light = picture(SIZE, channels=channels)
    light[:3, 4:8, 5:9] = torch.tensor([100.0, 60.0, 20.0]).view(3, 1, 1)
    return light


def save_exr(path, light, dtype=np.float32, **channels):
    module = pytest.importorskip("OpenEXR")
    pixels = np.ascontiguousarray(light.permute(1, 2, 0).numpy(), dtype)
    rows = {"RGBA"[: len(light)]: pixels}
    header = {"compression": module.ZIP_COMPRESSION, "type": module.scanlineimage}
    with module.File(header, channels or rows) as file:
        file.write(str(path))
    return path


def load_exr(path):
    module = pytest.importorskip("OpenEXR")
    with module.File(str(path)) as file:
        [(name, channel)] = file.channels().items()
        return name, channel.pixels


# The curve


def test_what_is_shown():
    light = torch.tensor([0.0, 0.002, 0.5, KNEE, 1.0, 2.0, 1e6]).view(1, 1, -1).expand(3, 1, -1)
    shown = SceneLinear(TensorSource(light.contiguous())).read(Rectangle(0, 0, 1, 7))[0, 0]
    assert torch.allclose(shown[:4], encoded(light)[0, 0, :4])
    assert bool((shown[1:6] > shown[:5]).all())
    assert float(shown[-1]) <= 1.0
    assert float((decoded(encoded(light)) - light)[:, :, :4].abs().max()) < 1e-6


def test_colors_of_highlights_stay():
    shown = decoded(SceneLinear(TensorSource(hdr())).read(WHOLE))[:, 5, 6]
    assert torch.allclose(shown / shown[0], torch.tensor([1.0, 0.6, 0.2]), atol=1e-5)


def test_light_comes_back():
    like = SceneLinear(TensorSource(hdr(4)))
    back = light_of(like.read(WHOLE), like, WHOLE)
    assert torch.allclose(back, hdr(4), rtol=2e-5, atol=1e-6)


def test_windows_equal_the_whole():
    like = SceneLinear(TensorSource(hdr()))
    for part in (Rectangle(3, 4, 9, 30), Rectangle(5, 6, 6, 7), Rectangle(0, 31, 24, 32)):
        assert torch.equal(like.read(part), like.read(WHOLE)[(..., *part.slices)])


def test_light_that_is_not_finite():
    light = hdr()
    light[1, 3, 7] = float("inf")
    with pytest.raises(ImageError, match="pixel at row 3, column 7 is NaN or infinite"):
        SceneLinear(TensorSource(light)).read(WHOLE)


# Files


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_exr_in_and_out(tmp_path, dtype, channels):
    source = open_picture(save_exr(tmp_path / "a.exr", hdr(channels), dtype))
    assert (source.size, source.channels, source.dtype) == (SIZE, channels, torch.float32)
    with ImageFileCanvas(tmp_path / "b.exr", source) as canvas:
        copy_picture(source, canvas)
    name, pixels = load_exr(tmp_path / "b.exr")
    assert name == "RGBA"[:channels]
    assert pixels.dtype == dtype
    precision = 2e-3 if dtype == np.float16 else 1e-4
    expected = hdr(channels).permute(1, 2, 0).numpy()
    assert np.allclose(pixels, expected, rtol=precision, atol=1e-5)


@pytest.mark.parametrize(
    "options", [OutputOptions(), OutputOptions(compression="none", pyramid=True)]
)
def test_tiff_of_floats_in_and_out(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", hdr().permute(1, 2, 0).numpy(), photometric="rgb")
    source = open_picture(tmp_path / "a.tif")
    assert isinstance(source, SceneLinear)
    with ImageFileCanvas(tmp_path / "b.tif", source, options) as canvas:
        copy_picture(source, canvas)
    stored = pyvips.Image.new_from_file(str(tmp_path / "b.tif")).numpy()
    assert stored.dtype == np.float32
    assert np.allclose(stored, hdr().permute(1, 2, 0).numpy(), rtol=1e-4, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_resolution_of_exr(tmp_path):
    """As the attributes for pixels per inch across, and for the shape of a pixel."""
    source = open_picture(save_exr(tmp_path / "a.exr", hdr()))
    assert metadata_of(source).resolution is None
    tagged = WithMetadata(source, PictureMetadata(resolution=(300 / 25.4, 150 / 25.4)))
    with ImageFileCanvas(tmp_path / "b.exr", tagged) as canvas:
        copy_picture(tagged, canvas)
    header = pytest.importorskip("OpenEXR").File(str(tmp_path / "b.exr"), header_only=True).header()
    assert header["xDensity"] == pytest.approx(300)
    assert header["pixelAspectRatio"] == pytest.approx(0.5)
    resolution = metadata_of(open_picture(tmp_path / "b.exr")).resolution
    assert resolution == pytest.approx((300 / 25.4, 150 / 25.4))


def test_gray_and_y(tmp_path):
    gray = hdr()[0].numpy()
    tifffile.imwrite(tmp_path / "a.tif", gray)
    source = open_picture(tmp_path / "a.tif")
    assert source.channels == 3
    y = open_picture(save_exr(tmp_path / "a.exr", hdr(), Y=gray))
    assert torch.equal(y.read(WHOLE), source.read(WHOLE))


def test_pictures_of_8_bits_as_exr(tmp_path):
    pixels = stored_picture(SIZE)
    with ImageFileCanvas(tmp_path / "a.exr", TensorSource(pixels)) as canvas:
        copy_picture(TensorSource(pixels), canvas)
    _, light = load_exr(tmp_path / "a.exr")
    assert light.dtype == np.float16
    expected = decoded(pixels.float() / 255).permute(1, 2, 0).numpy()
    assert np.allclose(light, expected, atol=1e-3)


# Runs


def run(tmp_path, microast, content, output, **settings):
    save_picture(tmp_path / "style.png", stored_picture((24, 24), seed=3))
    settings = Settings(device="cpu", strokes="fine", **settings)
    FileRun(content, [str(tmp_path / "style.png")], tmp_path / output, microast, settings).run()
    return tmp_path / output


def test_highlights_survive_a_painting(tmp_path, microast):
    content = save_exr(tmp_path / "a.exr", hdr())
    _, painted = load_exr(run(tmp_path, microast, content, "b.exr"))
    lamp, rest = painted[5:7, 6:8].max(), np.median(painted)
    assert lamp > 20 * rest
    assert read_description(tmp_path / "b.exr").backbone == "microast"
    run(tmp_path, microast, content, "c.tif", tile_size=16)
    tiff = pyvips.Image.new_from_file(str(tmp_path / "c.tif")).numpy()
    assert np.allclose(tiff, painted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("ending", "kind"), [(".jpg", "uchar"), (".png", "ushort")])
def test_light_as_8_and_16_bits(tmp_path, microast, ending, kind):
    content = save_exr(tmp_path / "a.exr", hdr())
    image = pyvips.Image.new_from_file(str(run(tmp_path, microast, content, f"b{ending}")))
    assert (image.format, image.height, image.width) == (kind, *SIZE)


# Refused


def test_damaged_and_odd_files(tmp_path):
    path = save_exr(tmp_path / "a.exr", hdr())
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(ImageError, match=r"a\.exr is damaged, or no flat picture .*; get it again"):
        open_picture(path)
    depth = save_exr(tmp_path / "z.exr", hdr(), Z=hdr()[0].numpy())
    with pytest.raises(ImageError) as caught:
        open_picture(depth)
    assert str(caught.value) == (
        f"picture {depth} has the channels Z; use R, G, B, with or without A, or Y"
    )


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    (tmp_path / "a.exr").write_bytes(exr.MAGIC + bytes(100))
    with pytest.raises(ImageError, match=r'need OpenEXR, .*; pip install "OpenEXR>=3.3"'):
        open_picture(tmp_path / "a.exr")
    with pytest.raises(ImageError, match="need OpenEXR"):
        ImageFileCanvas(tmp_path / "b.exr", TensorSource(stored_picture(SIZE)))


@pytest.mark.parametrize(
    ("ending", "remedy", "arguments"),
    [
        (".jxl", "writes no JPEG XL; use .avif or .png, or a libvips with libjxl", {}),
        (".heic", "writes no HEIC; use .avif or .jpg, or a libvips with", {"compression": "hevc"}),
    ],
)
def test_formats_of_some_builds(tmp_path, ending, remedy, arguments):
    source, path = TensorSource(stored_picture(SIZE)), tmp_path / f"a{ending}"
    if not can_save(ending, arguments):
        with pytest.raises(OutputError, match=remedy):
            ImageFileCanvas(path, source)
        return
    with ImageFileCanvas(path, source) as canvas:
        copy_picture(source, canvas)
    assert open_picture(path).size == SIZE


def test_jpeg_xl_that_is_not_read(tmp_path):
    if pyvips.type_find("VipsOperation", "jxlload"):
        pytest.skip("this libvips reads JPEG XL")
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(50))
    with pytest.raises(ImageError, match="use a libvips with libjxl, for example"):
        open_picture(tmp_path / "a.jxl")
