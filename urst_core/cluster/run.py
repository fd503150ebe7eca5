"""One picture on many machines: measured here, stylized by Ray workers, gathered in a Zarr store.

      here                                   each worker
      content ──► statistics ──► network ──► its copy, baked and moved to the device once
                                             content (read there) ──► tile ──► chunks of the store
      store ──► pyramid, or picture file

The statistics are shared, so the picture is that of one machine, whoever stylized which tile.
Larger strokes are made level by level, each a pass of this kind: see :mod:`.levels`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ..formats.input_options import InputOptions
from ..formats.open import open_picture
from ..formats.output_options import OutputOptions
from ..formats.zarr.canvas import ZarrCanvas, notes_at
from ..formats.zarr.source import ZarrPicture
from ..formats.zarr.store import Location, unfinished_location
from ..geometry import Rectangle, cut, round_up
from ..method.encoding import check_matchable
from ..method.level_pictures import LevelPicture, level_contents, level_pictures
from ..method.level_run import level_run, level_stats
from ..method.run import Run
from ..method.strokes import Below
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.style import AnyStyle, StyleCode
from ..pictures.metadata import WithMetadata, metadata_of
from ..progress import TILES_STAGE, Listener, Progress, ignore
from ..tiling.device import find_precision
from ..tiling.settings import IfInterrupted, Settings
from .levels import ContentStore, LevelStores, SharedLevel, kept_levels
from .output import Target, open_target
from .pool import WorkerPool
from .ray import WorkerShare, joined_cluster, share_cluster
from .resume import FinishedTiles, run_identity
from .worker import Job, PictureFacts, TilePlan


def add_distributed_arguments(parser: argparse.ArgumentParser) -> None:
    """``--ray`` and ``--ray-workers``."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="stylize on the machines of a Ray cluster (HOST:PORT, auto, or local to start one "
        "here); each must reach CONTENT and OUT by these names",
    )
    parser.add_argument(
        "--ray-workers",
        type=int,
        metavar="N",
        help="how many (default: one a GPU, or one for every 4 CPUs)",
    )


def stylize_distributed(
    content: Location,
    styles: Sequence[AnyStyle],
    output: Location,
    backbone: Backbone,
    settings: Settings | None = None,
    *,
    address: str,
    workers: int | None = None,
    style_weights: Sequence[float] | None = None,
    options: OutputOptions | None = None,
    input_options: InputOptions | None = None,
    overwrite: bool = False,
    if_interrupted: IfInterrupted = IfInterrupted.REFUSE,
    painting: str | None = None,
    listener: Listener = ignore,
) -> FrozenStats:
    """Stylize a picture on a Ray cluster; the result is the same as on one machine.

    When it ends early, by an error, Ctrl-C or a power cut, the tiles that are finished stay beside
    the output (behind a URL: in its place), and :attr:`IfInterrupted.RESUME` continues from there.

    Args:
        content: path or URL that every machine can read.
        styles: as for :func:`~urst_core.method.pipeline.stylize`; read here only.
        output: a Zarr name that every machine can write, or a picture file in a folder that they
            can, which is encoded here at the end.
        backbone: network and weights.
        settings: see :class:`~urst_core.tiling.settings.Settings`; the device is the workers'.
            Statistics are measured here, on the GPU where there is one (``cpu`` holds for both).
        address: see :func:`~urst_core.cluster.ray.joined_cluster`.
        workers: how many; by the cluster's size when not given.
        style_weights: share of each style, equal when not given.
        options: how a picture file is stored; Zarr takes none.
        input_options: how careful to be with the content, here and on the workers.
        overwrite: replace a finished output.
        if_interrupted: what to do with an earlier run of the same output that was interrupted.
        painting: what the picture is painted with, for the metadata of the output.
        listener: told of each tile, without its pixels; what it raises ends the run.

    Returns:
        The statistics that were used.

    Raises:
        URSTError: one of its subclasses, for what cannot be used: pictures, settings, cluster.
    """
    settings = settings or Settings()
    input_options = input_options or InputOptions()
    source = open_picture(content, options=input_options)
    # What the workers' device cannot do is refused where the cluster is known.
    here = replace(settings, device="cpu" if settings.device == "cpu" else "auto")
    here.check(backbone.traits)
    check_matchable(styles, backbone, here)
    like = source
    if painting is not None:
        like = WithMetadata(source, metadata_of(source).with_painting(painting))
    with open_target(
        output,
        like,
        options or OutputOptions(),
        overwrite=overwrite,
        if_interrupted=if_interrupted,
    ) as target:
        with joined_cluster(address) as ray:
            share = share_cluster(ray, device=settings.device, workers=workers)
            run = Run.of(source, backbone, here, listener=listener)
            pool = WorkerPool(ray, share)
            cluster = _Cluster(pool, share, content, input_options, settings)
            if run.is_plain:
                stats = run.measure(styles, style_weights=style_weights)
                with pool:
                    job = cluster.job(run, stats)
                    cluster.stylize(job, stats, target.notes, target.open, run)
            else:
                stores = LevelStores(target.store, len(run.level_sizes) - 1)
                with kept_levels(stores, output, if_interrupted, target), pool:
                    code = run.code_for_levels(styles, style_weights)
                    stats = _stylize_levels(cluster, run, code, stores, target)
        target.finish()
    return stats


