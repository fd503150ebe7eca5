"""ICC profiles (ISO 15076-1, version 4.3) of RGB with given primaries and one curve.

::

    header, 128 bytes | number of tags | name, offset, length of each | contents of the tags

Colors are stored relative to D50; a matrix (Bradford's) says how the white was adapted to it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float64]]

D50 = (0.9642, 1.0, 0.8249)
"""XYZ of the profile connection space's white."""

BRADFORD: Matrix = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

VERSION = 0x04300000
DATE = (2020, 1, 1, 0, 0, 0)
"""The same for all, so that the same colors give the same profile."""


@dataclass(frozen=True)
class Primaries:
    """Chromaticities, x and y, of white, red, green and blue."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]

    def to_xyz(self) -> Matrix:
        """The matrix from linear RGB to XYZ, in which white has Y = 1.

        Raises:
            ValueError: there is no such matrix.

        Example:
            >>> D65 = (0.3127, 0.3290)
            >>> srgb = Primaries(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
            >>> [round(float(y), 4) for y in srgb.to_xyz()[1]]
            [0.2126, 0.7152, 0.0722]
        """
        chromaticities = (self.white, self.red, self.green, self.blue)
        if any(y <= 0 for _, y in chromaticities):
            raise ValueError(f"primaries {chromaticities} are not colors")
        white, *columns = (np.array([x / y, 1.0, (1.0 - x - y) / y]) for x, y in chromaticities)
        try:
            return np.stack(columns, 1) * np.linalg.solve(np.stack(columns, 1), white)
        except np.linalg.LinAlgError as error:
            raise ValueError(f"primaries {chromaticities} span no colors") from error

    def adaptation(self) -> Matrix:
        """Bradford's matrix from this white to D50."""
        white = self.to_xyz().sum(1)
        scale = (BRADFORD @ np.array(D50)) / (BRADFORD @ white)
        return np.linalg.inv(BRADFORD) @ (scale[:, None] * BRADFORD)


@dataclass(frozen=True)
class Curve:
    """From stored values to linear light: ``(a x + b) ** gamma`` from ``start``, ``c x`` below."""

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    start: float = 0.0


def rgb_profile(description: str, primaries: Primaries, curve: Curve) -> bytes:
    """An ICC profile.

    Args:
        description: its name, in ASCII.
        primaries: of the colors.
        curve: of all channels.

    Raises:
        ValueError: the primaries span no colors.
    """
    adaptation = primaries.adaptation()
    columns = (adaptation @ primaries.to_xyz()).T
    curves = _parametric(curve)
    tags = {
        b"desc": _text(description),
        b"cprt": _text("CC0"),
        b"wtpt": _xyz(D50),
        b"chad": b"sf32" + bytes(4) + _fixed(adaptation.ravel()),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curves),
    }
    start = 128 + 4 + 12 * len(tags)
    table, contents = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for name, content in tags.items():
        if content not in places:
            places[content] = start + len(contents)
            contents += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    return _header(start + len(contents)) + table + contents


def _header(length: int) -> bytes:
    head = struct.pack(
        ">I4xI4s4s4s6H4s", length, VERSION, b"mntr", b"RGB ", b"XYZ ", *DATE, b"acsp"
    )
    return head.ljust(68, b"\0") + _fixed(D50) + bytes(48)


def _fixed(values: Sequence[float] | Matrix) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _xyz(values: Sequence[float] | Matrix) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _text(text: str) -> bytes:
    stored = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(stored), 28) + stored


def _parametric(curve: Curve) -> bytes:
    """Function 0 of ``parametricCurveType``, a power, or function 3."""
    if curve.start == 0:
        return b"para" + struct.pack(">4xHxx", 0) + _fixed([curve.gamma])
    values = [curve.gamma, curve.a, curve.b, curve.c, curve.start]
    return b"para" + struct.pack(">4xHxx", 3) + _fixed(values)
