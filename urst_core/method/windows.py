"""Windows that were cut elsewhere, stylized one by one; and the quick look at a whole picture.

A window is treated as a frame of its own. That changes no pixel of its core, and lets the loop of
:mod:`urst_core.tiling.loop` halve even a window where memory runs out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from ..errors import ImageError, ShapeError
from ..geometry import Rectangle
from ..networks.network import Backbone, Traits
from ..networks.style import ThumbnailStats
from ..pictures.source import Canvas, Source, TensorCanvas, TensorSource
from ..tiling.device import find_device
from ..tiling.loop import Listener, Progress, ignore
from ..tiling.settings import Settings
from .pipeline import run_network, stylize_tiles, thumbnail_of, tile_network

PREVIEW_SIZE = 1024
"""Longest side of a preview, in px, whatever size the statistics were measured at."""


def stylize_windows(
    windows: Sequence[Source],
    canvases: Sequence[Canvas],
    backbone: Backbone,
    stats: ThumbnailStats,
    settings: Settings | None = None,
    *,
    listener: Listener = ignore,
) -> None:
    """Stylize windows with shared statistics, each onto its canvas.

    Args:
        windows: of :func:`~urst_core.method.patches.cut_windows`, scaled since or not; height
            and width are multiples of the stride. Alpha is carried over untouched.
        canvases: one a window, of its size, channels and dtype.
        backbone: network and weights; neither is changed.
        stats: of the whole picture that the windows are parts of.
        settings: ``tile_size`` limits what is computed at a time, inside a window too.
        listener: told of each tile; its cores count from the corner of their window.

    Raises:
        ShapeError: a window does not fit the stride, or canvases are missing.
        ImageError: a window holds NaN or infinite values.
        StatsError: the statistics are another backbone's.
        SettingsError, DeviceError: as in :meth:`Settings.check`.
    """
    settings = settings or Settings()
    settings.check(backbone.traits)
    _check_windows(windows, canvases, backbone.traits)
    device = find_device(settings.device)
    # The middle window shows the subject of most pictures; a corner may be bare sky.
    middle = windows[len(windows) // 2]
    areas = [Rectangle.of_size(window.size).area for window in windows]
    network = tile_network(backbone, stats, middle, settings, device, pixels=sum(areas))
    for index, (window, canvas) in enumerate(zip(windows, canvases)):
        tell = _Counter(listener, areas, index).tell
        try:
            run_network(network, window, canvas, backbone, settings, stage="windows", listener=tell)
        except ImageError as error:
            raise ImageError(f"window {index}: {error}") from error


def stylized_thumbnail(
    content: Source,
    backbone: Backbone,
    stats: ThumbnailStats,
    settings: Settings | None = None,
    *,
    longest_side: int = PREVIEW_SIZE,
    listener: Listener = ignore,
) -> Tensor:
    """The look of the whole picture, small: the thumbnail under the statistics of the picture.

    Args:
        content: the picture.
        backbone: that measured the statistics.
        stats: of this picture.
        settings: the preview is no larger than its ``thumbnail_size``.
        longest_side: the most that the preview may measure, in px.
        listener: told of each tile, and of each band that a large picture's thumbnail is made from.

    Returns:
        (3, h, w), float32, 0..1, on the CPU.

    Raises:
        URSTError: as in :func:`urst_core.method.pipeline.stylize_tiles`.
    """
    settings = settings or Settings()
    size = min(settings.thumbnail_size or longest_side, longest_side)
    thumbnail = TensorSource(thumbnail_of(content, size, listener)[0])
    canvas = TensorCanvas(thumbnail.size, dtype=torch.float32)
    stylize_tiles(thumbnail, canvas, backbone, stats, settings, listener=listener)
    return canvas.pixels


class _Counter:
    """Turns the progress inside one window into the progress of all of them."""

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


def _check_windows(windows: Sequence[Source], canvases: Sequence[Canvas], traits: Traits) -> None:
    if not windows or len(windows) != len(canvases):
        raise ShapeError(
            f"{len(windows)} windows with {len(canvases)} canvases; give one canvas a window"
        )
    for window in windows:
        height, width = window.size
        if height % traits.stride or width % traits.stride:
            raise ShapeError(
                f"windows of {height} x {width} px are no multiples of {traits.title}'s stride "
                f"{traits.stride}; cut them for {traits.title}, and scale them by whole numbers"
            )
        if min(height, width) < traits.minimum:
            raise ShapeError(
                f"windows of {height} x {width} px are smaller than {traits.title} can take; "
                f"cut them to at least {traits.minimum} x {traits.minimum} px"
            )
