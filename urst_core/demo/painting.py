"""The style picture of `urst demo`: an invented oil painting, made stroke by stroke."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ShapeError
from .noise import FloatArray, clamped


class _Brush:
    """Paints curved strokes on a canvas and keeps the thickness of the paint."""

    def __init__(self, height: int, width: int, random: np.random.Generator) -> None:
        self._size = (height, width)
        # Red, green, blue, thickness: a thin ochre ground, for it shows between strokes.
        self._layers = np.tile(np.array((0.70, 0.50, 0.16, 0.1), np.float32), (height * width, 1))
        self._random = random

    def stroke(
        self,
        center: tuple[float, float],
        angle: float,
        bend: float,
        extent: tuple[float, float],
        color: FloatArray,
    ) -> None:
        """One stroke: center (x, y), angle, bend in radians per pixel, half length and width."""
        half_length, half_width = extent
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        aside_most = half_width + 0.5 * abs(bend) * half_length * half_length + 1.0
        reach_x = abs(cosine) * half_length + abs(sine) * aside_most
        reach_y = abs(sine) * half_length + abs(cosine) * aside_most
        height, width = self._size
        left, right = max(0, int(center[0] - reach_x)), min(width, int(center[0] + reach_x) + 1)
        top, bottom = max(0, int(center[1] - reach_y)), min(height, int(center[1] + reach_y) + 1)
        if left >= right or top >= bottom:
            return
        dx = np.arange(left, right, dtype=np.float32) - center[0]
        dy = np.arange(top, bottom, dtype=np.float32)[:, None] - center[1]
        along = dx * cosine + dy * sine
        squared = along * along
        aside = dy * cosine - dx * sine - (0.5 * bend) * squared
        cover = (half_width + 0.5) - (half_width / half_length**4) * squared * squared
        cover -= np.abs(aside)
        # Most of the box is not paint: the rest is worked out for painted pixels only.
        row, column = np.nonzero(cover > 0.0)
        pixel = (row + top) * width + (column + left)
        weight = np.minimum(cover[row, column], 1.0)
        self._lay_paint(
            pixel,
            weight,
            along[row, column] / half_length,
            aside[row, column] / half_width,
            half_width,
            color,
        )

    def _lay_paint(
        self,
        pixel: NDArray[np.intp],
        weight: FloatArray,
        along: FloatArray,
        aside: FloatArray,
        half_width: float,
        color: FloatArray,
    ) -> None:
        """Paint pixels (n,) with bristle marks; along and aside are -1..1 in the stroke."""
        bristles = self._random.uniform(-1.0, 1.0, 2 * int(half_width) + 6).astype(np.float32)
        grain = bristles[(aside * half_width + (half_width + 1.5)).astype(np.intp)]
        # Some bristles run dry before the stroke ends.
        weight = weight * np.where(grain < 2.0 * along - 1.0, 0.72, 1.0)
        paint = np.empty((pixel.size, 4), np.float32)
        paint[:, :3] = color + 0.055 * grain[:, None]
        paint[:, 3] = 0.55 + 0.35 * grain + 0.5 * aside * aside
        under = self._layers[pixel]
        self._layers[pixel] = under + (paint - under) * weight[:, None]

    def lit(self) -> FloatArray:
        """(H, W, 3) the canvas under a raking light from the upper left."""
        height, width = self._size
        layers = np.reshape(self._layers, (height, width, 4))
        thick = np.pad(layers[..., 3], 1, mode="edge")
        slope = (thick[1:-1, 2:] - thick[1:-1, :-2]) + (thick[2:, 1:-1] - thick[:-2, 1:-1])
        shine = clamped(slope * 0.11, -0.16, 0.16)
        return layers[..., :3] + shine[..., None]


# Centers (share of width, share of height), turn and reach of the painting's whirls.
_WHIRLS = (
    (0.30, 0.27, 1.0, 0.10),
    (0.70, 0.20, -0.8, 0.07),
    (0.56, 0.50, 0.75, 0.09),
    (0.93, 0.48, -0.6, 0.06),
    (0.06, 0.55, -0.5, 0.06),
)
# Strokes per layer, and their half length and half width in a 1024 x 1024 painting.
_STROKE_LAYERS = ((1300, 58.0, 11.0), (2600, 40.0, 7.0), (2600, 28.0, 4.2))
# Colors of the bands between streamlines, in order, above and below the skyline, and of
# the rings of the glowing discs.
_HEAVEN = (
    (0.02, 0.06, 0.30),
    (0.04, 0.16, 0.62),
    (0.02, 0.36, 0.80),
    (0.00, 0.58, 0.74),
    (0.30, 0.82, 0.74),
    (0.98, 0.90, 0.60),
    (0.05, 0.26, 0.66),
    (0.06, 0.08, 0.40),
)
_EARTH = (
    (0.04, 0.10, 0.30),
    (0.05, 0.34, 0.24),
    (0.50, 0.60, 0.08),
    (0.98, 0.76, 0.06),
    (1.00, 0.86, 0.30),
    (1.00, 0.48, 0.04),
    (0.84, 0.16, 0.06),
    (0.55, 0.08, 0.16),
)
_GLOW = ((1.0, 0.94, 0.60), (1.0, 0.84, 0.16), (1.0, 0.58, 0.04), (0.95, 0.78, 0.26))


def _stream(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Stream function of the painting's flow, and the flow (x, y); x and y are 0..1."""
    stream = 1.1 * y + 0.09 * np.sin(7.0 * x + 2.0 * y)
    flow_x = 1.1 + 0.18 * np.cos(7.0 * x + 2.0 * y)
    flow_y = -0.63 * np.cos(7.0 * x + 2.0 * y)
    for center_x, center_y, turn, reach in _WHIRLS:
        dx, dy = x - center_x, y - center_y
        squared = dx * dx + dy * dy + reach * reach
        stream = stream + 0.16 * turn * np.log(squared)
        flow_x = flow_x + 0.32 * turn * dy / squared
        flow_y = flow_y - 0.32 * turn * dx / squared
    return stream, flow_x, flow_y


