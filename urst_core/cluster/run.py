"""One picture on many machines: measured here, stylized by Ray workers, gathered in a Zarr store.

      here                                   each worker
      content ──► statistics ──► network ──► its copy, baked and moved to the device once
                                             content (read there) ──► tile ──► chunks of the store
      store ──► pyramid, or picture file

The statistics are shared, so the picture is that of one machine, whoever stylized which tile.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import Change, SettingsError
from ..formats.input_options import InputOptions
from ..formats.open import open_picture
from ..formats.output_options import OutputOptions
from ..formats.zarr.store import Location
from ..geometry import Rectangle, cut, round_up
from ..method.pipeline import Run
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..pictures.source import Source
from ..progress import Listener, Progress, ignore
from ..tiling.device import find_precision
from ..tiling.settings import IfInterrupted, Settings
from .output import Target, open_target
from .pool import WorkerPool
from .ray import joined_cluster, share_cluster
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
    styles: Sequence[Source | str],
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
    if not Run.of(source, backbone, here).is_plain:
        raise SettingsError(
            f"strokes {settings.strokes!r} take several levels, which a cluster does not share",
            Change("strokes", "fine"),
        )
    with open_target(
        output,
        source,
        options or OutputOptions(),
        overwrite=overwrite,
        if_interrupted=if_interrupted,
    ) as target:
        with joined_cluster(address) as ray:
            share = share_cluster(ray, device=settings.device, workers=workers)
            run = Run.of(source, backbone, here, listener=listener)
            stats = run.measure(styles, style_weights=style_weights)
            job = Job(
                content,
                PictureFacts.of(source),
                backbone.bake(stats),
                backbone.traits,
                "cuda" if share.gpus else "cpu",
                share.threads,
                share.workers,
                input_options,
            )
            with WorkerPool(ray, job, share) as pool:
                _stylize_tiles(pool, job, stats, settings, target, listener)
        target.finish()
    return stats


def _stylize_tiles(
    pool: WorkerPool,
    job: Job,
    stats: FrozenStats,
    settings: Settings,
    target: Target,
    listener: Listener,
) -> None:
    """All tiles that are not finished yet, and the pyramid."""
    edge, dtype = _plan(pool, job, settings, target.notes)
    tiles = list(cut(Rectangle.of_size(job.frame), edge))
    identity = run_identity(job, stats, edge=edge, dtype=dtype)
    finished = FinishedTiles(len(tiles), edge=edge, dtype=dtype, identity=identity)
    finished.restore(target.notes)
    canvas = target.open(edge)
    finished.begin(canvas)
    plan = TilePlan(canvas.working_location, edge, dtype)
    progress = _StageProgress("tiles", tiles, finished.numbers, listener)
    numbers = {core: number for number, core in enumerate(tiles)}
    todo = [core for core, number in numbers.items() if number not in finished.numbers]
    try:
        for core, _ in pool.each(lambda worker, core: worker.stylize.remote(core, plan), todo):
            finished.add(numbers[core], canvas)
            progress.step(core)
    finally:
        finished.flush(canvas)
    for level, cores in enumerate(canvas.take_pyramid(), start=1):
        progress = _StageProgress(f"pyramid {level}", cores, (), listener)
        for core, _ in pool.each(_shrinking(level, plan), cores):
            progress.step(core)
    finished.check_driver(canvas)


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
