"""The header that makes raw pixels a TIFF: not compressed, row after row.

Any program opens such a file, also a half-finished one; and libvips reads it in bands, where it
would map a file of pixels alone into memory as a whole.

    ┌────────┬───────────┬──────────────┬─────────────┬───────────────────────────┐
    │ BigTIFF│ directory │ where strips │ how many    │ pixels, from the top left │
    │ 16 B   │ of tags   │ begin        │ bytes each  │                           │
    └────────┴───────────┴──────────────┴─────────────┴───────────────────────────┘
"""

from __future__ import annotations

import struct
import sys

from ..pictures.source import Raster

STRIP_BYTES = 1 << 20
"""About how many bytes of rows make a strip: readers hold one at a time."""

SHORT, LONG, LONG8 = (3, "H"), (4, "I"), (16, "Q")
"""Types of a tag's values, by TIFF's number and :mod:`struct`'s letter."""

RGB, CHUNKY, UNASSOCIATED_ALPHA, UNCOMPRESSED = 2, 1, 2, 1
UNSIGNED, FLOATING = 1, 3


def raw_tiff_header(picture: Raster) -> bytes:
    """The header before the pixels of a picture: its size, channels and dtype.

    Its length is a multiple of 16 and depends on the picture's size only.
    """
    height, width = picture.size
    channels, dtype = picture.channels, picture.dtype
    row_bytes = width * channels * dtype.itemsize
    rows = max(1, STRIP_BYTES // row_bytes)
    counts = [min(rows, height - top) * row_bytes for top in range(0, height, rows)]
    tags: list[tuple[int, tuple[int, str], list[int]]] = [
        (256, LONG, [width]),
        (257, LONG, [height]),
        (258, SHORT, [8 * dtype.itemsize] * channels),
        (259, SHORT, [UNCOMPRESSED]),
        (262, SHORT, [RGB]),
        (273, LONG8, [0] * len(counts)),
        (277, SHORT, [channels]),
        (278, LONG, [rows]),
        (279, LONG8, counts),
        (284, SHORT, [CHUNKY]),
        (338, SHORT, [UNASSOCIATED_ALPHA]),
        (339, SHORT, [FLOATING if dtype.is_floating_point else UNSIGNED] * channels),
    ]
    if channels == 3:
        tags = [tag for tag in tags if tag[0] != 338]
    start = len(_assembled(tags))
    offsets = [start + index * rows * row_bytes for index in range(len(counts))]
    return _assembled([(tag, kind, offsets if tag == 273 else v) for tag, kind, v in tags])


def _assembled(tags: list[tuple[int, tuple[int, str], list[int]]]) -> bytes:
    """A BigTIFF's beginning; values that do not fit into their tag follow the directory."""
    order = "<" if sys.byteorder == "little" else ">"
    first_directory = 16
    directory_bytes = 8 + 20 * len(tags) + 8
    entries, values = b"", b""
    for tag, (type_number, letter), numbers in tags:
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(packed) > 8:
            place = first_directory + directory_bytes + len(values)
            values += packed
            packed = struct.pack(order + "Q", place)
        entries += struct.pack(order + "HHQ", tag, type_number, len(numbers)) + packed.ljust(
            8, b"\0"
        )
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(order + "HHHQ", 43, 8, 0, first_directory)
    header += struct.pack(order + "Q", len(tags)) + entries + struct.pack(order + "Q", 0) + values
    return header + bytes(-len(header) % 16)
