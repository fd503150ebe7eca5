"""Lattice noise, color mixing and scale, whose results never depend on how arrays are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# float32 in fact: numpy's stubs take a float32 array times a Python float for float64.
FloatArray = NDArray[np.floating[Any]]
Color = tuple[float, float, float]


class LatticeNoise:
    """Smooth noise in -1..1 from a repeating 256 x 256 lattice of hashed values.

    Only operations that IEEE 754 rounds exactly (and table look-ups) are used: a value
    depends on its coordinates alone, never on the shape of the array it sits in, which
    is not so for vectorized sines, exponentials or matrix products.
    """

    def __init__(self, seed: int) -> None:
        state = np.arange(1 << 16, dtype=np.uint64) + np.uint64((seed % 65521) << 16)
        for multiplier in (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93):
            state = (state + np.uint64(1)) * np.uint64(multiplier)
            state ^= state >> np.uint64(32)
        low_bits = (state & np.uint64(0xFFFF)).astype(np.float32)
        self._values = low_bits / np.float32(32768.0) - np.float32(1.0)

    def at_lattice(self, column: FloatArray, row: FloatArray) -> FloatArray:
        """Independent values in -1..1 for whole-numbered coordinates."""
        index = ((row.astype(np.int32) & 255) << 8) | (column.astype(np.int32) & 255)
        return self._values.take(index)

    def smooth(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """One octave; lattice cells are 1 x 1 in the units of u and v."""
        column, row = np.floor(u), np.floor(v)
        across, down = u - column, v - row
        across = across * across * (3.0 - 2.0 * across)
        down = down * down * (3.0 - 2.0 * down)
        left = column.astype(np.int32) & 255
        right = (left + 1) & 255
        above = (row.astype(np.int32) & 255) << 8
        below = (above + 256) & 0xFF00
        upper = self._values.take(above | left)
        upper += (self._values.take(above | right) - upper) * across
        lower = self._values.take(below | left)
        lower += (self._values.take(below | right) - lower) * across
        lower -= upper
        lower *= down
        return np.add(upper, lower)

    def fractal(
        self,
        u: FloatArray,
        v: FloatArray,
        octaves: int,
        gain: float = 0.5,
        *,
        creased: bool = False,
    ) -> FloatArray:
        """Sum of octaves, each turned by 37 degrees to hide the lattice; about -1..1.

        Creased octaves are folded at zero, which makes sharp valleys; about 0..1.
        """
        total = np.zeros(np.broadcast_shapes(u.shape, v.shape), np.float32)
        amplitude = (1.0 - gain) * 1.6
        for _ in range(octaves):
            octave = self.smooth(u, v)
            total += amplitude * (np.abs(octave) if creased else octave)
            u, v = 1.6 * u + 1.2 * v + 17.3, 1.6 * v - 1.2 * u + 5.9
            amplitude *= gain
        return total


def clamped(values: FloatArray, low: float, high: float) -> FloatArray:
    """Values kept within low..high."""
    return np.minimum(np.maximum(values, low), high)


def step(values: FloatArray, start: float, end: float) -> FloatArray:
    """0 where values are before start, 1 after end, a smooth S between."""
    t = clamped((values - start) * (1.0 / (end - start)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def blend(picture: FloatArray, color: Color | FloatArray, weight: FloatArray) -> None:
    """Mix a color, or a (3, h, w) picture of colors, into picture; weight is 0..1.

    Weights of 0 and 1 are exact, so what is hidden or absent may as well not be computed.
    """
    rest = 1.0 - weight
    for channel in range(3):
        picture[channel] *= rest
        picture[channel] += color[channel] * weight


def mixed(first: Color, second: Color, weight: FloatArray) -> FloatArray:
    """(3, h, w) colors that go from first to second as weight goes from 0 to 1."""
    return np.stack([a + (b - a) * weight for a, b in zip(first, second, strict=True)])


class Frame:
    """The scale of a picture of (height, width) pixels, and the noise it is made of."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self._height = size[0]
        self.noise = LatticeNoise(seed)
        self.aspect = size[1] / size[0]
        # How far from a shape, in picture heights, its antialiased edge may still reach.
        self.edge = 1.0 / size[0]

    def octaves(self, cells_per_height: float, limit: int = 12) -> int:
        """Octaves from that coarsest lattice down to cells of about two pixels."""
        finest = self._height / (2.0 * cells_per_height)
        return max(1, min(limit, int(np.log2(max(finest, 1.0))) + 1))

    def coverage(self, distance: FloatArray) -> FloatArray:
        """Share of a pixel inside a shape, from the signed distance in picture heights."""
        return clamped(distance * self._height + 0.5, 0.0, 1.0)
