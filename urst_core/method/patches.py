"""Tiles as a batch of equal pictures, for graphs where other tools work between cut and join.

``cut_windows`` and ``join_windows`` are a pair around a :class:`Layout`. A tool in between may
change the size of the windows (an upscaler): their scale is derived when they are joined.

      cut_windows               any tool that maps              join_windows
      ┌─────────┐    ┌──────┐   each picture to    ┌────────┐     ┌────────────┐
      │         │ ─► │┌──────┐  a picture      ─►  │┌────────┐ ─► │            │
      └─────────┘    └│      │                     ││        │    │            │
                      └──────┘                     └│        │    └────────────┘
                                                    └────────┘

:func:`~urst_core.method.windows.stylize_windows` is such a tool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import lcm

import torch
from torch import Tensor

from ..errors import SettingsError, ShapeError
from ..geometry import Rectangle, Size, Tile, check_tile_size, equal_tiles, frame_size
from ..pictures.padding import pad_to_frame
from ..pictures.source import Source, TensorCanvas


@dataclass(frozen=True)
class Layout:
    """The tiles that the windows of a batch were cut from, in their order."""

    image: Size
    frame: Size
    tiles: tuple[Tile, ...]

    def __repr__(self) -> str:
        """In one line, without the tiles."""
        (height, width), (rows, columns) = self.image, self.window
        return f"Layout({len(self.tiles)} windows of {columns} x {rows} px of {width} x {height})"

    @property
    def window(self) -> Size:
        """Height and width of every window."""
        return self.tiles[0].window.size

    @property
    def overlap(self) -> int:
        """The least distance that windows reach beyond their cores, in px; 0 for a single tile.

        Sides on the border of the frame do not count: there is nothing beyond them.
        """
        if len(self.tiles) == 1:
            return 0
        height, width = self.frame
        margins = [
            margin
            for tile in self.tiles
            for margin, is_inside in (
                (tile.core.top - tile.window.top, tile.window.top > 0),
                (tile.core.left - tile.window.left, tile.window.left > 0),
                (tile.window.bottom - tile.core.bottom, tile.window.bottom < height),
                (tile.window.right - tile.core.right, tile.window.right < width),
            )
            if is_inside
        ]
        return min(margins, default=max(self.frame))


def plan_layout(
    image: Size, *, tile_size: int, halo: int, stride: int, minimum: int = 1, name: str = "tile"
) -> Layout:
    """Plan equal windows over an image.

    Args:
        image: height and width, in px.
        tile_size: edge of a core, a multiple of ``stride``.
        halo: context on each side, a multiple of ``stride``.
        stride: alignment of cores and windows, the network's total downsampling.
        minimum: smallest frame of the network.
        name: owner of the stride, for error messages.

    Raises:
        SettingsError: tile size or halo do not fit the stride.
        ShapeError: the image is empty.
    """
    if stride < 1:
        raise SettingsError(f"stride {stride} is not positive; use 1 or more")
    check_tile_size(tile_size, stride=stride, name=name)
    if halo < 0 or halo % stride:
        above = max(0, -(-halo // stride) * stride)
        raise SettingsError(
            f"halo {halo} is not a multiple of {name}'s stride {stride}; use {above}"
        )
    frame = frame_size(image, stride=stride, minimum=minimum)
    return Layout(image, frame, tuple(equal_tiles(frame, edge=tile_size, halo=halo)))


def cut_windows(source: Source, layout: Layout) -> Tensor:
    """Cut a picture into its layout's windows.

    Returns:
        All windows in order, (N, C, h, w), with the source's channels and dtype.

    Raises:
        ShapeError: the picture's size is not that of the layout.
    """
    if source.size != layout.image:
        raise ShapeError(
            f"picture of {source.size} does not fit a layout for {layout.image} (height, width); "
            "plan the layout for this picture"
        )
    whole = source.read(Rectangle.of_size(source.size)).unsqueeze(0)
    framed = pad_to_frame(whole, layout.frame)[0]
    return torch.stack([framed[(..., *tile.window.slices)] for tile in layout.tiles])


def join_windows(windows: Tensor, layout: Layout, *, feather: int = 0) -> Tensor:
    """Join windows, scaled or not, into one picture.

    Args:
        windows: (N, C, h, w), floating, in the layout's order; h and w any multiple of the
            layout's that keeps core edges on whole pixels.
        layout: the layout that the windows were cut by.
        feather: half the width, in px of the uncut picture, of a linear transition between
            neighbors. 0 crops, which is exact if the windows come from one network with frozen
            statistics. A wider one hides that a tool in between treated windows differently.

    Returns:
        (C, H, W), where (H, W) is the size of the image times the scale.

    Raises:
        ShapeError: windows are missing, or their size is not a usable multiple of the layout's.
        SettingsError: the feather is negative or wider than the halo.
    """
    _check_windows(windows, layout)
    scale = Scale.between(layout.window, (windows.shape[-2], windows.shape[-1]))
    if not 0 <= feather <= layout.overlap and len(layout.tiles) > 1:
        raise SettingsError(
            f"feather {feather} does not fit a halo of {layout.overlap} px; "
            f"use 0 to {layout.overlap}, or cut with a larger halo"
        )
    if feather == 0 or len(layout.tiles) == 1:
        return _crop_and_join(windows, layout, scale)
    return _feather_and_join(windows, layout, scale, feather)


@dataclass(frozen=True)
class Scale:
    """The exact factors by which windows were enlarged since they were cut."""

    vertical: Fraction
    horizontal: Fraction

    @classmethod
    def between(cls, before: Size, after: Size) -> Scale:
        return cls(Fraction(after[0], before[0]), Fraction(after[1], before[1]))

    def size(self, size: Size) -> Size:
        """The scaled size of an image; a last partial pixel is dropped."""
        return int(size[0] * self.vertical), int(size[1] * self.horizontal)

    def rectangle(self, rectangle: Rectangle) -> Rectangle:
        """The scaled rectangle.

        Raises:
            ShapeError: an edge would be between two pixels.
        """
        top, bottom = rectangle.top * self.vertical, rectangle.bottom * self.vertical
        left, right = rectangle.left * self.horizontal, rectangle.right * self.horizontal
        if any(edge.denominator != 1 for edge in (top, bottom, left, right)):
            multiple = lcm(self.vertical.denominator, self.horizontal.denominator)
            raise ShapeError(
                f"windows scaled by {float(self.vertical):g} x {float(self.horizontal):g} put "
                "tile edges between pixels; use a whole scale, or a stride, a tile size and a halo "
                f"that are multiples of {multiple}, or the layout that these windows were cut by"
            )
        return Rectangle(int(top), int(left), int(bottom), int(right))


def _check_windows(windows: Tensor, layout: Layout) -> None:
    if windows.ndim != 4 or windows.shape[0] != len(layout.tiles):
        count = windows.shape[0] if windows.ndim else 0
        raise ShapeError(
            f"{count} windows do not fill a layout of {len(layout.tiles)} tiles; "
            "pass every tile of this picture, in order"
        )


def _crop_and_join(windows: Tensor, layout: Layout, scale: Scale) -> Tensor:
    size = scale.size(layout.image)
    canvas = TensorCanvas(size, channels=windows.shape[1], dtype=windows.dtype)
    for window, tile in zip(windows, layout.tiles):
        core = scale.rectangle(tile.core).clipped(size)
        if core.area:
            inner = core.relative_to(scale.rectangle(tile.window))
            canvas.write(core, window[(..., *inner.slices)])
    return canvas.pixels


def _feather_and_join(windows: Tensor, layout: Layout, scale: Scale, feather: int) -> Tensor:
    height, width = scale.size(layout.frame)
    placed = [(scale.rectangle(tile.window), scale.rectangle(tile.core)) for tile in layout.tiles]
    down = [((area.top, area.bottom), (core.top, core.bottom)) for area, core in placed]
    across = [((area.left, area.right), (core.left, core.right)) for area, core in placed]
    rows = _shares(down, height, feather * float(scale.vertical))
    columns = _shares(across, width, feather * float(scale.horizontal))
    total = torch.zeros(windows.shape[1], height, width)
    for spans, numbers in groupby(range(len(windows)), key=down.__getitem__):
        # Narrow tiles overlap many times over, so a row of them is added up in double precision.
        top, bottom = spans[0]
        strip = torch.zeros(windows.shape[1], bottom - top, width, dtype=torch.float64)
        for number in numbers:
            left, right = across[number][0]
            strip[..., left:right] += windows[number].cpu() * columns[across[number]]
        total[:, top:bottom] += (strip * rows[spans][:, None]).float()
    height, width = scale.size(layout.image)
    return total[:, :height, :width].to(windows.dtype)


Spans = tuple[tuple[int, int], tuple[int, int]]
"""Start and end of a window and of its core along one axis."""


def _shares(spans: Iterable[Spans], length: int, feather: float) -> dict[Spans, Tensor]:
    """Weights of all windows along one axis; in every place they sum to 1."""
    ramps = {(window, core): _ramp(window, core, feather) for window, core in spans}
    total = torch.zeros(length, dtype=torch.float64)
    for (window, _), ramp in ramps.items():
        total[slice(*window)] += ramp
    return {pair: ramp / total[slice(*pair[0])] for pair, ramp in ramps.items()}


def _ramp(window: tuple[int, int], core: tuple[int, int], feather: float) -> Tensor:
    """1 in the core, 0.5 on its edges, 0 from ``feather`` px outside.

    The ramps of two neighbors sum to 1. At the border of the frame, and where more than two windows
    overlap, the ramps do not.
    """
    positions = torch.arange(*window, dtype=torch.float64) + 0.5
    outside = torch.maximum(core[0] - positions, positions - core[1])
    return (0.5 - outside / (2 * feather)).clamp(0.0, 1.0)