def _stylize_levels(
    cluster: _Cluster, run: Run, code: StyleCode, stores: LevelStores, target: Target
) -> FrozenStats:
    """Level after level, each an ordinary pass over tiles; returns the statistics of the last."""
    pixels, pictures = run.level_pixels(), level_pictures(run.level_sizes)
    numbers = {picture.size: number for number, picture in enumerate(pictures)}

    def new_content(like: LevelPicture) -> ContentStore:
        return ContentStore(stores.content(numbers[like.size]), like)

    contents = level_contents(run.content, run.level_sizes, new_content, pixels.listener(0))
    below: Below | None = None
    stats: FrozenStats | None = None
    for number, like in enumerate(pictures):
        level = level_run(run, number, contents[number], below, pixels.listener(number))
        place, stats = stores.picture(number), level_stats(level, code, stats)
        open_canvas = partial(_open_picture, place, like)
        cluster.stylize(
            cluster.job(level, stats, stores), stats, notes_at(place), open_canvas, level
        )
        finished = ZarrPicture(unfinished_location(place), unfinished=True)
        below = Below(contents[number], finished)
    level = level_run(run, len(pictures), run.content, below, pixels.listener(len(pictures)))
    stats = level_stats(level, code, stats)
    job = cluster.job(level, stats, stores)
    cluster.stylize(job, stats, target.notes, target.open, level, pyramid=run.listener)
    return stats


def _open_picture(place: Location, like: LevelPicture, edge: int) -> ZarrCanvas:
    """Make the store of a level's picture, or open the unfinished one."""
    resume = IfInterrupted.RESUME if notes_at(place) else IfInterrupted.DISCARD
    return ZarrCanvas(place, like, edge=edge, if_interrupted=resume, pyramid=False)


