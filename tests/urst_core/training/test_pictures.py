"""Folders of training pictures: used and skipped pictures, and messages."""

from __future__ import annotations

import random
import shutil
import sys

import pytest
import pyvips
import torch
from examples import picture, save_picture, stored_picture
from PIL import Image
from training_examples import open_folder, save_pictures

from urst_core.errors import ImageError, TrainingError
from urst_core.formats.find_pictures import IMAGE_ENDINGS
from urst_core.training.pictures import PictureFolder, load_style

RED = (200, 100, 50)


def flat(size=(40, 48), color=RED, dtype=torch.uint8) -> torch.Tensor:
    scale = 1 if dtype == torch.uint8 else 257
    values = torch.tensor([value * scale for value in color])
    return values[:, None, None].expand(-1, *size).contiguous().to(torch.int32).to(dtype)


def crops_of(folder: PictureFolder, count: int = 3, edge: int = 32, seed: int = 0) -> torch.Tensor:
    return folder.crops(count, edge, random.Random(seed))


def color_of(folder, **options) -> list[float]:
    """The mean color of crops, 0..255."""
    return (255 * crops_of(open_folder(folder, **options)).mean((0, 2, 3))).tolist()


def refusal(*folders, crop=32) -> str:
    with pytest.raises(TrainingError) as caught:
        PictureFolder.open(folders, crop, report=[].append)
    return str(caught.value)


# Which files


def test_folders_below_and_several_folders(tmp_path):
    save_pictures(tmp_path / "a", 2)
    save_pictures(tmp_path / "a" / "below", 1)
    save_pictures(tmp_path / "b", 1)
    (tmp_path / "a" / "notes.txt").write_text("no picture, and not looked at")
    folder = PictureFolder.open([tmp_path / "a", tmp_path / "b"], 32, report=pytest.fail)
    assert list(folder.names.values()) == [
        "below/picture0.png",
        "picture0.png",
        "picture1.png",
        "picture0.png",
    ]
    assert folder.description.startswith("4 (")


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".png", ".webp", ".tif", ".TIFF"])
def test_endings(tmp_path, ending):
    save_picture(tmp_path / f"picture{ending}", flat())
    assert color_of(tmp_path) == pytest.approx(RED, abs=3)


def test_missing_folder(tmp_path):
    path = tmp_path / "absent"
    assert refusal(path) == f"folder {path} does not exist; name a folder of pictures"
    path.write_bytes(b"a file")
    assert refusal(path) == f"folder {path} does not exist; name a folder of pictures"


def test_empty_folder(tmp_path):
    endings = ".jpg .jpeg .png .webp .tif .tiff .avif .heic"
    message = f"folder {tmp_path} has no pictures; put some in it ({endings})"
    assert endings.split() == list(IMAGE_ENDINGS)
    assert refusal(tmp_path) == message
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    assert refusal(tmp_path) == message


# Size


def test_small_pictures_are_reported_and_left_out(tmp_path):
    save_pictures(tmp_path, 2)
    small = save_picture(tmp_path / "small.png", stored_picture((31, 50)))
    save_picture(tmp_path / "just.png", stored_picture((32, 32)))
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append)
    assert said == [f"skipping {small}: 50 x 31 px is smaller than 32 px"]
    assert sorted(folder.names.values()) == ["just.png", "picture0.png", "picture1.png"]


def test_all_pictures_too_small(tmp_path):
    save_pictures(tmp_path / "a", 2, edge=20)
    save_pictures(tmp_path / "b", 1, edge=24)
    assert refusal(tmp_path / "a", tmp_path / "b") == (
        f"none of the 3 pictures in {tmp_path / 'a'}, {tmp_path / 'b'} can be cropped to 32 px "
        "(largest short side: 24); use larger pictures, or lower image_size"
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 32), (33, 32), (32, 400), (400, 32), (57, 91), (500, 400)])
def test_crops_of_any_size(tmp_path, size):
    save_picture(tmp_path / "picture.png", stored_picture(size))
    crops = crops_of(open_folder(tmp_path), count=6)
    assert crops.shape == (6, 3, 32, 32)
    assert 0 <= float(crops.min()) < float(crops.max()) <= 1


@pytest.mark.slow
def test_crops_cover_the_whole_picture_at_several_scales(tmp_path):
    """Left is black, right is white, in a picture twice as wide as high."""
    pixels = torch.zeros(3, 200, 400, dtype=torch.uint8)
    pixels[..., 200:] = 255
    save_picture(tmp_path / "picture.png", pixels)
    folder = open_folder(tmp_path)
    means = crops_of(folder, count=40).mean((1, 2, 3))
    assert float(means.min()) == 0
    assert float(means.max()) == 1
    assert bool(((means > 0.05) & (means < 0.95)).any())
    # Some are mirrored: white on the left.
    crops = crops_of(folder, count=40)
    assert bool((crops[..., 0].mean((1, 2)) > crops[..., -1].mean((1, 2))).any())


