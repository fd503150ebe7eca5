"""Frames of a video, or pictures of one size, with statistics that belong together.

If each frame is measured by itself, a moving light changes the statistics, and with them every
pixel of the result: the picture flickers. There are two remedies:

      per picture   frame 1 ─► stats 1    frame 2 ─► stats 2    frame 3 ─► stats 3
      shared        frames 1, 2, 3 ─────► stats of all together, the same for every frame
      smoothed      stats 1, 2, 3 ──────► a weighted mean around each frame

``shared`` is exact: each site is measured on all frames before the next one, as if the frames were
one large picture. A pixel does not change as long as its surroundings (within the network's
influence radius) do not. ``smoothed`` follows a video that changes from scene to scene: each frame
is measured by itself; then frame i uses the mean of the frames i - r to i + r, computed by
:mod:`urst_core.networks.pooling`, with weights proportional to r + 1 - |distance|. At both ends
only the existing frames count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..choices import BATCH_STATISTICS, DEFAULT_SMOOTHING_RADIUS, PER_PICTURE, SHARED
from ..errors import SettingsError, ShapeError
from ..geometry import Rectangle
from ..networks.frozen_stats import FrozenStats, RegionStats
from ..networks.full_precision import full_precision
from ..networks.model import Backbone
from ..networks.pooling import pool
from ..networks.sites import replay_until
from ..networks.statistics import Moments, SiteStats
from ..networks.style import AnyStyle, RegionCodes, StyleCode, blend
from ..networks.tile_network import TileNetwork
from ..pictures.colors import ColorStatistics
from ..pictures.mask import Mask
from ..pictures.padding import pad_to_frame, size_of
from ..pictures.source import Canvas, Source
from ..pictures.thumbnail import make_thumbnail
from ..progress import Listener, Progress, ignore
from ..tiling.device import explained_out_of_memory, find_device
from ..tiling.exact_statistics import SiteMeasurement, stage_of_site
from ..tiling.settings import Settings
from .encoding import check_matchable
from .level_pictures import level_canvas, level_contents, level_pictures
from .level_run import level_run, shares_statistics
from .pipeline import stylize_levels
from .regions import Regions
from .run import Run
from .strokes import Below


@dataclass(frozen=True)
class Frames:
    """Pictures that are stylized one after another.

    Attributes:
        contents: the pictures; of one size if statistics are shared.
        styles: as for :func:`urst_core.method.pipeline.stylize`.
        style_weights: share of each style; equal if None. A code already has its shares.
        listener_of: creates a listener for a picture, by its index.
    """

    contents: Sequence[Source]
    styles: Sequence[AnyStyle] | StyleCode | Regions
    style_weights: Sequence[float] | None = None
    listener_of: Callable[[int], Listener] = lambda _: ignore

    def runs(
        self, backbone: Backbone, settings: Settings, masks: Sequence[Mask | None] | None = None
    ) -> list[Run]:
        """One run for each picture, without listeners; all share the backbone on its device.

        Raises:
            URSTError: as in :meth:`Run.of`.
        """
        settings.check(backbone.traits)
        backbone = backbone.on(find_device(settings.device))
        masks = masks or [None] * len(self.contents)
        regions = self.styles if isinstance(self.styles, Regions) else None
        return [
            Run.of(content, backbone, settings, mask=mask, regions=regions)
            for content, mask in zip(self.contents, masks)
        ]


def stylize_frames(
    frames: Frames,
    canvases: Sequence[Canvas],
    backbone: Backbone,
    settings: Settings,
    *,
    masks: Sequence[Mask | None] | None = None,
    batch_statistics: str = PER_PICTURE,
    smoothing_radius: int = DEFAULT_SMOOTHING_RADIUS,
) -> None:
    """Stylize pictures, each onto its canvas.

    Args:
        frames: pictures and styles.
        canvases: one for each picture, of its size, channels and dtype.
        backbone: network and weights; neither is changed.
        settings: see :class:`~urst_core.tiling.settings.Settings`.
        masks: where to stylize each picture; everywhere if None.
        batch_statistics: ``per picture``, ``shared`` or ``smoothed``, see above.
        smoothing_radius: number of frames on each side, for ``smoothed``.

    Raises:
        URSTError: as in :func:`urst_core.method.pipeline.stylize`.
    """
    _check_kind(batch_statistics, smoothing_radius)
    runs = frames.runs(backbone, settings, masks)
    runs = [replace(run, listener=frames.listener_of(index)) for index, run in enumerate(runs)]
    _check_sizes(runs, of_one_size=batch_statistics == SHARED)
    codes = encode_for_each(frames, runs, together=batch_statistics == SHARED)
    if all(run.is_plain for run in runs):
        each = _measured(runs, codes, batch_statistics, smoothing_radius)
        _stylize_each(runs, each, canvases, shares_statistics=batch_statistics == SHARED)
    elif batch_statistics == PER_PICTURE:
        for run, code, canvas in zip(runs, codes, canvases):
            stylize_levels(run, code, canvas)
    else:
        _check_sizes(runs, of_one_size=True)
        _stylize_levels_together(runs, codes, canvases, batch_statistics, smoothing_radius)


def _stylize_levels_together(
    runs: Sequence[Run],
    codes: Sequence[StyleCode],
    canvases: Sequence[Canvas],
    batch_statistics: str,
    smoothing_radius: int,
) -> None:
    """Like :func:`pipeline.stylize_levels`, but measure each level on all pictures."""
    shares = batch_statistics == SHARED
    levels, each = deque(measure_levels(runs, codes, batch_statistics, smoothing_radius), 1).pop()
    _stylize_each(levels, each, canvases, shares_statistics=shares)


def measure_levels(
    runs: Sequence[Run],
    codes: Sequence[StyleCode],
    batch_statistics: str,
    smoothing_radius: int = DEFAULT_SMOOTHING_RADIUS,
) -> Iterator[tuple[list[Run], list[FrozenStats]]]:
    """Yield the runs and the statistics of each level, the coarsest first.

    After each level but the last one, all pictures are stylized, since the next is based on them.

    Args:
        runs: of pictures of one size.
        codes: code of the styles for each picture.
        batch_statistics, smoothing_radius: as for :func:`stylize_frames`.
    """
    sizes = runs[0].level_sizes
    counts = [run.level_pixels() for run in runs]
    runs = [replace(run, listener=count.listener(0)) for run, count in zip(runs, counts)]
    shares = batch_statistics == SHARED
    if shares:
        codes = [_code_for_all(runs, codes[0])] * len(runs)
    else:
        codes = [run.code_for_levels(code) for run, code in zip(runs, codes)]
    contents = [level_contents(run.content, sizes, level_canvas, run.listener) for run in runs]
    below: list[Below | None] = [None] * len(runs)
    each: list[FrozenStats] = []
    for number, like in enumerate([*level_pictures(sizes), None]):
        levels = [
            level_run(run, number, content[number], smaller, count.listener(number))
            for run, content, smaller, count in zip(runs, contents, below, counts)
        ]
        if not shares_statistics(levels[0]):
            each = list(_measured(levels, codes, batch_statistics, smoothing_radius))
        yield levels, each
        if like is not None:
            pictures = [level_canvas(like) for _ in levels]
            _stylize_each(levels, each, pictures, shares_statistics=shares)
            below = [Below(run.content, picture) for run, picture in zip(levels, pictures)]


def _stylize_each(
    runs: Sequence[Run],
    each: Iterable[FrozenStats],
    canvases: Sequence[Canvas],
    *,
    shares_statistics: bool,
) -> None:
    """Stylize pictures one by one, each with its own statistics, or all with the same."""
    stats_before: FrozenStats | None = None
    network: TileNetwork | None = None
    for run, canvas, stats in zip(runs, canvases, each):
        # With shared statistics, one network (and one precision) for all frames.
        if network is None or stats is not stats_before:
            count = len(runs) if shares_statistics else 1
            area = Rectangle.of_size(run.content.size).area
            network = run.network(stats, pixels=count * area)
            stats_before = stats
        run.stylize(network, canvas)


def measure_frames(
    frames: Frames,
    backbone: Backbone,
    settings: Settings,
    *,
    batch_statistics: str,
    smoothing_radius: int = DEFAULT_SMOOTHING_RADIUS,
) -> Iterator[FrozenStats]:
    """Yield the statistics of each frame, in order, measured on demand.

    Raises:
        SettingsError: the kind of batch statistics is unknown, or the radius is negative.
        URSTError: as in :func:`stylize_frames`.
    """
    _check_kind(batch_statistics, smoothing_radius)
    runs = [
        replace(run, listener=frames.listener_of(index))
        for index, run in enumerate(frames.runs(backbone, settings))
    ]
    _check_sizes(runs, of_one_size=batch_statistics == SHARED)
    codes = encode_for_each(frames, runs, together=batch_statistics == SHARED)
    return _measured(runs, codes, batch_statistics, smoothing_radius)


def _check_kind(batch_statistics: str, smoothing_radius: int) -> None:
    if batch_statistics not in BATCH_STATISTICS:
        raise SettingsError(
            f"batch statistics {batch_statistics!r} are unknown; "
            f"use {', '.join(BATCH_STATISTICS[:-1])} or {BATCH_STATISTICS[-1]}"
        )
    if smoothing_radius < 0:
        raise SettingsError(
            f"smoothing radius {smoothing_radius} is negative; use 0 or more frames"
        )


def encode_for_each(frames: Frames, runs: Sequence[Run], *, together: bool) -> list[StyleCode]:
    """The code of the styles for each picture; matched to its colors, or to those of all."""
    styles, weights, first = frames.styles, frames.style_weights, runs[0]
    check_matchable(styles, first.backbone, first.settings)
    if isinstance(styles, StyleCode):
        return [styles] * len(runs)
    is_matched = first.settings.colors == "matched"
    with explained_out_of_memory(first.device, "the styles", "a smaller style size"):
        if is_matched and not together:
            return [run.encode(styles, weights) for run in runs]
        colors = _colors_of_all(runs) if is_matched else None
        return [first.encode(styles, weights, colors=colors)] * len(runs)


def _colors_of_all(runs: Sequence[Run]) -> ColorStatistics:
    return ColorStatistics.of(run.content_thumbnail() for run in runs)


def _measured(
    runs: Sequence[Run], codes: Sequence[StyleCode], batch_statistics: str, smoothing_radius: int
) -> Iterator[FrozenStats]:
    """Like :func:`measure_frames`, with a code of the styles for each picture."""
    if batch_statistics == SHARED:
        stats = _measure_together(runs, codes[0])
        return iter([stats] * len(runs))
    own = (run.measure(code) for run, code in zip(runs, codes))
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


def _measure_together(runs: Sequence[Run], code: StyleCode) -> FrozenStats:
    """Measure several pictures of the same size as if they were one, site by site.

    Progress is reported to the listener of the first run. If the strength is below 1, the contents'
    own style codes are averaged over the pictures.
    """
    if isinstance(code, RegionCodes):
        return RegionStats.of([_measure_together(*each) for each in _regions_apart(runs, code)])
    first = runs[0]
    code = _code_for_all(runs, code)
    measure_site = _exact_site if first.settings.stats == "exact" else _thumbnail_site
    sites: dict[str, SiteStats] = {}
    for name in first.backbone.network.site_names:
        sites[name] = measure_site(runs, code, name, sites)
    return first.backbone.stats(code, sites, strength=first.settings.strength)


def _code_for_all(runs: Sequence[Run], code: StyleCode) -> StyleCode:
    if isinstance(code, RegionCodes):
        return RegionCodes.of([_code_for_all(*each) for each in _regions_apart(runs, code)])
    backbone, settings = runs[0].backbone, runs[0].settings
    if settings.strength == 1.0 or backbone.network.style_names:
        return code
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        codes: list[StyleCode] = []
        for run in runs:
            _tell_of_thumbnail(run.source, "style of the contents", runs[0].listener)
            thumbnail = make_thumbnail(run.source, settings.thumbnail_size)
            codes.append(backbone.code_for(thumbnail, code, strength=settings.strength))
        return blend(codes, [1.0] * len(codes))


def _regions_apart(runs: Sequence[Run], code: RegionCodes) -> Iterator[tuple[list[Run], StyleCode]]:
    """For each region the runs as if its style were everywhere, and the style's code."""
    for part, strength, area in zip(code.parts, runs[0].strengths(code), runs[0].areas()):
        yield [run.without_regions(strength, area) for run in runs], part


