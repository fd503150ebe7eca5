"""nodes.sample_pictures: the pictures that templates begin with."""

from __future__ import annotations

import asyncio

import pytest
from PIL import Image

NAMES = ["urst_clip.mp4", "urst_painting.jpg", "urst_painting_2.jpg", "urst_photograph.jpg"]


def offer(pack):
    asyncio.run(pack.comfy_entrypoint())


def test_the_start_copies_them_and_keeps_what_is_there(pack, base):
    folder = base / "input"
    (folder / NAMES[0]).write_bytes(b"the user's own")
    offer(pack)
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert (folder / NAMES[0]).read_bytes() == b"the user's own"
    with Image.open(folder / "urst_photograph.jpg") as photograph:
        assert photograph.size == (1536, 1024)


def test_no_folder_is_created_for_them(pack, base):
    (base / "input").rmdir()
    offer(pack)
    assert not (base / "input").exists()


def test_a_folder_that_cannot_be_written_to_is_told(pack, part, base, monkeypatch, caplog):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(part("nodes.sample_pictures").shutil, "copyfile", refuse)
    offer(pack)
    assert "sample pictures cannot be copied" in caplog.text
    assert list((base / "input").iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_they_are_small(part, name):
    assert (part("nodes.sample_pictures").FOLDER / name).stat().st_size < 420_000
