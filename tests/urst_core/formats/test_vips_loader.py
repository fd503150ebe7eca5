"""Errors of files, lack of disk space to unpack them, and progress of unpacking."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from examples import picture, save_picture, stored_picture
from PIL import Image

from urst_core.errors import Change, ImageError
from urst_core.formats import image_file, vips_loader
from urst_core.formats.disk_needs import TemporarySpace
from urst_core.formats.image_file import ImageFile
from urst_core.formats.input_options import InputOptions
from urst_core.formats.open import open_picture, write_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource, from_unit

Usage = namedtuple("Usage", "total used free")
STRICT = InputOptions(strict=True)


def whole(source) -> torch.Tensor:
    return source.read(Rectangle.of_size(source.size))


def warnings_of(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith("urst_core")]


# Damage


def damaged(path: Path, changes: int = 60, seed: int = 0) -> Path:
    """The file with bytes in its middle that differ."""
    stored = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for _ in range(changes):
        place = chance.randrange(len(stored) // 3, 2 * len(stored) // 3)
        if 0xFF not in stored[place - 1 : place + 1]:  # no markers lost, none made up
            stored[place] = chance.randrange(255)
    other = path.with_stem(f"damaged{seed}")
    other.write_bytes(stored)
    return other


@pytest.fixture
def photo(tmp_path) -> Path:
    """Progressive, since a damaged baseline JPEG often decodes without a warning."""
    pixels = from_unit(picture((200, 300)), torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", progressive=True, quality=90)
    return tmp_path / "photo.jpg"


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_jpeg_is_reported_once(photo, caplog, seed):
    path = damaged(photo, seed=seed)
    source = ImageFile(path)
    pixels = whole(source)
    assert pixels.shape == (3, 200, 300)
    assert torch.equal(source.read(Rectangle(150, 20, 180, 90)), pixels[:, 150:180, 20:90])
    said = warnings_of(caplog)
    assert len(said) == 1
    assert said[0].startswith(f"picture {path} is damaged (")
    assert "Jpeg" in said[0]
    assert said[0].endswith("), and some of its pixels may be wrong; get it again")


def test_a_damaged_jpeg_is_refused_where_that_is_wanted(photo, caplog):
    path = damaged(photo)
    with pytest.raises(ImageError) as caught:
        whole(ImageFile(path, options=STRICT))
    message = str(caught.value)
    assert message.startswith(f"picture {path} is damaged or truncated (")
    assert message.endswith("); get it again")
    assert warnings_of(caplog) == []


def test_a_sound_picture_is_not_warned_of(photo, caplog):
    assert torch.equal(whole(ImageFile(photo)), whole(ImageFile(photo, options=STRICT)))
    assert warnings_of(caplog) == []


def test_a_truncated_picture_is_an_error_and_no_warning(photo, caplog):
    photo.write_bytes(photo.read_bytes()[:4000])
    with pytest.raises(ImageError, match="is damaged or truncated"):
        whole(ImageFile(photo))
    assert warnings_of(caplog) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".png", ".avif"])
def test_formats_with_checksums_are_refused(tmp_path, ending):
    path = damaged(save_picture(tmp_path / f"photo{ending}", stored_picture((200, 300))), 3)
    with pytest.raises(ImageError, match=r"is damaged or truncated|cannot be read"):
        whole(ImageFile(path))


def test_a_beginning_that_is_warned_of(photo, caplog, monkeypatch):
    """As decoders do where a header is odd, but can be understood."""
    load = vips_loader.load

    def warn_at_once(path, *, lenient=False):
        if not lenient:
            raise pyvips.Error("unable to open", "VipsJpeg: 3 extraneous bytes before marker 0xdb")
        return load(path, lenient=True)

    expected = whole(ImageFile(photo))
    monkeypatch.setattr(image_file, "load", warn_at_once)
    assert torch.equal(whole(ImageFile(photo)), expected)
    assert [" is damaged (" in message for message in warnings_of(caplog)] == [True]
    with pytest.raises(ImageError, match="is damaged or truncated"):
        ImageFile(photo, options=STRICT)


# The room for temporary files


def test_only_unpacked_pictures_take_disk_space(tmp_path, monkeypatch):
    monkeypatch.setattr(vips_loader, "LARGEST_IN_MEMORY", 1000)
    image = pyvips.Image.black(100, 80, bands=3).copy(interpretation="srgb")
    for name, options, needed in (
        ("a.jpg", {}, 24_000),
        ("a.png", {}, 24_000),
        ("strips.tif", {}, 24_000),
        ("tiles.tif", {"tile": True, "tile_width": 32, "tile_height": 32}, 0),
        ("a.v", {}, 0),
    ):
        image.write_to_file(str(tmp_path / name), **options)
        source = ImageFile(tmp_path / name)
        assert (name, source.temporary_bytes) == (name, needed)
        assert not whole(source).any()
    image.cast("ushort").write_to_file(str(tmp_path / "wide.png"))
    assert ImageFile(tmp_path / "wide.png").temporary_bytes == 48_000
    alpha = save_picture(tmp_path / "alpha.png", stored_picture((10, 100), channels=4))
    style = open_picture(alpha, flatten=True)
    space = TemporarySpace.of([ImageFile(tmp_path / "a.jpg"), style, "name of a style"])
    assert (space.needed_bytes, space.folder) == (28_000, Path(tempfile.gettempdir()))
    monkeypatch.undo()
    assert ImageFile(tmp_path / "a.jpg").temporary_bytes == 0


def test_too_little_space_is_reported_before_unpacking(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "a.png", stored_picture((400, 500)))
    monkeypatch.setattr(vips_loader, "LARGEST_IN_MEMORY", 1000)
    source = ImageFile(path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(9e9, 9e9, 20e6))
    whole(source)
    source = ImageFile(path)
    source.temporary_bytes = 3_000_000_000
    with pytest.raises(ImageError) as caught:
        whole(source)
    assert str(caught.value) == (
        f"picture {path} takes 3.00 GB to be unpacked, 0.02 GB are free in {tempfile.gettempdir()}"
        "; free some, or let TMPDIR name a folder with more, or convert the picture to a TIFF in "
        "tiles"
    )


@pytest.mark.parametrize("shared", [False, True])
def test_room_for_several_pictures(tmp_path, shared):
    space = TemporarySpace(tmp_path, 3_000_000_000, 4_000_000_000)
    space.check()
    if not shared:
        space.check(result_folder=Path("/proc/self"), result_bytes=2_000_000_000)
        return
    with pytest.raises(ImageError) as caught:
        space.check(result_folder=tmp_path, result_bytes=2_000_000_000)
    assert str(caught.value) == (
        f"the pictures take 3.0 GB to be unpacked in {tmp_path}, 2.0 GB go to the result on the "
        "same disk, 4.0 GB are free; free some, or let TMPDIR name a folder with more, or convert "
        "them to TIFFs in tiles"
    )
    # Where nothing is unpacked, the result has a check of its own.
    TemporarySpace(tmp_path, 0, 0).check(result_folder=tmp_path, result_bytes=1)


@pytest.mark.slow
def test_a_folder_for_temporary_files_that_cannot_be_written_to(tmp_path):
    path = save_picture(tmp_path / "a.png", stored_picture((400, 500)))
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from urst_core.formats.image_file import ImageFile\n"
        "from urst_core.geometry import Rectangle\n"
        "try:\n"
        "    ImageFile(Path(sys.argv[1])).read(Rectangle(0, 0, 1, 1))\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    absent = tmp_path / "absent"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "TMPDIR": str(absent), "VIPS_DISC_THRESHOLD": "1k"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"picture {path} cannot be unpacked in " in done.stdout
    assert f'unable to write to "{absent}' in done.stdout
    assert "No such file or directory" in done.stdout
    assert "damaged" not in done.stdout


# Sizes


def test_a_file_made_to_fill_the_disk_is_confirmed(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    Image.new("1", (4000, 3000)).save(path)
    monkeypatch.setattr(vips_loader, "SUSPICIOUS_BYTES", 1_000_000)
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    assert caught.value.setting == "any_size"
    assert caught.value.remedies == (Change("any_size", True),)
    assert caught.value.message == (
        f"picture {path} of 4000 x 3000 px unpacks from 0.0 MB to 0.0 GB, as files do that are "
        "made to fill memory and disk"
    )
    assert open_picture(path, options=InputOptions(any_size=True)).size == (3000, 4000)
    monkeypatch.undo()
    assert open_picture(path).size == (3000, 4000)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_flat_photographs_are_not_suspicious(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(vips_loader, "SUSPICIOUS_BYTES", 1)
    gray = torch.full((3, 500, 700), 128, dtype=torch.uint8) + stored_picture((500, 700)) // 64
    assert open_picture(save_picture(tmp_path / f"a{ending}", gray)).size == (500, 700)


# Progress


@pytest.fixture
def unpacked(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(vips_loader, "LARGEST_IN_MEMORY", 1000)
    return save_picture(tmp_path / "large.jpg", stored_picture((1500, 1200)))


@pytest.mark.slow
def test_unpacking_reports_progress(unpacked):
    for _ in range(3):  # handlers outlive their pictures
        source = ImageFile(unpacked)
        shares: list[float] = []
        source.unpack(shares.append)
        assert len(shares) > 5
        assert shares == sorted(shares)
        assert shares[-1] > 0.5
        told = len(shares)
        source.unpack(shares.append)
        assert whole(source).shape == (3, 1500, 1200)
        assert len(shares) == told
        del source
        gc.collect()


@pytest.mark.slow
def test_unpacking_that_is_stopped(unpacked, caplog):
    def stop(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    source = ImageFile(unpacked)
    with pytest.raises(KeyboardInterrupt):
        source.unpack(stop)
    assert warnings_of(caplog) == []
    assert whole(ImageFile(unpacked)).shape == (3, 1500, 1200)


def test_no_progress_without_unpacking(tmp_path):
    source = ImageFile(save_picture(tmp_path / "a.png", stored_picture((30, 40))))
    source.unpack(lambda _share: pytest.fail("was unpacked"))


# Paths that are no files


def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError) as caught:
        open_picture(tmp_path / "pipe.png")
    assert str(caught.value) == (
        f"picture {tmp_path / 'pipe.png'} is not a file, but a pipe or a device; save it first"
    )


def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(ImageError) as caught:
        open_picture(tmp_path / "a.png")
    assert str(caught.value) == (
        f"picture {tmp_path / 'a.png'} is a link to {tmp_path / 'b.png'}, which does not exist; "
        "check the path"
    )


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ImageError) as caught:
        open_picture(tmp_path / "a.png")
    assert str(caught.value).startswith(f"picture {tmp_path / 'a.png'} cannot be read (")
    assert "symbolic links" in str(caught.value)


def test_a_name_with_a_nul(tmp_path):
    with pytest.raises(ImageError) as caught:
        open_picture(tmp_path / "a\0.png")
    assert str(caught.value) == (
        f"picture {str(tmp_path) + '/a'}\0.png cannot be read (embedded null byte); check the path"
    )


def test_a_picture_in_the_format_of_libvips(tmp_path, caplog):
    pixels = stored_picture((20, 30))
    rows = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    image = pyvips.Image.new_from_array(rows, interpretation="srgb")
    image.write_to_file(str(tmp_path / "a.v"))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(whole(ImageFile(tmp_path / "a.v")), pixels)
    write_picture(ImageFile(tmp_path / "a.v"), tmp_path / "a.png")
    assert torch.equal(whole(ImageFile(tmp_path / "a.png")), pixels)
    assert TensorSource(pixels).size == (20, 30)
