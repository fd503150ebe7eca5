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
:mod:`urst_core.pooling` adds them up, in shares proportional to r + 1 - |distance|. At both ends
the frames that there are share the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .backbone import Backbone, TileNetwork, pad_to_frame, size_of
from .canvas import Canvas, Source, make_thumbnail
from .device import explained_out_of_memory, find_device
from .errors import SettingsError, ShapeError
from .exact import SiteMeasurement
from .masks import Mask
from .pipeline import encode_styles, measure, tile_loop, tile_network
from .pooling import pool
from .settings import Settings
from .site_stats import Moments, SiteStats
from .stats import StyleCode, ThumbnailStats, blend
from .tile_stylizer import TileStylizer
from .tiling import Listener, Progress
from .tin import replay_until

PER_PICTURE, SHARED, SMOOTHED = "per picture", "shared", "smoothed"

BATCH_STATISTICS = (PER_PICTURE, SHARED, SMOOTHED)

DEFAULT_RADIUS = 4
"""Frames on each side: a third of a second of a film."""


@dataclass(frozen=True)
class Frames:
    """Pictures that are stylized one after another.

    Attributes:
        contents: the pictures, of one size where statistics are shared.
        styles: as for :func:`urst_core.pipeline.stylize`.
        style_weights: share of each style, equal when None.
        listeners: one a picture, told of its tiles; what one raises ends the run.
    """

    contents: Sequence[Source]
    styles: Sequence[Source | str]
    style_weights: Sequence[float] | None
    listeners: Sequence[Listener]


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
        settings: see :class:`~urst_core.settings.Settings`.
        masks: where to stylize each picture; everywhere when not given.
        batch_statistics: ``per picture``, ``shared`` or ``smoothed``, see above.
        smoothing_radius: how many frames on each side count, for ``smoothed``.

    Raises:
        URSTError: one of its subclasses, as for :func:`urst_core.pipeline.stylize`.
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
    for content, canvas, mask, listener, stats in zip(
        frames.contents, canvases, masks, frames.listeners, each
    ):
        # One network for all frames of shared statistics: its precision is chosen once, too.
        if network is None or stats is not stats_before:
            network = tile_network(backbone, stats, content, settings, device)
            stats_before = stats
        tiles = tile_loop(content, backbone, settings, device, network.compute_dtype)
        work = TileStylizer(network, content, canvas, tiles.frame, device, mask=mask)
        tiles.run("tiles", work, listener)


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
        code = encode_styles(frames.styles, backbone, settings, frames.style_weights)
    if batch_statistics == SHARED:
        stats = measure_together(frames, code, backbone, settings)
        return iter([stats] * len(frames.contents))
    own = (
        measure(content, code, backbone, settings, listener=listener)
        for content, listener in zip(frames.contents, frames.listeners)
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


def measure_together(
    frames: Frames, code: StyleCode, backbone: Backbone, settings: Settings
) -> ThumbnailStats:
    """The statistics of all frames as if they were one picture; of what styles ``code`` holds.

    Where the strength is below 1, the contents' own style codes are averaged over the frames.

    Raises:
        ShapeError: the frames are of several sizes; or there are none.
        URSTError: as in :func:`stylize_frames`.
    """
    _check_sizes(frames.contents)
    code = _code_for_all(frames, backbone, settings, code)
    sites: dict[str, SiteStats] = {}
    for name in backbone.network.site_names:
        if settings.stats == "exact":
            sites[name] = _exact_site(frames, backbone, settings, code, name, sites)
        else:
            sites[name] = _thumbnail_site(frames, backbone, settings, code, name, sites)
    return backbone.stats(code, sites, strength=settings.strength)


def _code_for_all(
    frames: Frames, backbone: Backbone, settings: Settings, code: StyleCode
) -> StyleCode:
    if settings.strength == 1.0 or backbone.network.style_names:
        return code
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        codes: list[StyleCode] = []
        for content in frames.contents:
            thumbnail = make_thumbnail(content, settings.thumbnail_size)
            codes.append(backbone.code_for(thumbnail, code, strength=settings.strength))
        return blend(codes, [1.0] * len(codes))


def _thumbnail_site(
    frames: Frames,
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    name: str,
    earlier: dict[str, SiteStats],
) -> SiteStats:
    """One site, measured on the thumbnails of all frames; they are made anew for each site."""
    moments: Moments | None = None
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        for content in frames.contents:
            height, width = content.size
            # Thumbnails are quick: nothing is done yet, but a run may be cancelled here.
            frames.listeners[0](Progress(f"statistics {name}", 0, 0, 0, height * width))
            thumbnail = make_thumbnail(content, settings.thumbnail_size).to(backbone.device)
            framed = pad_to_frame(thumbnail, backbone.traits.frame_of(size_of(thumbnail)))
            with torch.inference_mode():
                site = replay_until(backbone.network.stages(framed, code), name, earlier)
                moments = moments or site.moments()
                moments.add(site.features)
    assert moments is not None  # there is at least one frame
    return moments.stats()


def _exact_site(
    frames: Frames,
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    name: str,
    earlier: dict[str, SiteStats],
) -> SiteStats:
    """One site, measured on all tiles of all frames."""
    measured: SiteMeasurement | None = None
    for content, listener in zip(frames.contents, frames.listeners):
        tiles = tile_loop(content, backbone, settings, backbone.device, torch.float32)
        measured = SiteMeasurement(
            content, backbone, code, name, earlier, moments=measured and measured.moments
        )
        tiles.run(f"statistics {name}", measured, listener)
    assert measured is not None  # there is at least one frame
    return measured.stats()


def _check_sizes(contents: Sequence[Source]) -> None:
    sizes = {content.size for content in contents}
    if len(sizes) != 1:
        raise ShapeError(
            f"pictures of {len(sizes)} sizes cannot share statistics; "
            "give at least one, all of one size"
        )