def test_a_crop_of_the_full_size_is_the_picture(tmp_path):
    pixels = stored_picture((32, 32))
    save_picture(tmp_path / "picture.png", pixels)
    crop = crops_of(open_folder(tmp_path), count=1)[0]
    mirrored = crop.flip(-1)
    expected = pixels / 255
    assert torch.equal(crop, expected) or torch.equal(mirrored, expected)


# Kinds of pictures


@pytest.mark.slow
@pytest.mark.parametrize("keep_in_memory", [False, True])
@pytest.mark.parametrize(
    ("name", "pixels", "color"),
    [
        ("gray.png", flat(color=(100,)), (100, 100, 100)),
        ("gray.jpg", flat(color=(100,)), (100, 100, 100)),
        ("gray16.png", flat(color=(100,), dtype=torch.uint16), (100, 100, 100)),
        ("gray_alpha.png", flat(color=(100, 255)), (100, 100, 100)),
        ("alpha.png", flat(color=(*RED, 255)), RED),
        ("transparent.png", flat(color=(*RED, 0)), (255, 255, 255)),
        ("half.png", flat(color=(*RED, 51)), (244, 224, 214)),
        ("wide.png", flat(dtype=torch.uint16), RED),
        ("wide.tif", flat(dtype=torch.uint16), RED),
        ("wide_alpha.png", flat(color=(*RED, 51), dtype=torch.uint16), (244, 224, 214)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_kinds(tmp_path, name, pixels, color, keep_in_memory):
    """What is transparent lies on white."""
    save_picture(tmp_path / name, pixels)
    assert color_of(tmp_path, keep_in_memory=keep_in_memory) == pytest.approx(color, abs=1.5)


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "L"])
def test_kinds_that_pillow_writes(tmp_path, mode):
    name = "picture.jpg" if mode == "CMYK" else "picture.png"
    Image.new("RGB", (48, 40), (255, 255, 255)).convert(mode).save(tmp_path / name)
    assert color_of(tmp_path) == pytest.approx((255, 255, 255), abs=6)


def test_rotated_by_exif(tmp_path):
    """Upright it is 40 wide and 48 high, black above and white below."""
    pixels = torch.zeros(3, 40, 48, dtype=torch.uint8)
    pixels[..., :24] = 255
    stored = pyvips.Image.new_from_array(pixels.permute(1, 2, 0).numpy(), interpretation="srgb")
    rotated = stored.copy()
    rotated.set_type(pyvips.GValue.gint_type, "orientation", 8)  # turned left to be upright
    rotated.write_to_file(str(tmp_path / "picture.jpg"), Q=100)
    folder = open_folder(tmp_path, 40)
    assert list(folder.sizes.values()) == [(48, 40)]
    crops = crops_of(folder, count=4, edge=40)
    assert bool((crops[..., :10, :].mean((1, 2, 3)) < 0.05).all())
    assert bool((crops[..., -10:, :].mean((1, 2, 3)) > 0.95).all())


def test_floating_pixels_are_left_out(tmp_path):
    """Their range is not known: taken for 0..255 or for 0..1, one of both turns white or black."""
    path = tmp_path / "float.tif"
    pyvips.Image.black(48, 40, bands=3).cast("float").write_to_file(str(path))
    save_pictures(tmp_path, 1)
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append)
    assert said == [f"skipping {path}: not a readable picture of 8 or 16 bits per channel"]
    assert list(folder.names.values()) == ["picture0.png"]


# Broken pictures


def test_files_that_are_no_pictures(tmp_path):
    save_pictures(tmp_path, 1)
    (tmp_path / "text.jpg").write_text("this is no JPEG")
    (tmp_path / "empty.png").write_bytes(b"")
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append)
    assert said == [
        f"skipping {tmp_path / name}: not a readable picture of 8 or 16 bits per channel"
        for name in ("empty.png", "text.jpg")
    ]
    assert crops_of(folder).shape == (3, 3, 32, 32)


def test_a_folder_without_readable_pictures(tmp_path):
    (tmp_path / "text.jpg").write_text("this is no JPEG")
    assert refusal(tmp_path) == (
        f"none of the 1 pictures in {tmp_path} can be cropped to 32 px "
        "(largest short side: 0); use larger pictures, or lower image_size"
    )


def truncate(path) -> None:
    encoded = path.read_bytes()
    path.write_bytes(encoded[: len(encoded) // 2])


@pytest.mark.slow
@pytest.mark.parametrize("keep_in_memory", [False, True])
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
def test_truncated_pictures_are_reported_once_and_left_out(tmp_path, ending, keep_in_memory):
    """They open as whole pictures, and libvips would fill in gray or black."""
    save_pictures(tmp_path, 1)
    path = tmp_path / f"truncated{ending}"
    # Pillow writes a TIFF's directory first: such a file opens whole, and lacks its end.
    pixels = stored_picture((200, 300)).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path, **({"compression": "raw"} if ending == ".tif" else {}))
    truncate(path)
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append, keep_in_memory=keep_in_memory)
    assert said == []
    assert set(folder.sizes) == {path, tmp_path / "picture0.png"}
    crops = crops_of(folder, count=20)
    assert len(said) == 1
    assert said[0].startswith(f"skipping {path}: it is broken (")
    assert said[0].endswith(")")
    assert "\n" not in said[0]
    assert folder.broken == {path}
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "picture0.png", alone)
    # All crops are of the whole picture: as bright as it is.
    expected = float(crops_of(open_folder(alone), count=20).mean())
    assert float(crops.mean()) == pytest.approx(expected, abs=0.02)


