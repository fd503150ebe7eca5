"""Pictures of folders and patterns: which are found, in which order, under which labels."""

from __future__ import annotations

import pytest

from urst_core.errors import Change, ImageError
from urst_core.formats.find_pictures import find_pictures, is_several, searched_folder

FILES = (
    *("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "[1].tif"),
    *("2024/lake.jpg", "2024/may/hut.webp", ".cache/x.jpg", "painted/b_monet.jpg"),
    "scan.zarr/zarr.json",
)


@pytest.fixture
def photos(tmp_path):
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def labels(place, **options):
    return [picture.label for picture in find_pictures(place, **options)]


def test_a_folder(photos):
    assert labels(photos) == ["[1]", "a", "b", "scan"]


def test_a_folder_and_its_subfolders(photos):
    found = labels(photos, recursive=True, leave_out=photos / "painted")
    assert found == ["2024/lake", "2024/may/hut", "[1]", "a", "b", "scan"]
    assert "painted/b_monet" in labels(photos, recursive=True)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b"]),
        ("*", ["[1]", "a", "b", "notes"]),
        ("**/*.jpg", ["2024/lake", "b"]),
        ("2024/**/*", ["lake", "may/hut"]),
        ("[ab].*", ["a", "b"]),
        ("[1].tif", ["[1]"]),
    ],
)
def test_a_pattern(photos, pattern, expected):
    assert labels(photos / pattern, leave_out=photos / "painted") == expected


def test_a_file(photos):
    [picture] = find_pictures(photos / "2024" / "lake.jpg")
    assert (picture.path, picture.label) == (photos / "2024" / "lake.jpg", "lake")


def test_what_means_several(photos):
    assert is_several(photos)
    assert is_several(photos / "*.jpg")
    assert not is_several(photos / "[1].tif")
    assert not is_several(photos / "scan.zarr")
    assert not is_several(photos / "absent.jpg")
    assert searched_folder(photos / "2024" / "*.jpg") == photos / "2024"
    assert searched_folder(photos / "b.jpg") is None


def test_without_pictures(photos):
    (photos / "empty").mkdir()
    (photos / "empty" / "scan.bmp").touch()  # libvips reads none
    with pytest.raises(ImageError, match="empty has no pictures; name another folder") as caught:
        find_pictures(photos / "empty")
    assert caught.value.remedies[-1] == Change("recursive", True)
    with pytest.raises(ImageError, match=r"no file matches .*\*\.bmp; check the path"):
        find_pictures(photos / "*.bmp")
