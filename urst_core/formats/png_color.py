"""What a PNG says about its colors besides an ICC profile, which libvips does not read.

Chunks before the pixels: ``cICP`` (numbers of H.273, as videos have), or ``gAMA`` and ``cHRM``.
``sRGB`` and ``iCCP`` take precedence over the latter two.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"

SRGB_CICP = (1, 13)
"""Primaries of BT.709 and the transfer function of sRGB."""

SRGB_GAMMA = 45_455
"""1 / 2.2, times 100,000."""

GAMMA_TOLERANCE = 1_000

SRGB_PRIMARIES = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
"""x and y of white, red, green, blue, times 100,000."""

PRIMARIES_TOLERANCE = 500

COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")

LONGEST_COLOR_CHUNK = 64


def unread_color(path: Path) -> str | None:
    """How a PNG describes its colors, where that is neither sRGB nor a profile; else None.

    Example:
        A PNG of a game with linear colors gives ``gAMA 1.00000``, a still of an HDR film
        ``cICP 9/16``.
    """
    found = dict(_color_chunks(path))
    cicp = found.get(b"cICP", b"")
    if len(cicp) == 4:
        return None if tuple(cicp[:2]) == SRGB_CICP else f"cICP {cicp[0]}/{cicp[1]}"
    if b"iCCP" in found or b"sRGB" in found:
        return None
    said: list[str] = []
    gamma, primaries = found.get(b"gAMA", b""), found.get(b"cHRM", b"")
    if len(gamma) == 4:
        (value,) = struct.unpack(">I", gamma)
        if abs(value - SRGB_GAMMA) > GAMMA_TOLERANCE:
            said.append(f"gAMA {value / 1e5:.5f}")
    if len(primaries) == 32:
        values = struct.unpack(">8I", primaries)
        if any(abs(a - b) > PRIMARIES_TOLERANCE for a, b in zip(values, SRGB_PRIMARIES)):
            said.append("cHRM " + " ".join(f"{value / 1e5:.4f}" for value in values))
    return " and ".join(said) or None


def _color_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Chunks about color, by their names; empty if the file is not a PNG."""
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name in (b"IDAT", b"IEND"):
                return
            if name in COLOR_CHUNKS and length <= LONGEST_COLOR_CHUNK:
                yield name, file.read(length)
                file.seek(4, 1)
                continue
            if name in COLOR_CHUNKS:
                yield name, b""
            file.seek(length + 4, 1)
