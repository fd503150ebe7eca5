"""Metadata that both formats support is kept, for each pair of formats."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from examples import stored_picture
from PIL import Image, ImageCms, ImageOps

from urst_core.formats.open import ImageFile, ImageFileCanvas, copy_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.metadata import (
    EXIF_MARK,
    PictureMetadata,
    metadata_of,
    result_exif,
    unwrapped_iptc,
    upright_xmp,
    wrapped_iptc,
)
from urst_core.pictures.source import TensorSource

ENDINGS = (".jpg", ".png", ".tif", ".webp", ".avif")
HOLDS_RESOLUTION = (".jpg", ".png", ".tif")
HOLDS_IPTC = (".jpg", ".tif")

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="6" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="lake"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
CAPTION = b"a lake at sunset"
IPTC = b"\x1c\x02\x78" + struct.pack(">H", len(CAPTION)) + CAPTION
RESOLUTION_RESOURCE = b"8BIM\x03\xed\x03dpi\x00\x00\x00\x03abc\x00"
IPTC_RESOURCE = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC + b"\x00"
PHOTOSHOP = b"Photoshop 3.0\x00" + RESOLUTION_RESOURCE + IPTC_RESOURCE
assert len(IPTC) % 2 == 1  # and so is padded
ORIENTATION, MAKE, COPYRIGHT, EXIF_IFD, GPS_IFD, TAKEN, EXPOSURE = (
    0x0112,
    0x010F,
    0x8298,
    0x8769,
    0x8825,
    0x9003,
    0x829A,
)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION], tags[MAKE], tags[COPYRIGHT] = orientation, "Camera works", "Ada"
    tags.get_ifd(EXIF_IFD)[TAKEN] = "2020:01:02 03:04:05"
    tags.get_ifd(EXIF_IFD)[EXPOSURE] = (1, 125)
    tags.get_ifd(GPS_IFD).update({1: "N", 2: (48.0, 8.0, 1.0)})
    return tags


def photo(path: Path, orientation: int = 6, size=(40, 64)) -> Path:
    """A picture file with everything that Pillow can put into such a file."""
    image = Image.fromarray(stored_picture(size).permute(1, 2, 0).numpy())
    options = {"icc_profile": PROFILE, "exif": exif(orientation)}
    if path.suffix in HOLDS_RESOLUTION:
        options["dpi"] = (300, 150)
    if path.suffix == ".png":
        image.save(path, **options)
        # Pillow writes no XMP into PNG.
        stored = pyvips.Image.new_from_file(str(path)).copy()
        stored.set_type(pyvips.GValue.blob_type, "xmp-data", XMP)
        stored.write_to_file(str(path.with_name("with_xmp.png")))
        path.with_name("with_xmp.png").replace(path)
        return path
    if path.suffix in (".jpg", ".avif"):
        # Decoders differ in how they enlarge colors.
        options.update(quality=95, subsampling=0 if path.suffix == ".jpg" else "4:4:4")
    xmp = XMP.replace(b'"6"', b'"%d"' % orientation)
    if path.suffix == ".tif":
        options["exif"][700] = xmp
        image.save(path, **options)
    else:
        image.save(path, xmp=xmp, **options)
    return path


def copied(source: ImageFile, path: Path) -> Path:
    with ImageFileCanvas(path, source) as canvas:
        copy_picture(source, canvas)
    return path


def xmp_in(path: Path) -> bytes:
    with Image.open(path) as image:
        stored = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return stored.encode() if isinstance(stored, str) else stored


@pytest.mark.slow
@pytest.mark.parametrize("result", ENDINGS)
@pytest.mark.parametrize("content", ENDINGS)
def test_metadata_of_both_formats_is_kept(tmp_path, content, result):
    source = ImageFile(photo(tmp_path / f"content{content}"))
    path = copied(source, tmp_path / f"result{result}")
    with Image.open(tmp_path / f"content{content}") as stored, Image.open(path) as written:
        assert written.info["icc_profile"] == PROFILE
        # Turned once, in the pixels; nobody turns it again.
        assert (written.height, written.width) == source.size == (64, 40)
        assert written.getexif().get(ORIENTATION, 1) == 1
        upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
        shown = np.asarray(ImageOps.exif_transpose(written).convert("RGB")).astype(int)
        assert np.abs(upright - shown).mean() < (20 if ".webp" in (content, result) else 6)
        # libvips reads and writes no EXIF in TIFF.
        if ".tif" not in (content, result):
            tags = written.getexif()
            assert (tags[MAKE], tags[COPYRIGHT]) == ("Camera works", "Ada")
            assert tags.get_ifd(EXIF_IFD)[TAKEN] == "2020:01:02 03:04:05"
            assert tags.get_ifd(EXIF_IFD)[EXPOSURE] == (1, 125)
            assert tags.get_ifd(GPS_IFD) == {1: "N", 2: (48.0, 8.0, 1.0)}
    assert xmp_in(path) == XMP.replace(b'Orientation="6"', b'Orientation="1"')
    if content in HOLDS_RESOLUTION and result in HOLDS_RESOLUTION:
        # What lay across lies down now.
        image = pyvips.Image.new_from_file(str(path))
        assert (image.xres * 25.4, image.yres * 25.4) == pytest.approx((150, 300), rel=0.01)


@pytest.mark.parametrize("result", HOLDS_IPTC)
@pytest.mark.parametrize("content", HOLDS_IPTC)
def test_iptc_comes_through(tmp_path, content, result):
    rows = np.ascontiguousarray(stored_picture((24, 32)).permute(1, 2, 0).numpy())
    path = tmp_path / f"content{content}"
    if content == ".jpg":
        Image.fromarray(rows).save(path)
        jpeg = path.read_bytes()
        path.write_bytes(jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(PHOTOSHOP) + 2) + PHOTOSHOP)
        with path.open("ab") as stored:
            stored.write(jpeg[2:])
    else:
        tifffile.imwrite(
            path, rows, photometric="rgb", extratags=[(33723, 7, len(IPTC), IPTC, True)]
        )
    source = ImageFile(path)
    assert source.metadata.iptc == IPTC
    path = copied(source, tmp_path / f"result{result}")
    if result == ".jpg":
        with Image.open(path) as written:
            assert written.info["photoshop"] == {0x0404: IPTC}
    else:
        with tifffile.TiffFile(path) as written:
            assert written.pages[0].tags[33723].value == IPTC


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_orientation_of_every_format(tmp_path, ending, orientation):
    path = photo(tmp_path / f"content{ending}", orientation)
    source = ImageFile(path)
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    shown = source.read(Rectangle.of_size(source.size)).permute(1, 2, 0).numpy().astype(int)
    assert shown.shape == upright.shape
    assert np.abs(shown - upright).mean() < 2


def test_the_thumbnail_of_the_content_is_dropped(tmp_path):
    """Viewers would show the content's face for the result."""
    image = Image.fromarray(stored_picture((60, 80)).permute(1, 2, 0).numpy())
    path = tmp_path / "content.jpg"
    image.save(path, exif=with_thumbnail(image))
    stored = pyvips.Image.new_from_file(str(path))
    assert stored.get_typeof("jpeg-thumbnail-data")
    stored.write_to_file(str(tmp_path / "content.png"))
    assert pyvips.Image.new_from_file(str(tmp_path / "content.png")).get_typeof(
        "jpeg-thumbnail-data"
    )
    for ending in (".jpg", ".png", ".webp"):
        path = tmp_path / f"content{'.png' if ending == '.jpg' else '.jpg'}"
        result = pyvips.Image.new_from_file(
            str(copied(ImageFile(path), tmp_path / f"result{ending}"))
        )
        assert not result.get_typeof("jpeg-thumbnail-data")
        assert result.get("exif-ifd0-Make").startswith("Camera works")


