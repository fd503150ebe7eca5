"""Windows and thumbnails of a picture, stylized with the statistics of the whole.

Each window is treated as a frame of its own. This does not change any pixel of its core, and lets
the loop of :mod:`urst_core.tiling.loop` halve even a window if memory runs out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from ..errors import Change, ImageError, ShapeError, StatsError
from ..geometry import Rectangle
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.network import Traits
from ..networks.tile_network import TileNetwork
from ..pictures.source import Canvas, Source, TensorCanvas, TensorSource
from ..progress import Listener, Progress, ignore
from ..tiling.settings import Settings
from .encoding import thumbnail_of
from .patches import Layout, Scale
from .run import Run

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
        windows: windows of :func:`~urst_core.method.patches.cut_windows`, which may have been
            scaled; height and width are multiples of the stride. Alpha is carried over untouched.
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
