"""Frames of a video, or pictures of one size, whose statistics fit each other.

Where each frame is measured on its own, a light that moves changes the statistics, and with them
every pixel of the result: the picture flickers. Two remedies:

      per picture   frame 1 ─► stats 1    frame 2 ─► stats 2    frame 3 ─► stats 3
      shared        frames 1, 2, 3 ─────► stats of all together, the same for every frame
      smoothed      stats 1, 2, 3 ──────► a weighted mean around each frame

``shared`` is exact: every site is measured on all frames before the next one is, as if the frames
were one large picture, and a pixel whose surroundings (within the network's influence radius) do
not change keeps its very value. ``smoothed`` follows a video that changes from scene to scene:
each frame is measured on its own; then frame i uses the mean of frames i - r to i + r, as
:mod:`urst_core.networks.pooling` adds them up, in shares proportional to r + 1 - |distance|. At
both ends the frames that there are share the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import SettingsError
from ..geometry import Rectangle
from ..networks.network import Backbone, TileNetwork
from ..networks.pooling import pool
from ..networks.style import ThumbnailStats
from ..pictures.mask import Mask
from ..pictures.source import Canvas, Source
from ..tiling.device import explained_out_of_memory, find_device
from ..tiling.loop import Listener, ignore
from ..tiling.settings import Settings
from .joint_statistics import measure_together
from .pipeline import encode_styles, measure, run_network, tile_network

PER_PICTURE, SHARED, SMOOTHED = "per picture", "shared", "smoothed"

BATCH_STATISTICS = (PER_PICTURE, SHARED, SMOOTHED)

DEFAULT_RADIUS = 4
"""Frames on each side: a third of a second of a film."""


@dataclass(frozen=True)
class Frames:
    """Pictures that are stylized one after another.

    Attributes:
        contents: the pictures, of one size where statistics are shared.
        styles: as for :func:`urst_core.method.pipeline.stylize`.
        style_weights: share of each style, equal when None.
        listener_of: makes the listener that is told of a picture's tiles, by its number, each time
            one is needed; what a listener raises ends the run.
    """

    contents: Sequence[Source]
    styles: Sequence[Source | str]
    style_weights: Sequence[float] | None = None
    listener_of: Callable[[int], Listener] = lambda _: ignore


def stylize_frames(
    frames: Frames,
    canvases: Sequence[Canvas],
    backbone: Backbone,
    settings: Settings,
    *,
    masks: Sequence[Mask | None] | None = None,
    batch_statistics: str = PER_PICTURE,
    smoothing_radius: int = DEFAULT_RADIUS,
) -> None:
    """Stylize pictures, each onto its canvas.

    Args:
        frames: what to stylize, and how it looks.
        canvases: one a picture, of its size, channels and dtype.
        backbone: network and weights; neither is changed.
        settings: see :class:`~urst_core.tiling.settings.Settings`.
        masks: where to stylize each picture; everywhere when not given.
        batch_statistics: ``per picture``, ``shared`` or ``smoothed``, see above.
        smoothing_radius: how many frames on each side count, for ``smoothed``.

    Raises:
        URSTError: one of its subclasses, as for :func:`urst_core.method.pipeline.stylize`.
    """
    settings.check(backbone.traits)
    masks = masks or [None] * len(frames.contents)
    for content, mask in zip(frames.contents, masks):
        if mask is not None:
            mask.check_size(content.size)
    device = find_device(settings.device)
    stats_before: ThumbnailStats | None = None
    network: TileNetwork | None = None
    each = measure_frames(
        frames,
        backbone,
        settings,
        batch_statistics=batch_statistics,
        smoothing_radius=smoothing_radius,
    )
    for index, (content, canvas, mask, stats) in enumerate(
        zip(frames.contents, canvases, masks, each)
    ):
        # One network for all frames of shared statistics: its precision is chosen once, too.
        if network is None or stats is not stats_before:
            shared = len(frames.contents) if batch_statistics == SHARED else 1
            area = Rectangle.of_size(content.size).area
            network = tile_network(backbone, stats, content, settings, device, pixels=shared * area)
            stats_before = stats
        run_network(
            network,
            content,
            canvas,
            backbone,
            settings,
            mask=mask,
            listener=frames.listener_of(index),
        )


def measure_frames(
    frames: Frames,
    backbone: Backbone,
    settings: Settings,
    *,
    batch_statistics: str,
    smoothing_radius: int = DEFAULT_RADIUS,
) -> Iterator[ThumbnailStats]:
    """The statistics of each frame, in order; measured no sooner than they are needed.

    Raises:
        SettingsError: the kind is unknown, or the radius negative.
        URSTError: as in :func:`stylize_frames`.
    """
    if batch_statistics not in BATCH_STATISTICS:
        raise SettingsError(
            f"batch statistics {batch_statistics!r} are unknown; "
            f"use {', '.join(BATCH_STATISTICS[:-1])} or {BATCH_STATISTICS[-1]}"
        )
    if smoothing_radius < 0:
        raise SettingsError(
            f"smoothing radius {smoothing_radius} is negative; use 0 or more frames"
        )
    settings.check(backbone.traits)
    backbone = backbone.on(find_device(settings.device))
    with explained_out_of_memory(backbone.device, "the styles", "a smaller style size"):
        code = encode_styles(
            frames.styles,
            backbone,
            settings,
            frames.style_weights,
            listener=frames.listener_of(0),
        )
    if batch_statistics == SHARED:
        stats = measure_together(
            frames.contents, code, backbone, settings, listener=frames.listener_of(0)
        )
        return iter([stats] * len(frames.contents))
    own = (
        measure(content, code, backbone, settings, listener=frames.listener_of(index))
        for index, content in enumerate(frames.contents)
    )
    return own if batch_statistics == PER_PICTURE else smoothed(own, smoothing_radius)


def smoothed(own: Iterator[ThumbnailStats], radius: int) -> Iterator[ThumbnailStats]:
    """A triangular weighted mean over frames; no more than 2 * ``radius`` + 1 are kept."""
    near: deque[tuple[int, ThumbnailStats]] = deque()
    numbered = enumerate(own)
    center, is_over = 0, False
    while True:
        while not is_over and (not near or near[-1][0] < center + radius):
            following = next(numbered, None)
            if following is None:
                is_over = True
            else:
                near.append(following)
        while near and near[0][0] < center - radius:
            near.popleft()
        if not near or near[-1][0] < center:
            return
        yield pool(
            [stats for _, stats in near],
            [float(radius + 1 - abs(index - center)) for index, _ in near],
        )
        center += 1
