"""Image files without libvips: the same pixels, a word about memory, and nothing degraded."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import pyvips
import torch
from examples import save_picture, stored_picture
from PIL import Image, ImageCms

from urst_core.errors import ImageError
from urst_core.formats import pillow_file
from urst_core.formats.open import ImageFile, check_output, open_picture
from urst_core.formats.pillow_file import PillowPicture
from urst_core.geometry import Rectangle

SIZE = (40, 61)
REMEDY = 'pip install "pyvips[binary]"'
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def whole(source) -> torch.Tensor:
    return source.read(Rectangle.of_size(source.size))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
@pytest.mark.parametrize("ending", [".png", ".tif", ".webp", ".jpg"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_same_as_through_libvips(tmp_path, mode, ending, orientation):
    image = Image.fromarray(stored_picture(SIZE).permute(1, 2, 0).numpy())
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(stored_picture(SIZE, seed=5, channels=1)[0].numpy()))
    image = image.convert(mode)
    if ending == ".jpg":
        image = image.convert("L" if mode in ("L", "1") else "RGB")
    if ending == ".webp":
        image = image.convert("RGBA" if mode.endswith("A") else "RGB")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera works"
    path = tmp_path / f"content{ending}"
    # Resolution alike both ways, and exact colors: decoders enlarge them differently.
    options = {".webp": {"lossless": True, "exact": True}, ".jpg": {"subsampling": 0}}
    image.save(path, exif=exif, dpi=(300, 150), icc_profile=None, **options.get(ending, {}))
    source, expected = PillowPicture(path), ImageFile(path)
    assert (source.size, source.channels, source.dtype) == (
        expected.size,
        expected.channels,
        expected.dtype,
    )
    assert source.size == (SIZE if orientation == 1 else SIZE[::-1])
    assert int((whole(source).int() - whole(expected).int()).abs().max()) <= 2 * (ending == ".jpg")
    part = Rectangle(2, 3, 17, 30)
    assert torch.equal(source.read(part), whole(source)[(..., *part.slices)])
    if ending in (".png", ".tif", ".jpg"):
        assert source.metadata.resolution == pytest.approx(expected.metadata.resolution, rel=0.01)
    if ending != ".tif":
        assert b"Camera works" in source.metadata.exif


def test_16_bits_of_gray(tmp_path):
    pixels = stored_picture(SIZE, torch.uint16, channels=1)
    for ending in (".png", ".tif"):
        source = PillowPicture(save_picture(tmp_path / f"gray{ending}", pixels))
        assert (source.channels, source.dtype) == (3, torch.uint16)
        assert torch.equal(whole(source), pixels.repeat(3, 1, 1))


@pytest.mark.parametrize(
    ("ending", "channels"), [(".png", 2), (".png", 3), (".png", 4), (".tif", 3), (".tif", 4)]
)
def test_16_bits_that_pillow_would_drop(tmp_path, ending, channels):
    path = save_picture(
        tmp_path / f"content{ending}", stored_picture(SIZE, torch.uint16, channels=channels)
    )
    with pytest.raises(ImageError) as caught:
        PillowPicture(path)
    if ending == ".png":
        assert str(caught.value) == (
            f"picture {path} stores more than 8 bits a channel, which Pillow would not keep; "
            f"{REMEDY}, or convert it to 8 bits"
        )
    assert REMEDY in str(caught.value)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_deep_avif(tmp_path, bits):
    path = tmp_path / "content.avif"
    kind, interpretation = (torch.uint8, "srgb") if bits == 8 else (torch.uint16, "rgb16")
    rows = np.ascontiguousarray(stored_picture((64, 64), kind).permute(1, 2, 0).numpy())
    image = pyvips.Image.new_from_array(rows, interpretation=interpretation)
    image.heifsave(str(path), compression="av1", bitdepth=bits)
    if bits == 8:
        assert whole(PillowPicture(path)).shape == (3, 64, 64)
        return
    with pytest.raises(ImageError, match="stores more than 8 bits a channel"):
        PillowPicture(path)


def test_floating_tiff(tmp_path):
    path = tmp_path / "content.tif"
    Image.fromarray(np.zeros((8, 8), np.float32)).save(path)
    with pytest.raises(ImageError, match="stores more than 8 bits a channel"):
        PillowPicture(path)


def test_profiles(tmp_path):
    rows = np.ascontiguousarray(stored_picture(SIZE).permute(1, 2, 0).numpy())
    path = tmp_path / "wide.png"
    srgb = pyvips.Image.new_from_array(rows, interpretation="srgb")
    srgb.icc_transform("p3", input_profile="srgb").write_to_file(str(path))
    for flatten in (False, True):
        source, expected = PillowPicture(path, flatten=flatten), ImageFile(path, flatten=flatten)
        assert source.metadata.profile == expected.metadata.profile
        assert (source.metadata.profile is None) == flatten
        assert float((whole(source).int() - whole(expected).int()).abs().float().mean()) < 1.5


def test_a_style_is_laid_on_white(tmp_path):
    path = save_picture(tmp_path / "style.png", stored_picture(SIZE, channels=4))
    source, expected = PillowPicture(path, flatten=True), ImageFile(path, flatten=True)
    assert source.channels == 3
    assert int((whole(source).int() - whole(expected).int()).abs().max()) <= 1


def test_cmyk(tmp_path):
    path = tmp_path / "content.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 0, 0)).save(path)
    with pytest.raises(ImageError) as caught:
        PillowPicture(path)
    assert str(caught.value) == (
        f"picture {path} is CMYK without a profile, whose colors Pillow does not know; {REMEDY}"
    )
    # Now with the profile that libvips has inside.
    pyvips.Image.new_from_file(str(path)).icc_transform("cmyk", input_profile="cmyk").write_to_file(
        str(tmp_path / "inks.jpg")
    )
    source, expected = PillowPicture(tmp_path / "inks.jpg"), ImageFile(tmp_path / "inks.jpg")
    assert (source.channels, source.metadata.profile) == (3, None)
    assert int((whole(source).int() - whole(expected).int()).abs().max()) < 30


def test_gray_of_16_bits_with_a_profile_of_its_own(tmp_path):
    path = tmp_path / "content.png"
    profile = PROFILE[:16] + b"GRAY" + PROFILE[20:]
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path, icc_profile=profile)
    with pytest.raises(ImageError) as caught:
        PillowPicture(path)
    assert str(caught.value) == (
        f"picture {path} is gray of 16 bits with a profile, which Pillow cannot apply; {REMEDY}"
    )


def test_a_profile_that_makes_no_sense(tmp_path):
    path = tmp_path / "content.png"
    Image.new("RGB", (8, 8)).save(path, icc_profile=PROFILE[:16] + b"RGB " + b"\x00" * 40)
    with pytest.raises(ImageError, match="cannot be read"):
        PillowPicture(path, flatten=True)


def test_a_word_about_memory(tmp_path, caplog):
    path = save_picture(tmp_path / "content.png", stored_picture(SIZE))
    with caplog.at_level(logging.WARNING):
        PillowPicture(path)
    assert caplog.messages[0].startswith(
        f"libvips is absent: picture {path} is decoded as a whole and takes 0.0 GB of memory, "
    )
    assert caplog.messages[0].endswith(f" GB are free; {REMEDY}")


def test_a_picture_that_memory_cannot_hold(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "content.png", stored_picture((1000, 1000)))
    memory = type("Memory", (), {"available": 7_999_999})
    monkeypatch.setattr(pillow_file.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(ImageError) as caught:
        PillowPicture(path)
    assert str(caught.value) == (
        f"picture {path} takes 0.0 GB of memory, 0.0 GB are free: without libvips it is decoded "
        f"as a whole; {REMEDY}"
    )
    memory.available += 1
    assert PillowPicture(path).size == (1000, 1000)


def test_memory_that_runs_out_while_decoding(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "content.png", stored_picture(SIZE))

    def fail(_image, _path):
        raise MemoryError

    monkeypatch.setattr(pillow_file, "_upright", fail)
    with pytest.raises(ImageError) as caught:
        PillowPicture(path)
    assert str(caught.value) == f"picture {path} does not fit into memory; {REMEDY}"


def test_pillow_has_its_own_limit_back(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    path = save_picture(tmp_path / "content.png", stored_picture(SIZE))
    assert PillowPicture(path).size == SIZE
    assert Image.MAX_IMAGE_PIXELS == 50


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_truncated_file(tmp_path, ending, share):
    path = save_picture(tmp_path / f"content{ending}", stored_picture((200, 300)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError) as caught:
        PillowPicture(path)
    message = str(caught.value)
    assert message.startswith(f"picture {path} cannot be read (")
    assert message.endswith(
        f"); use a complete JPEG, PNG, TIFF, WebP or AVIF file, or {REMEDY}, which reads more"
    )


def test_without_libvips(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "content.png", stored_picture(SIZE))
    assert isinstance(open_picture(path), ImageFile)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    source = open_picture(path)
    assert isinstance(source, PillowPicture)
    assert torch.equal(whole(source), stored_picture(SIZE))
    # Results need it all the same, and say so before any work.
    with pytest.raises(ImageError, match="image files need libvips"):
        check_output(tmp_path / "result.png", source)
    check_output(tmp_path / "result.npy", source)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.startswith("image files need libvips, or Pillow for small ones; neither is here")
    assert message.endswith(f"; {REMEDY}")


def test_several_frames(tmp_path, caplog):
    path = tmp_path / "content.tif"
    frames = [
        Image.fromarray(stored_picture(SIZE, seed=s).permute(1, 2, 0).numpy()) for s in (0, 1)
    ]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for reader in (PillowPicture, ImageFile):
        caplog.clear()
        assert torch.equal(whole(reader(path)), stored_picture(SIZE))
        assert f"picture {path} has 2 pages or frames; only the first is used" in caplog.messages
