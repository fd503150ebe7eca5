"""The content picture of `urst demo`: a mountain lake at sunset, of any size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ShapeError
from ..geometry import Rectangle
from .noise import Color, FloatArray, Frame, blend, clamped, mixed, step
from .scenery import SUN_ACROSS, Firs, paint_firs, paint_scene

# Computed at a time: few enough pixels for every intermediate array to stay in cache.
_TILE_HEIGHT, _TILE_WIDTH = 128, 256
# Where things are: shares of the picture's height, down from the top or from the far
# shore, and of its width, from the left. The boat's scale applies to its corners below.
_WATERLINE = 0.60
_BOAT_ACROSS, _BOAT_DEPTH, _BOAT_SCALE = 0.45, 0.115, 0.77
# Ripples blur what the lake mirrors: finer octaves would only look like noise in it.
_MIRRORED_OCTAVES = 3
_ALL_OCTAVES = 12
_NEAR_FIRS = (
    Firs(0.190, 0.70, 0.88, (0.055, 0.14, 0.16)),
    Firs(0.150, 0.50, 0.78, (0.045, 0.11, 0.13)),
    Firs(0.125, 0.34, 0.70, (0.03, 0.08, 0.10)),
)
# Sails and hull: color and corners (x, y), clockwise, y down from the water, unscaled.
_BOAT: tuple[tuple[Color, Sequence[tuple[float, float]]], ...] = (
    ((1.0, 0.93, 0.78), ((0.004, -0.150), (0.060, -0.016), (0.004, -0.016))),
    ((0.93, 0.42, 0.22), ((-0.003, -0.130), (-0.003, -0.016), (-0.040, -0.016))),
    ((0.16, 0.07, 0.07), ((-0.052, -0.013), (0.062, -0.013), (0.035, 0.02), (-0.035, 0.02))),
)


class DemoLandscape:
    """A mountain lake at sunset, computed region by region at any size.

    Shapes scale with the picture's height; texture gains finer octaves with it, down to
    about two pixels. The same seed and size give the same pixels however the picture is
    cut into rectangles, and memory grows with the rectangle read, not with the picture.
    """

    def __init__(self, size: tuple[int, int], *, seed: int = 0) -> None:
        if size[0] < 1 or size[1] < 1:
            raise ShapeError(f"landscape of {size[0]} x {size[1]} px is empty; use at least 1 x 1")
        self._size = size
        self._frame = Frame(size, seed)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self._size

    @property
    def channels(self) -> int:
        return 3

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8

    def read(self, rectangle: Rectangle) -> Tensor:
        """The pixels of a rectangle inside the picture: (3, h, w) uint8, RGB."""
        top, left = rectangle.top, rectangle.left
        bottom, right = rectangle.bottom, rectangle.right
        if not (0 <= top < bottom <= self._size[0] and 0 <= left < right <= self._size[1]):
            raise ShapeError(
                f"{rectangle} is empty or leaves the landscape of {self._size}; read inside it"
            )
        pixels = np.empty((3, bottom - top, right - left), np.uint8)
        # The waterline divides tiles: no tile holds both sky and lake.
        shore = int(self._size[0] * _WATERLINE)
        cuts = sorted({*range(top, bottom, _TILE_HEIGHT), min(max(shore, top), bottom), bottom})
        for start, stop in pairwise(cuts):
            rows = np.arange(start, stop, dtype=np.float64)[:, None]
            for first in range(left, right, _TILE_WIDTH):
                last = min(first + _TILE_WIDTH, right)
                columns = np.arange(first, last, dtype=np.float64)[None, :]
                tile = self._tile(rows, columns, is_lake=start >= shore)
                pixels[:, start - top : stop - top, first - left : last - left] = tile
        return torch.from_numpy(pixels)  # pyright: ignore[reportUnknownMemberType]

    def _tile(
        self, rows: NDArray[np.float64], columns: NDArray[np.float64], *, is_lake: bool
    ) -> NDArray[np.uint8]:
        """(3, h, w) pixels of the given rows (h, 1) and columns (1, w)."""
        y = ((rows + 0.5) / self._size[0]).astype(np.float32)
        x = ((columns + 0.5) / self._size[0]).astype(np.float32)
        depth = y - np.float32(_WATERLINE)
        frame = self._frame
        height = -depth
        picture = _lake(frame, x, depth) if is_lake else paint_scene(frame, x, height, _ALL_OCTAVES)
        _paint_boat(frame, picture, x, depth)
        _paint_near_shore(frame, picture, x, 1.0 - y)
        # Fine texture that only pictures of 2000 rows and more have the pixels to show.
        octaves = min(4, frame.octaves(500.0) - 1)
        picture *= 1.0 + 0.04 * frame.noise.fractal(x * 500.0, y * 700.0, octaves, 0.6)
        # Less than a level of dither keeps the network from seeing bands in the sky.
        row, column = rows.astype(np.float32), columns.astype(np.float32)
        dither = frame.noise.at_lattice(column + 91.0 * row, row)
        return clamped(picture * 255.0 + (0.5 + 0.7 * dither), 0.0, 255.0).astype(np.uint8)


def _lake(frame: Frame, x: FloatArray, depth: FloatArray) -> FloatArray:
    """(3, h, w) rippled mirror image; depth below the far shore in heights."""
    depth = np.maximum(depth, 0.0)
    nearness = 1.0 / (depth + 0.07)
    u, v = (x - 0.5 * frame.aspect) * nearness * 0.9, nearness * 3.6
    ripple = frame.noise.fractal(u, v, max(2, frame.octaves(14.0) - 1), 0.55)
    mirrored = np.abs(depth + ripple * (0.004 + 0.10 * depth))
    picture = paint_scene(frame, x, mirrored, _MIRRORED_OCTAVES)
    off_axis = (x - SUN_ACROSS * frame.aspect) / (0.035 + 0.22 * depth)
    off_axis = off_axis * off_axis
    sun_path = 1.0 / (1.0 + off_axis * off_axis)
    tint = 0.26 + 0.4 * step(ripple + 1.6 * depth, 0.1, 1.3)
    blend(picture, (0.05, 0.16, 0.27), tint * (1.0 - 0.8 * sun_path))
    chop = frame.noise.fractal(u * 9.0, v * 2.7 + 11.0, max(1, frame.octaves(60.0) - 1), 0.58)
    picture *= 1.0 + 0.14 * chop
    glitter = step(1.3 * chop + 0.6 * ripple, -0.1, 0.35)
    blend(picture, (1.0, 0.80, 0.42), 0.85 * sun_path * glitter)
    return picture


def _polygon(
    frame: Frame, x: FloatArray, y: FloatArray, corners: Sequence[tuple[float, float]]
) -> FloatArray:
    """Coverage 0..1 of a convex polygon with corners (x, y) clockwise, y downwards."""
    inside = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf, np.float32)
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        length = float(np.hypot(x1 - x0, y1 - y0))
        across, down = (x1 - x0) / length, (y1 - y0) / length
        inside = np.minimum(inside, across * (y - y0) - down * (x - x0))
    return frame.coverage(inside * _BOAT_SCALE)


def _paint_boat(frame: Frame, picture: FloatArray, x: FloatArray, depth: FloatArray) -> None:
    """A sailing boat on the lake and its broken reflection."""
    up = (_BOAT_DEPTH - depth) * (1.0 / _BOAT_SCALE)
    across = (x - _BOAT_ACROSS * frame.aspect) * (1.0 / _BOAT_SCALE)
    if max(float(np.abs(up).min()), float(np.abs(across).min())) > 0.2 + 2.0 * frame.edge:
        return
    wave = frame.noise.smooth(x * 12.0, depth * 130.0)
    across = across + 0.16 * wave * np.maximum(-up, 0.0)
    strength = np.where(up < 0.0, np.float32(0.55), np.float32(1.0))
    for color, corners in _BOAT:
        blend(picture, color, _polygon(frame, across, -np.abs(up), corners) * strength)


def _paint_near_shore(frame: Frame, picture: FloatArray, x: FloatArray, height: FloatArray) -> None:
    """Tall firs at the sides and a meadow; height over the picture's lower edge."""
    for row, firs in enumerate(_NEAR_FIRS):
        paint_firs(frame, picture, x, height - 0.06, firs, row + 5)
    if float(height.min()) > 0.3 + frame.edge:
        return
    side = (x - 0.52 * frame.aspect) / (0.5 * frame.aspect)
    wave = frame.noise.fractal(x * 5.0, np.full_like(x, 90.5), frame.octaves(5.0))
    tuft = frame.noise.fractal(x * 26.0 + height * 9.0, height * 7.0, 3)
    lean = (5.0 * tuft + 20.0) * height
    octaves = frame.octaves(190.0) + 1
    blade = frame.noise.fractal(x * 190.0 + lean, height * 16.0, octaves, 0.6)
    bank = 0.035 + 0.11 * side * side + 0.012 * wave + 0.016 * blade + 0.008 * tuft
    sunny = clamped(0.30 + 0.75 * blade + 0.25 * tuft, 0.0, 1.0)
    sunny = sunny * step(height - bank, -0.15, 0.02)
    grass = mixed((0.04, 0.10, 0.09), (0.78, 0.62, 0.20), sunny)
    blend(picture, grass, frame.coverage(bank - height))