def _painting_colors(x: FloatArray, y: FloatArray, random: np.random.Generator) -> FloatArray:
    """(n, 3) colors of strokes at x, y in 0..1: whirling sky, glowing discs, fields."""
    stream, _, _ = _stream(x, y)
    jitter = random.normal(0.0, 0.055, x.size)
    band = (stream * 2.6 + jitter * 1.6) % 1.0
    heaven, earth, glow = (np.array(part, np.float32) for part in (_HEAVEN, _EARTH, _GLOW))
    colors = heaven[(band * len(heaven)).astype(np.intp)]
    skyline = 0.66 + 0.05 * np.sin(5.0 * x + 0.6) + 0.03 * np.sin(13.0 * x)
    colors = np.where((y > skyline)[:, None], earth[(band * len(earth)).astype(np.intp)], colors)
    for center_x, center_y, _, reach in _WHIRLS[:3]:
        far = np.hypot(x - center_x, y - center_y) / (1.15 * reach) + jitter
        ring = glow[clamped(far * len(glow), 0.0, len(glow) - 1.0).astype(np.intp)]
        colors = np.where((far < 1.0)[:, None], ring, colors)
    outline = np.abs(y - skyline - 0.2 * jitter) < 0.012
    colors = np.where(outline[:, None], np.array((0.04, 0.06, 0.16), np.float32), colors)
    return (colors + random.normal(0.0, 0.035, (x.size, 3))).astype(np.float32)


def _scattered(count: int, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """x and y (n,) of about count points in -0.03..1.03, one per grid cell, in random order."""
    side = int(np.sqrt(count))
    cells = random.permutation(side * side)
    x = (cells % side) + random.uniform(-0.2, 1.2, cells.size)
    y = (cells // side) + random.uniform(-0.2, 1.2, cells.size)
    scale = 1.06 / side
    return (x * scale - 0.03).astype(np.float32), (y * scale - 0.03).astype(np.float32)


def _paint_layer(
    brush: _Brush,
    count: int,
    extent: tuple[float, float],
    size: tuple[int, int],
    random: np.random.Generator,
) -> None:
    """About count strokes along the flow; extent is half length and half width in pixels."""
    height, width = size
    x, y = _scattered(count, random)
    colors = _painting_colors(x, y, random)
    _, flow_x, flow_y = _stream(x, y)
    angles = np.arctan2(flow_y * height, flow_x * width)
    reach = 0.01 / (np.hypot(flow_x, flow_y) + 1e-6)
    _, ahead_x, ahead_y = _stream(x + reach * flow_x, y + reach * flow_y)
    turns = np.arctan2(ahead_y * height, ahead_x * width) - angles
    turns = np.mod(turns + np.pi, 2.0 * np.pi) - np.pi
    bends = turns / (0.01 * float(np.sqrt(height * width)))
    lengths = np.maximum(extent[0] * random.uniform(0.7, 1.2, x.size), 1.0)
    for index in range(x.size):
        length = float(lengths[index])
        bend = max(-1.1 / length, min(1.1 / length, float(bends[index])))
        center = (float(x[index]) * width, float(y[index]) * height)
        brush.stroke(center, float(angles[index]), bend, (length, extent[1]), colors[index])


def demo_painting(size: tuple[int, int], *, seed: int = 0) -> Tensor:
    """An invented oil painting, stroke by stroke: (3, H, W) uint8, RGB.

    Strokes are 8 to 22 pixels wide where the picture is 1024 pixels high and wide, and
    follow a flow with whirls; broad ones first, fine ones over them. The seed changes
    the strokes, not the composition.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ShapeError(f"painting of {height} x {width} px is empty; use at least 1 x 1")
    random = np.random.default_rng(seed)
    brush = _Brush(height, width, random)
    unit = float(np.sqrt(height * width)) / 1024.0
    for count, half_length, half_width in _STROKE_LAYERS:
        extent = (half_length * unit, max(half_width * unit, 0.7))
        _paint_layer(brush, count, extent, size, random)
    pixels = clamped(brush.lit() * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8)
    picture = torch.from_numpy(pixels)  # pyright: ignore[reportUnknownMemberType]
    return picture.permute(2, 0, 1).contiguous()