def _thumbnail_site(
    runs: Sequence[Run], code: StyleCode, name: str, earlier: Mapping[str, SiteStats]
) -> SiteStats:
    """Measure a site on the thumbnails of all pictures, which are made again for each site."""
    moments: Moments | None = None
    backbone, settings = runs[0].backbone, runs[0].settings
    network = backbone.measuring_network
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        for run in runs:
            source = run.thumbnail_source
            _tell_of_thumbnail(source, stage_of_site(name), runs[0].listener)
            thumbnail = make_thumbnail(source, settings.thumbnail_size).to(backbone.device)
            framed = pad_to_frame(thumbnail, backbone.traits.frame_of(size_of(thumbnail)))
            with torch.inference_mode(), full_precision():
                site = replay_until(network.stages(framed, code), name, earlier)
                measured = backbone.moments_at(size_of(thumbnail), settings.radius, run.area)
                moments = moments or measured(site)
                moments.add(site.features)
    assert moments is not None  # there is at least one picture
    return moments.stats()


def _exact_site(
    runs: Sequence[Run], code: StyleCode, name: str, earlier: Mapping[str, SiteStats]
) -> SiteStats:
    """Measure a site on all tiles of all pictures."""
    measured: SiteMeasurement | None = None
    for index, run in enumerate(runs):
        moments = measured.moments if measured else None
        measured = SiteMeasurement(run.source, run.backbone, code, name, earlier, moments=moments)
        tell = _part_of(runs[0].listener, index, len(runs))
        run.tiles(torch.float32).run(stage_of_site(name), measured, tell)
    assert measured is not None  # there is at least one picture
    return measured.stats()


def _tell_of_thumbnail(content: Source, stage: str, listener: Listener) -> None:
    """Report a thumbnail: too quick to count as progress, but the listener can cancel the run."""
    height, width = content.size
    listener(Progress(stage, 0, 0, 0, height * width))


def _part_of(listener: Listener, index: int, count: int) -> Listener:
    """A listener that reports one of several equal parts of a stage as progress of the stage."""

    def tell(progress: Progress) -> None:
        done = index * progress.pixels_total + progress.pixels_done
        listener(replace(progress, pixels_done=done // count))

    return tell


def _check_sizes(runs: Sequence[Run], *, of_one_size: bool) -> None:
    sizes = {run.content.size for run in runs}
    if not sizes or (of_one_size and len(sizes) != 1):
        raise ShapeError(
            f"pictures of {len(sizes)} sizes cannot share statistics; "
            "give at least one, all of one size"
        )