def save_damaged_jpeg(path):
    """A progressive JPEG with 60 changed bytes, of which libjpeg warns."""
    pixels = stored_picture((200, 300)).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path, quality=95, progressive=True)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = bytes(60)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("keep_in_memory", [False, True])
def test_damaged_pictures_are_reported_once_and_used(tmp_path, keep_in_memory):
    path = save_damaged_jpeg(tmp_path / "damaged.jpg")
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append, keep_in_memory=keep_in_memory)
    assert crops_of(folder, count=6).shape[0] == 6
    assert len(said) == 1
    assert said[0].startswith(f"{path} is damaged (")
    assert said[0].endswith("), and some of its pixels may be wrong; get it again")
    assert folder.damaged == {path}
    assert not folder.broken


def test_a_damaged_style_is_warned_of(tmp_path, caplog):
    path = save_damaged_jpeg(tmp_path / "damaged.jpg")
    assert load_style(path, 16).shape == (1, 3, 16, 24)
    [record] = [r for r in caplog.records if r.name == "urst_core.formats.image_file"]
    assert record.getMessage().startswith(f"picture {path} is damaged (")


@pytest.mark.slow
def test_draws_do_not_depend_on_earlier_broken_pictures(tmp_path):
    """Or a resumed run would see other pictures than one that was never stopped."""
    save_pictures(tmp_path, 5)
    path = save_picture(tmp_path / "broken.jpg", stored_picture((200, 300)))
    truncate(path)

    def opened():
        return PictureFolder.open([tmp_path], 32, report=lambda _: None)

    experienced = opened()
    early = [crops_of(experienced, count=4, seed=n) for n in range(6)]
    assert experienced.broken == {path}
    late = opened()
    assert torch.equal(crops_of(late, count=4, seed=5), early[5])
    assert all(torch.equal(crops_of(late, count=4, seed=n), early[n]) for n in range(6))


def test_a_picture_that_vanishes(tmp_path):
    save_pictures(tmp_path, 3)
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append)
    (tmp_path / "picture1.png").unlink()
    assert crops_of(folder, count=20).shape[0] == 20
    assert len(said) == 1
    assert said[0].startswith(f"skipping {tmp_path / 'picture1.png'}: it is broken (")


def test_all_pictures_broken(tmp_path):
    paths = [save_picture(tmp_path / f"{n}.jpg", stored_picture((200, 300))) for n in range(3)]
    for path in paths:
        truncate(path)
    said = []
    folder = PictureFolder.open([tmp_path], 32, report=said.append)
    with pytest.raises(TrainingError) as caught:
        crops_of(folder)
    assert len(said) == 3
    last = said[-1].removeprefix("skipping ").split(": it is broken")[0]
    assert str(caught.value) == f"all 3 pictures are broken, {last} last; get them again"
    assert last in map(str, paths)


# One style picture


def test_style_is_shrunk_to_its_short_side(tmp_path):
    path = save_picture(tmp_path / "style.png", flat((40, 80)))
    style = load_style(path, 16)
    assert style.shape == (1, 3, 16, 32)
    assert (255 * style.mean((0, 2, 3))).tolist() == pytest.approx(RED, abs=0.1)


def test_style_of_the_very_size(tmp_path):
    pixels = stored_picture((16, 20))
    style = load_style(save_picture(tmp_path / "style.png", pixels), 16)
    assert torch.equal(style[0], pixels / 255)


def test_refused_styles(tmp_path):
    def said(path):
        with pytest.raises(TrainingError) as caught:
            load_style(path, 16)
        return str(caught.value)

    small = save_picture(tmp_path / "small.png", stored_picture((15, 40)))
    assert said(small) == f"style {small} (40 x 15 px) is smaller than 16 px; use a larger one"
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    for path in (tmp_path / "absent.jpg", tmp_path, text):
        assert said(path) == f"style {path} is missing, or not a picture; name a picture file"
    broken = save_picture(tmp_path / "broken.jpg", stored_picture((200, 300)))
    truncate(broken)
    message = said(broken)
    assert message.startswith(f"style {broken} is broken (")
    assert message.endswith("); get it again")


def test_libvips_missing(tmp_path, monkeypatch):
    save_picture(tmp_path / "picture.png", (255 * picture((40, 40))).to(torch.uint8))
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(ImageError, match="image files need libvips"):
        PictureFolder.open([tmp_path], 32, report=pytest.fail)
