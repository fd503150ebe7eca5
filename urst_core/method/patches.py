"""Tiles as a batch of equal pictures, for graphs where other tools work between cut and join.

``cut_windows`` and ``join_windows`` are a pair around a :class:`Layout`. A tool in between may
change the size of the windows (an upscaler): their scale is derived when they are joined.

      cut_windows               any tool that maps              join_windows
      ┌─────────┐    ┌──────┐   each picture to    ┌────────┐     ┌────────────┐
      │         │ ─► │┌──────┐  a picture      ─►  │┌────────┐ ─► │            │
      └─────────┘    └│      │                     ││        │    │            │
                      └──────┘                     └│        │    └────────────┘
                                                    └────────┘

``stylize_windows`` treats each window as a frame of its own. This does not change any pixel of its
core, and lets the loop of :mod:`urst_core.tiling.loop` halve even a window if memory runs out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, groupby
from math import lcm

import torch
from torch import Tensor

from ..errors import Change, ImageError, SettingsError, ShapeError, StatsError
from ..geometry import Rectangle, Size, Tile, check_tile_size, equal_tiles, frame_size
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.network import Traits
from ..networks.tile_network import TileNetwork
from ..pictures.padding import pad_to_frame
from ..pictures.source import Canvas, Source, TensorCanvas, TensorSource
from ..progress import Listener, Progress, ignore
from ..tiling.settings import Settings
from .encoding import thumbnail_of
from .run import Run


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


PREVIEW_SIZE = 1024
"""Longest side of a preview, in px, independent of the thumbnail of the statistics."""


def stylize_windows(
    windows: Sequence[Source],
    canvases: Sequence[Canvas],
    backbone: Backbone,
    stats: FrozenStats,
    settings: Settings | None = None,
    *,
    layout: Layout | None = None,
    listener: Listener = ignore,
) -> None:
    """Stylize windows with shared statistics, each onto its canvas.

    Args:
        windows: windows of :func:`cut_windows`, which may have been scaled; height and width are
            multiples of the stride. Alpha is carried over untouched.
        canvases: one for each window, of its size, channels and dtype.
        backbone: network and weights; neither is changed.
        stats: statistics of the whole picture that the windows are parts of.
        settings: ``tile_size`` limits the area that is computed at a time, even inside a window.
        layout: the one that the windows were cut by, which local statistics need.
        listener: called after each tile, with cores relative to the corner of their window.

    Raises:
        ShapeError: a window does not fit the stride, or canvases are missing, or windows do not fit
            the layout.
        ImageError: a window has NaN or infinite values.
        StatsError: the statistics belong to another backbone, or vary over the picture without a
            layout.
        SettingsError, DeviceError: as in :meth:`Settings.check`.
    """
    _check_sizes(windows, canvases, backbone.traits)
    # The middle window shows the subject of most pictures; a corner may be bare sky.
    middle = Run.of(windows[len(windows) // 2], backbone, settings)
    areas = [Rectangle.of_size(window.size).area for window in windows]
    network = middle.network(stats, pixels=sum(areas))
    networks = _networks_of_windows(network, windows, layout)
    for index, (window, canvas, network) in enumerate(zip(windows, canvases, networks)):
        run = replace(middle, content=window, listener=_Counter(listener, areas, index).tell)
        try:
            run.stylize(network, canvas, stage="windows")
        except ImageError as error:
            raise ImageError(f"window {index}: {error}") from error


def _networks_of_windows(
    network: TileNetwork, windows: Sequence[Source], layout: Layout | None
) -> list[TileNetwork]:
    """The network for each window: the same for all, unless statistics vary over the picture."""
    if not network.is_local:
        return [network] * len(windows)
    if layout is None:
        raise StatsError(
            "local statistics need the places of windows in the picture; give the layout that the "
            "windows were cut by",
            Change("stats", "thumbnail"),
        )
    if len(windows) != len(layout.tiles):
        raise ShapeError(
            f"{len(windows)} windows do not fill a layout of {len(layout.tiles)} tiles; "
            "pass every tile of this picture, in order"
        )
    scale = Scale.between(layout.window, windows[0].size)
    size = scale.size(layout.image)
    return [network.at(scale.rectangle(tile.window), size) for tile in layout.tiles]


def stylized_thumbnail(
    content: Source,
    backbone: Backbone,
    stats: FrozenStats,
    settings: Settings | None = None,
    *,
    longest_side: int = PREVIEW_SIZE,
    listener: Listener = ignore,
) -> Tensor:
    """A preview of the whole picture: its thumbnail, stylized with the picture's statistics.

    Args:
        content: the picture.
        backbone: the one that measured the statistics.
        stats: statistics of this picture.
        settings: the preview is not larger than its ``thumbnail_size``.
        longest_side: limit for the longest side of the preview, in px.
        listener: called after each tile, and after each band of a large picture's thumbnail.

    Returns:
        (3, h, w), float32, 0..1, on the CPU.

    Raises:
        URSTError: as in :func:`urst_core.method.pipeline.stylize`.
    """
    run = Run.of(content, backbone, settings, listener=listener)
    size = min(run.settings.thumbnail_size or longest_side, longest_side)
    run = replace(run, content=TensorSource(thumbnail_of(content, size, listener)[0]))
    canvas = TensorCanvas(run.content.size, dtype=torch.float32)
    run.stylize(run.network(stats), canvas)
    return canvas.pixels


class _Counter:
    """Converts the progress within one window to the progress of all windows."""

    def __init__(self, listener: Listener, areas: Sequence[int], index: int) -> None:
        self._listener, self._index, self._count = listener, index, len(areas)
        self._pixels_before = list(accumulate(areas, initial=0))[index]
        self._pixels_total = sum(areas)

    def tell(self, progress: Progress) -> None:
        others = self._count - 1
        self._listener(
            replace(
                progress,
                tiles_done=self._index + progress.tiles_done,
                tiles_total=others + progress.tiles_total,
                pixels_done=self._pixels_before + progress.pixels_done,
                pixels_total=self._pixels_total,
            )
        )


def _check_sizes(windows: Sequence[Source], canvases: Sequence[Canvas], traits: Traits) -> None:
    if not windows or len(windows) != len(canvases):
        raise ShapeError(
            f"{len(windows)} windows with {len(canvases)} canvases; give one canvas for each window"
        )
    for window in windows:
        height, width = window.size
        if height % traits.stride or width % traits.stride:
            raise ShapeError(
                f"windows of {height} x {width} px are not multiples of {traits.title}'s stride "
                f"{traits.stride}; cut them for {traits.title}, and scale them by whole numbers"
            )
        if min(height, width) < traits.minimum:
            raise ShapeError(
                f"windows of {height} x {width} px are too small for {traits.title}; "
                f"cut them to at least {traits.minimum} x {traits.minimum} px"
            )