@dataclass(frozen=True)
class _Cluster:
    """The workers that there are, and what is the same for all passes over tiles."""

    pool: WorkerPool
    share: WorkerShare
    content: Location
    input_options: InputOptions
    settings: Settings

    def job(self, run: Run, stats: FrozenStats, stores: LevelStores | None = None) -> Job:
        """What the workers of one pass get.

        Args:
            run: of the picture, or of a level of it.
            stats: its statistics.
            stores: of the levels, where there are any.
        """
        level = None
        content = self.content
        if run.level is not None and stores is not None:
            below = (stores.content, stores.picture) if run.level.below else ()
            places = [unfinished_location(name(run.level.number - 1)) for name in below]
            level = SharedLevel(replace(run.level, below=None), *places)
        if isinstance(run.content, ContentStore):
            content = run.content.location
        return Job(
            content,
            PictureFacts.of(run.content),
            run.backbone.on(torch.device("cpu")).bake(stats),
            run.backbone.traits,
            "cuda" if self.share.gpus else "cpu",
            self.share.threads,
            self.share.workers,
            self.input_options,
            level,
            is_store=isinstance(run.content, ContentStore),
            keeps_colors=run.settings.colors == "content",
            sample=None if run.proof_sample is run.content else self.content,
            pixels=run.painted_pixels,
        )

    def stylize(
        self,
        job: Job,
        stats: FrozenStats,
        notes: Mapping[str, Any],
        open_canvas: Callable[[int], ZarrCanvas],
        run: Run,
        *,
        pyramid: Listener | None = None,
    ) -> None:
        """All tiles that are not finished yet, and the pyramid.

        Args:
            job: for the workers.
            stats: that its network has.
            notes: of an earlier run.
            open_canvas: makes the store of the tiles, or opens it, for cores of an edge.
            run: whose listener is told.
            pyramid: told of the pyramid; the run's listener when not given.
        """
        self.pool.begin(job)
        edge, dtype = _plan(self.pool, job, self.settings, notes)
        tiles = list(cut(Rectangle.of_size(job.frame), edge))
        identity = run_identity(job, stats, edge=edge, dtype=dtype)
        finished = FinishedTiles(len(tiles), edge=edge, dtype=dtype, identity=identity)
        finished.restore(notes)
        canvas = open_canvas(edge)
        finished.begin(canvas)
        plan = TilePlan(canvas.working_location, edge, dtype)
        progress = _StageProgress(TILES_STAGE, tiles, finished.numbers, run.listener)
        _stylize_tiles(self.pool, plan, tiles, finished, canvas, progress)
        for level, cores in enumerate(canvas.take_pyramid(), start=1):
            listener = pyramid or run.listener
            progress = _StageProgress(f"pyramid {level}", cores, (), listener)
            for core, _ in self.pool.each(_shrinking(level, plan), cores):
                progress.step(core)
        finished.check_driver(canvas)


def _stylize_tiles(
    pool: WorkerPool,
    plan: TilePlan,
    tiles: Sequence[Rectangle],
    finished: FinishedTiles,
    canvas: ZarrCanvas,
    progress: _StageProgress,
) -> None:
    numbers = {core: number for number, core in enumerate(tiles)}
    todo = [core for core, number in numbers.items() if number not in finished.numbers]
    if not todo:
        return  # no worker has to start
    try:
        for core, _ in pool.each(lambda worker, core: worker.stylize.remote(core, plan), todo):
            finished.add(numbers[core], canvas)
            progress.step(core)
    finally:
        finished.flush(canvas)


def _plan(
    pool: WorkerPool, job: Job, settings: Settings, notes: Mapping[str, Any]
) -> tuple[int, torch.dtype]:
    """Tile edge and type to compute in: asked for, an earlier run's, or what suits a worker."""
    edge = settings.tile_size
    dtype = find_precision(settings.precision, job.traits)
    if notes:
        edge, dtype = edge or int(notes["edge"]), dtype or getattr(torch, notes["dtype"])
    if edge is None or dtype is None:
        _, (dtype, chosen) = next(pool.each(lambda worker, _: worker.survey.remote(dtype), [0]))
        edge = edge or chosen
    # A tile size beyond the picture asks for one tile.
    return min(edge, round_up(max(job.frame), job.traits.stride)), dtype


def _shrinking(level: int, plan: TilePlan) -> Callable[[Any, Rectangle], Any]:
    return lambda worker, core: worker.shrink.remote(core, level, plan)


class _StageProgress:
    """Counts tiles as they are done, and tells the listener."""

    def __init__(
        self,
        stage: str,
        tiles: Sequence[Rectangle],
        finished: Collection[int],
        listener: Listener,
    ) -> None:
        self._stage, self._total, self._listener = stage, len(tiles), listener
        self._done = len(finished)
        self._pixels = sum(tiles[number].area for number in finished)
        self._pixels_total = sum(tile.area for tile in tiles)
        self._tell(None)

    def step(self, tile: Rectangle) -> None:
        self._done += 1
        self._pixels += tile.area
        self._tell(tile)

    def _tell(self, tile: Rectangle | None) -> None:
        self._listener(
            Progress(self._stage, self._done, self._total, self._pixels, self._pixels_total, tile)
        )
