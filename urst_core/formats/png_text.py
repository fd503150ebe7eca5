"""Texts in PNG files, in the plain form that every reader supports.

libvips packs them (``zTXt``), which web pages that look for a text do not unpack.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

END_CHUNK = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
"""What a PNG ends with."""

LONGEST_KEYWORD = 79


def append_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Put texts at the end of a PNG file, where they cost no second copy of it.

    Args:
        path: a complete PNG file.
        texts: by keyword; a character beyond Latin-1 becomes a question mark, and what a keyword
            has beyond 79 characters is cut off: the format allows no more.

    Raises:
        OSError: the disk is full or failing, or the file is not a complete PNG.
    """
    with path.open("r+b") as file:
        file.seek(-len(END_CHUNK), 2)
        if file.read() != END_CHUNK:
            raise OSError(f"{path} is not a complete PNG file")
        file.seek(-len(END_CHUNK), 2)
        for keyword, text in texts.items():
            key = keyword.encode("latin-1", "replace")[:LONGEST_KEYWORD]
            content = b"tEXt" + key + b"\0" + text.encode("latin-1", "replace")
            file.write(struct.pack(">I", len(content) - 4) + content)
            file.write(struct.pack(">I", zlib.crc32(content)))
        file.write(END_CHUNK)
