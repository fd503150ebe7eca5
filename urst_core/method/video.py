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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import SettingsError, ShapeError
from ..geometry import Rectangle
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.pooling import pool
from ..networks.sites import replay_until
from ..networks.statistics import Moments, SiteStats
from ..networks.style import StyleCode, blend
from ..networks.tile_network import TileNetwork
from ..pictures.mask import Mask
from ..pictures.padding import pad_to_frame, size_of
from ..pictures.source import Canvas, Source
from ..pictures.thumbnail import make_thumbnail
from ..progress import Listener, Progress, ignore
from ..tiling.device import explained_out_of_memory, find_device
from ..tiling.exact_statistics import SiteMeasurement
from ..tiling.settings import Settings
from .pipeline import encode_styles, measure, run_network, tile_loop, tile_network

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
    stats_before: FrozenStats | None = None
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
) -> Iterator[FrozenStats]:
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


def smoothed(own: Iterator[FrozenStats], radius: int) -> Iterator[FrozenStats]:
    """A triangular weighted mean over frames; no more than 2 * ``radius`` + 1 are kept."""
    near: deque[tuple[int, FrozenStats]] = deque()
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


def measure_together(
    contents: Sequence[Source],
    code: StyleCode,
    backbone: Backbone,
    settings: Settings,
    *,
    listener: Listener = ignore,
) -> FrozenStats:
    """The statistics of several pictures as if they were one, site after site.

    Where the strength is below 1, the contents' own style codes are averaged over the pictures.

    Args:
        contents: the pictures, of one size.
        code: the style.
        backbone: on the device that measures.
        settings: see :class:`~urst_core.tiling.settings.Settings`; checked already.
        listener: told of each step of each site; what it raises ends the run.

    Raises:
        ShapeError: the pictures are of several sizes; or there are none.
        URSTError: as in :func:`urst_core.method.pipeline.measure`.
    """
    _check_sizes(contents)
    code = _code_for_all(contents, backbone, settings, code, listener)
    measure_site = _exact_site if settings.stats == "exact" else _thumbnail_site
    sites: dict[str, SiteStats] = {}
    for name in backbone.network.site_names:
        sites[name] = measure_site(contents, backbone, settings, code, name, sites, listener)
    return backbone.stats(code, sites, strength=settings.strength)


def _code_for_all(
    contents: Sequence[Source],
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    listener: Listener,
) -> StyleCode:
    if settings.strength == 1.0 or backbone.network.style_names:
        return code
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        codes: list[StyleCode] = []
        for content in contents:
            _tell_of_thumbnail(content, "style of the contents", listener)
            thumbnail = make_thumbnail(content, settings.thumbnail_size)
            codes.append(backbone.code_for(thumbnail, code, strength=settings.strength))
        return blend(codes, [1.0] * len(codes))


def _thumbnail_site(
    contents: Sequence[Source],
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    name: str,
    earlier: Mapping[str, SiteStats],
    listener: Listener,
) -> SiteStats:
    """One site, measured on the thumbnails of all pictures; they are made anew for each site."""
    moments: Moments | None = None
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        for content in contents:
            _tell_of_thumbnail(content, f"statistics {name}", listener)
            thumbnail = make_thumbnail(content, settings.thumbnail_size).to(backbone.device)
            framed = pad_to_frame(thumbnail, backbone.traits.frame_of(size_of(thumbnail)))
            with torch.inference_mode():
                site = replay_until(backbone.network.stages(framed, code), name, earlier)
                moments = moments or site.moments()
                moments.add(site.features)
    assert moments is not None  # there is at least one picture
    return moments.stats()


def _exact_site(
    contents: Sequence[Source],
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    name: str,
    earlier: Mapping[str, SiteStats],
    listener: Listener,
) -> SiteStats:
    """One site, measured on all tiles of all pictures."""
    measured: SiteMeasurement | None = None
    for index, content in enumerate(contents):
        tiles = tile_loop(content, backbone, settings, backbone.device, torch.float32)
        measured = SiteMeasurement(
            content, backbone, code, name, earlier, moments=measured and measured.moments
        )
        tiles.run(f"statistics {name}", measured, _part_of(listener, index, len(contents)))
    assert measured is not None  # there is at least one picture
    return measured.stats()


def _tell_of_thumbnail(content: Source, stage: str, listener: Listener) -> None:
    """Thumbnails are quick: no progress worth counting, but a run may be cancelled here."""
    height, width = content.size
    listener(Progress(stage, 0, 0, 0, height * width))


def _part_of(listener: Listener, index: int, count: int) -> Listener:
    """Tells of one of several equal parts of a stage as progress of the whole stage."""

    def tell(progress: Progress) -> None:
        done = index * progress.pixels_total + progress.pixels_done
        listener(replace(progress, pixels_done=done // count))

    return tell


def _check_sizes(contents: Sequence[Source]) -> None:
    sizes = {content.size for content in contents}
    if len(sizes) != 1:
        raise ShapeError(
            f"pictures of {len(sizes)} sizes cannot share statistics; "
            "give at least one, all of one size"
        )
