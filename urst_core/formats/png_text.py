"""Texts in PNG files, in the plain form that every reader supports.

libvips packs them (``zTXt``), which web pages that look for a text do not unpack.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"

HEADER_BYTES = len(SIGNATURE) + 25
"""The signature and the chunk IHDR, which comes first in every file."""

END_CHUNK = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
"""What a PNG ends with."""

LONGEST_KEYWORD = 79

BLOCK_BYTES = 1 << 24
"""So much of a file is moved at a time."""


def insert_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Put texts before the pixels of a PNG file, where readers that stop there find them.

    The rest of the file moves back within it, without a second copy on the disk or in memory.

    Args:
        path: a complete PNG file.
        texts: by keyword; a character beyond Latin-1 becomes a question mark, and what a keyword
            has beyond 79 characters is cut off: the format allows no more.

    Raises:
        OSError: the disk is full or failing, or the file is not a complete PNG.
    """
    chunks = b"".join(_chunk(keyword, text) for keyword, text in texts.items())
    with path.open("r+b") as file:
        start = file.read(len(SIGNATURE))
        end = file.seek(-len(END_CHUNK), 2) + len(END_CHUNK)
        if start != SIGNATURE or file.read() != END_CHUNK:
            raise OSError(f"{path} is not a complete PNG file")
        if not chunks:
            return
        _move_back(file, HEADER_BYTES, end, len(chunks))
        file.seek(HEADER_BYTES)
        file.write(chunks)


def _chunk(keyword: str, text: str) -> bytes:
    key = keyword.encode("latin-1", "replace")[:LONGEST_KEYWORD]
    content = b"tEXt" + key + b"\0" + text.encode("latin-1", "replace")
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def _move_back(file: BinaryIO, start: int, end: int, distance: int) -> None:
    """Move the bytes from ``start`` to ``end`` toward the end of the file, the last ones first."""
    while end > start:
        first = max(start, end - BLOCK_BYTES)
        file.seek(first)
        block = file.read(end - first)
        file.seek(first + distance)
        file.write(block)
        end = first
