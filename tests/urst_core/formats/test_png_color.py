"""PNG color chunks that are not supported cause a warning."""

from __future__ import annotations

import struct
import zlib

import pytest
from examples import save_picture, stored_picture

from urst_core.formats.image_file import ImageFile
from urst_core.formats.png_color import unread_color

SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
WIDE = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
LINEAR = (b"gAMA", struct.pack(">I", 100_000))
PQ = (b"cICP", bytes([9, 16, 0, 1]))


def with_chunks(path, *chunks):
    """The PNG with chunks behind its first."""
    stored = path.read_bytes()
    added = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    path.write_bytes(stored[:33] + added + stored[33:])
    return path


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([], None),
        ([LINEAR], "gAMA 1.00000"),
        ([(b"gAMA", struct.pack(">I", 45_455))], None),
        ([(b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", struct.pack(">8I", *SRGB))], None),
        (
            [(b"cHRM", struct.pack(">8I", *WIDE))],
            "cHRM 0.3127 0.3290 0.7080 0.2920 0.1700 0.7970 0.1310 0.0460",
        ),
        ([PQ], "cICP 9/16"),
        ([(b"cICP", bytes([1, 13, 0, 1]))], None),
        ([(b"cICP", bytes([1, 13, 0, 1])), LINEAR], None),
        ([(b"sRGB", b"\0"), LINEAR], None),
        ([(b"sRGB", b"\0"), PQ], "cICP 9/16"),
        ([(b"gAMA", b"\0")], None),
    ],
)
def test_unread_color_chunks(tmp_path, chunks, said, caplog):
    path = with_chunks(save_picture(tmp_path / "a.png", stored_picture((8, 9))), *chunks)
    assert unread_color(path) == said
    if any(len(data) == 1 and name == b"gAMA" for name, data in chunks):
        return
    ImageFile(path)
    expected = (
        []
        if said is None
        else [
            f"picture {path} describes its colors by {said}, which is not read: they are taken for "
            "sRGB, and the result does not say it; convert the picture to one with an ICC profile"
        ]
    )
    assert [r.getMessage() for r in caplog.records if r.name.startswith("urst_core")] == expected


def test_a_profile_takes_precedence(tmp_path):
    path = save_picture(tmp_path / "a.png", stored_picture((8, 9)))
    assert unread_color(with_chunks(path, LINEAR, (b"iCCP", bytes(300)))) is None


@pytest.mark.parametrize("length", [0, 5, 20, 40, 60])
def test_incomplete_png_files(tmp_path, length):
    path = with_chunks(save_picture(tmp_path / "a.png", stored_picture((8, 9))), LINEAR)
    path.write_bytes(path.read_bytes()[:length])
    assert unread_color(path) in (None, "gAMA 1.00000")
