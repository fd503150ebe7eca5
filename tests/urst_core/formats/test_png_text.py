"""urst_core.formats.png_text, and the texts of a picture's metadata."""

from __future__ import annotations

import json

import pytest
import torch
from examples import load_picture, stored_picture
from PIL import Image

from urst_core.formats import png_text
from urst_core.formats.open import ImageFileCanvas, copy_picture
from urst_core.formats.png_text import insert_texts
from urst_core.pictures.metadata import PictureMetadata
from urst_core.pictures.source import TensorSource


class Described(TensorSource):
    metadata = PictureMetadata(
        texts={"prompt": json.dumps({"1": "é" * 3}), "a note": "x" * 100_000}
    )


@pytest.mark.parametrize("block", [100, 1 << 24])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_texts_are_plain_and_the_picture_is_as_it_was(tmp_path, dtype, block, monkeypatch):
    monkeypatch.setattr(png_text, "BLOCK_BYTES", block)
    source, path = Described(stored_picture((40, 60), dtype)), tmp_path / "a.png"
    with ImageFileCanvas(path, source) as canvas:
        copy_picture(source, canvas)
    stored = path.read_bytes()
    assert stored.count(b"tEXtprompt\0") == 1
    assert stored.index(b"tEXta note") < stored.index(b"IDAT")
    assert stored.endswith(b"IEND\xaeB`\x82")
    with Image.open(path) as image:
        image.load()
        assert image.text == Described.metadata.texts
    with Image.open(path) as image:
        image.verify()
    assert torch.equal(load_picture(path), source.pixels)


def test_other_formats_leave_texts_out(tmp_path):
    source, path = Described(stored_picture((40, 60))), tmp_path / "a.tif"
    with ImageFileCanvas(path, source) as canvas:
        copy_picture(source, canvas)
    assert b"xxxxxxxxxx" not in path.read_bytes()


def test_invalid_png_keywords_are_adapted(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    insert_texts(path, {"k" * 90: "1", "→": "2"})
    with Image.open(path) as image:
        image.load()
        assert image.text == {"k" * 79: "1", "?": "2"}


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="is not a complete PNG file"):
        insert_texts(path, {"a": "b"})