def with_thumbnail(image: Image.Image) -> bytes:
    """An EXIF block whose second directory is a small JPEG."""
    small = pyvips.Image.new_from_array(np.asarray(image.resize((16, 12)))).jpegsave_buffer()
    make = b"Camera works\x00"
    first = struct.pack("<HHHIII", 1, MAKE, 2, len(make), 26, 26 + len(make) + 1)
    second = struct.pack("<H", 3)
    start = 26 + len(make) + 1 + 2 + 3 * 12 + 4
    for tag, kind, value in ((0x0103, 3, 6), (0x0201, 4, start), (0x0202, 4, len(small))):
        second += struct.pack("<HHII", tag, kind, 1, value)
    second += struct.pack("<I", 0)
    tiff = b"II*\x00" + struct.pack("<I", 8) + first + make + b"\x00" + second + small
    return b"Exif\x00\x00" + tiff


def test_a_picture_in_memory_has_no_metadata(tmp_path):
    source = TensorSource(stored_picture((8, 8)))
    assert metadata_of(source) == PictureMetadata()
    with ImageFileCanvas(tmp_path / "result.png", source) as canvas:
        copy_picture(source, canvas)
    with Image.open(tmp_path / "result.png") as written:
        assert "icc_profile" not in written.info


@pytest.mark.parametrize(
    ("stored", "upright"),
    [
        (b'<a tiff:Orientation="8"/>', b'<a tiff:Orientation="1"/>'),
        (b"<a tiff:Orientation = '3'/>", b"<a tiff:Orientation = '1'/>"),
        (
            b"<tiff:Orientation>6</tiff:Orientation>",
            b"<tiff:Orientation>1</tiff:Orientation>",
        ),
        (b'<a tiff:Orientation="1"/>', b'<a tiff:Orientation="1"/>'),
        (b'<a exif:Orientation="6"/>', b'<a exif:Orientation="6"/>'),
        (b"\xff\x00 no text", b"\xff\x00 no text"),
    ],
)
def test_upright_xmp(stored, upright):
    assert upright_xmp(stored) == upright


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("result", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("channels", [3, 4])
def test_depth_and_alpha_come_through(tmp_path, dtype, result, channels):
    """Read back by NumPy and tifffile, and PNG, which Pillow reads in 8 bits, by its raw values."""
    pixels = stored_picture((30, 41), dtype, channels=channels)
    expected = pixels.permute(1, 2, 0).numpy()
    path = tmp_path / f"result{result}"
    with ImageFileCanvas(path, TensorSource(pixels)) as canvas:
        copy_picture(TensorSource(pixels), canvas, band=7)
    if result == ".png":
        image = pyvips.Image.new_from_file(str(path))
        assert (image.hasalpha(), image.interpretation) == (
            channels == 4,
            "rgb16" if dtype == torch.uint16 else "srgb",
        )
        stored = image.numpy()
        if dtype == torch.uint8:
            with Image.open(path) as other:
                assert (np.asarray(other) == expected).all()
    else:
        stored = tifffile.imread(path) if result == ".tif" else np.load(path)
    assert stored.dtype == expected.dtype
    assert (stored == expected).all()


@pytest.mark.parametrize(
    "block",
    [b"", b"II", b"II*\x00\xff\xff\xff\x7f", b"MM\x00*\x00\x00\x00\x08\xff\xff", b"text" * 9],
)
def test_exif_that_makes_no_sense(block):
    for stored in (block, EXIF_MARK + block):
        assert result_exif(stored, turned=True) == EXIF_MARK + block


@pytest.mark.parametrize(
    "block",
    [
        b"Photoshop 3.0\x00",
        b"Photoshop 3.0\x008BIM",
        b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00",
        b"Photoshop 3.0\x008BIM\x03\xed\x00\x00\x00\x00\x00\x01a\x00",
        b"Photoshop 3.0\x00other",
    ],
)
def test_photoshop_resources_without_iptc(block):
    assert unwrapped_iptc(block) is None
    assert unwrapped_iptc(wrapped_iptc(IPTC)) == unwrapped_iptc(IPTC) == IPTC


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_resolution_of_a_turned_avif(tmp_path, orientation):
    """Its own box turns it, and libvips leaves the resolution in the EXIF block as it was."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x011B], exif[0x0128] = orientation, 300.0, 150.0, 2
    image = Image.fromarray(stored_picture((40, 60)).permute(1, 2, 0).numpy())
    image.save(tmp_path / "a.avif", exif=exif)
    source = ImageFile(tmp_path / "a.avif")
    is_turned = orientation in (6, 8)
    assert source.size == ((60, 40) if is_turned else (40, 60))
    with ImageFileCanvas(tmp_path / "b.tif", source) as canvas:
        copy_picture(source, canvas)
    with Image.open(tmp_path / "b.tif") as written:
        resolutions = written.getexif()[0x011A], written.getexif()[0x011B]
    assert resolutions == ((150, 300) if is_turned else (300, 150))
