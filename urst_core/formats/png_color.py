"""Colors of a PNG that chunks describe, which libvips does not read, as an ICC profile.

Chunks before the pixels: ``cICP`` (numbers of H.273, as videos have), or ``gAMA`` and ``cHRM``.
``cICP`` takes precedence over all others where it is understood, ``iCCP`` and ``sRGB`` over the
latter two (PNG, third edition, section 4.3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .icc_profile import Curve, Primaries, rgb_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"

SRGB_CICP = (1, 13)
"""Primaries of BT.709 and the transfer function of sRGB."""

RGB_FULL_RANGE = (0, 1)
"""The matrix and the range that a PNG has: RGB, from 0 to the largest value."""

SRGB_GAMMA = 45_455
"""1 / 2.2, times 100,000."""

GAMMA_TOLERANCE = 1_000
LARGEST_EXPONENT = 5.0
"""Of a curve, or one by it; others are not meant."""

SRGB_PRIMARIES = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
"""x and y of white, red, green, blue, times 100,000."""

PRIMARIES_TOLERANCE = 500

COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")

LONGEST_COLOR_CHUNK = 64

D65 = (0.3127, 0.3290)
BT_709 = Primaries(D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
PRIMARIES = {
    1: BT_709,
    9: Primaries(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: Primaries(D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
"""By their numbers in H.273, table 2."""

_BT_709_CURVE = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
CURVES = {
    **dict.fromkeys((1, 6, 14, 15), _BT_709_CURVE),
    4: Curve(2.2),
    5: Curve(2.8),
    8: Curve(1.0),
    13: Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),  # sRGB
}
"""By their numbers in H.273, table 3. HDR curves (PQ, HLG) need tone mapping and are left out."""


@dataclass(frozen=True)
class PngColor:
    """How a PNG describes its colors, where that is neither sRGB nor a profile.

    Attributes:
        described: the chunks, for messages: ``gAMA 1.00000``, ``cICP 9/16``.
        profile: a profile that says the same; None if they are not supported.
    """

    described: str
    profile: bytes | None


def png_color(path: Path) -> PngColor | None:
    """Read how a PNG describes its colors; None if they are sRGB, in a profile, or not described.

    Example:
        A screenshot of a Mac gives ``cICP 12/13`` and the profile of Display P3, a still of an HDR
        film ``cICP 9/16`` and no profile.
    """
    found = dict(_color_chunks(path))
    cicp = found.get(b"cICP", b"")
    if len(cicp) == 4:
        color = _of_cicp(cicp)
        if color is None or color.profile is not None or b"iCCP" not in found:
            return color
    if b"iCCP" in found or b"sRGB" in found:
        return None
    return _of_gamma(found.get(b"gAMA", b""), found.get(b"cHRM", b""))


def _of_cicp(chunk: bytes) -> PngColor | None:
    color, rest = tuple(chunk[:2]), tuple(chunk[2:])
    if color == SRGB_CICP:
        return None
    described = f"cICP {color[0]}/{color[1]}"
    primaries, curve = PRIMARIES.get(color[0]), CURVES.get(color[1])
    if primaries is None or curve is None or rest != RGB_FULL_RANGE:
        return PngColor(described, None)
    return PngColor(described, rgb_profile(described, primaries, curve))


def _of_gamma(gamma: bytes, chromaticities: bytes) -> PngColor | None:
    """Colors by a power and by primaries; sRGB primaries if only a power is given."""
    described: list[str] = []
    curve, primaries = None, BT_709
    if len(gamma) == 4:
        (value,) = struct.unpack(">I", gamma)
        if abs(value - SRGB_GAMMA) > GAMMA_TOLERANCE:
            described.append(f"gAMA {value / 1e5:.5f}")
        if value and 1 / LARGEST_EXPONENT <= 1e5 / value <= LARGEST_EXPONENT:
            curve = Curve(1e5 / value)
    if len(chromaticities) == 32:
        values = struct.unpack(">8I", chromaticities)
        if any(abs(a - b) > PRIMARIES_TOLERANCE for a, b in zip(values, SRGB_PRIMARIES)):
            described.append("cHRM " + " ".join(f"{value / 1e5:.4f}" for value in values))
            pairs = [(x / 1e5, y / 1e5) for x, y in zip(values[::2], values[1::2])]
            primaries = Primaries(*pairs)
    if not described:
        return None
    return PngColor(" and ".join(described), _profile(" and ".join(described), primaries, curve))


def _profile(described: str, primaries: Primaries, curve: Curve | None) -> bytes | None:
    """A profile; None without a curve, or if no profile can describe these colors."""
    try:
        return None if curve is None else rgb_profile(described, primaries, curve)
    except (ValueError, struct.error):  # no colors, or beyond what a profile can store
        return None


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
