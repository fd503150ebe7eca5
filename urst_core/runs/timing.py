"""Estimates the duration of a file run, and the size of its result, from a few of its real tiles,
spread over the picture."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from ..formats.encode import encode
from ..formats.work_file import WorkFile
from ..geometry import Rectangle, tile_around, windows_area
from ..method.level_pictures import level_pictures
from ..method.level_run import level_run
from ..method.run import Run
from ..method.strokes import Below
from ..networks.frozen_stats import FrozenStats
from ..pictures.resized import Resized
from ..pictures.source import TensorSource
from ..progress import ignore
from ..tiling.device import PRECISIONS
from ..tiling.exact_statistics import SiteMeasurement
from ..tiling.loop import TileLoop
from ..tiling.prefetch import TileWork
from .file_run import FileRun
from .plan import Plan, Seconds

SAMPLE_TILES = 4
"""Number of tiles that are timed, after one to warm up."""

SAMPLE_EDGE_ON_CPU = 512
"""Edge of the cores for timing a CPU, in px: large ones take seconds, but the same time per window
pixel."""

LONG_SECONDS = 40.0
"""A run that takes longer is worth larger samples on a CPU, of twice the edge."""

SITE_SAMPLE_TILES = 2
"""Number of tiles that are timed for each pass of exact statistics."""


def calibrated(run: FileRun, plan: Plan) -> Plan:
    """Complete a plan with durations, the likely size of the result, and the precision.

    Args:
        run: the run to try; nothing is written beside its output.
        plan: its checked plan: tiles of that size must fit.

    Raises:
        URSTError: as in :meth:`FileRun.run`.
    """
    sample = replace(run.run_value(stats="thumbnail", tile_size=plan.tile_size), mask=None)
    started = time.monotonic()
    stats = sample.measure(run.run_styles, style_weights=run.style_weights)
    # Precisions are tried here, too.
    last = _last_level(sample)
    network = last.network(stats)
    statistics = time.monotonic() - started
    dtype = network.compute_dtype
    tiles = last.tiles(dtype)
    canvas = _Cores()
    of_tiles = _seconds_of_all(tiles, last.work(network, canvas), SAMPLE_TILES)
    of_tiles *= _pixels_of_levels(sample)
    if run.settings.stats == "exact":
        statistics += _seconds_of_sites(sample, stats, tiles) * _pixels_of_levels(sample)
    # The second statistics of larger strokes take as long as the thumbnail of the whole picture,
    # which is measured here and not there.
    encoding, result_bytes = _encoded(run, canvas.together())
    precision = next(name for name in PRECISIONS if PRECISIONS[name] == dtype)
    return replace(
        plan,
        seconds=Seconds(statistics, of_tiles, encoding),
        likely_result_bytes=min(result_bytes, plan.result_bytes),
        precision=precision,
    )


def _last_level(run: Run) -> Run:
    """The last level of larger strokes, above the unpainted content; a plain run itself."""
    if run.is_plain:
        return run
    below, pictures = None, level_pictures(run.level_sizes)
    if pictures:
        content = run.content
        smaller = Resized(content, Rectangle.of_size(content.size), pictures[-1].size)
        below = Below(smaller, smaller)
    return level_run(run, len(pictures), run.content, below, ignore)


def _pixels_of_levels(run: Run) -> float:
    """Number of pixels of all levels, relative to the last one."""
    areas = [Rectangle.of_size(size).area for size in run.level_sizes]
    return sum(areas) / areas[-1]


def _seconds_of_sites(run: Run, stats: FrozenStats, tiles: TileLoop) -> float:
    """Time of all passes of exact statistics; earlier sites are taken from a thumbnail."""
    stats = stats.to(run.device)
    seconds = 0.0
    for name in run.backbone.network.site_names:
        work = SiteMeasurement(run.content, run.backbone, stats.code, name, stats.sites)
        seconds += _seconds_of_all(tiles, work, SITE_SAMPLE_TILES)
    return seconds


def _seconds_of_all(tiles: TileLoop, work: TileWork[Any, Any], count: int) -> float:
    """Time for all tiles, extrapolated by window pixels from a few of them."""
    if tiles.device.type != "cpu":
        return _extrapolated(tiles, work, count, tiles.edge)
    seconds = _extrapolated(tiles, work, count, SAMPLE_EDGE_ON_CPU)
    if seconds > LONG_SECONDS and tiles.edge > SAMPLE_EDGE_ON_CPU:
        seconds = _extrapolated(tiles, work, count, 2 * SAMPLE_EDGE_ON_CPU)
    return seconds


def _extrapolated(
    tiles: TileLoop, work: TileWork[Any, Any], count: int, largest_edge: int
) -> float:
    """The same, from tiles of at most that edge."""
    edge = min(tiles.edge, largest_edge)
    sampled = replace(tiles, edge=edge // tiles.traits.stride * tiles.traits.stride)
    cores = sampled.cores_to_do()
    step = max(1, len(cores) // count)
    sample = cores[step // 2 :: step][:count]
    _run_only(sampled, work, sample[:1])
    started = time.monotonic()
    _run_only(sampled, work, sample)
    seconds = time.monotonic() - started
    pixels = sum(tile_around(core, tiles.halo, tiles.frame).window.area for core in sample)
    return seconds / pixels * windows_area(tiles.frame, tiles.edge, tiles.halo)


def _run_only(tiles: TileLoop, work: TileWork[Any, Any], sample: Sequence[Rectangle]) -> None:
    others = set(tiles.cores_to_do()).difference(sample)
    tiles.run("sample", work, ledger=_Finished(others))


def _encoded(run: FileRun, pixels: Tensor) -> tuple[float, int]:
    """Time and bytes that the whole result takes, extrapolated from some of its pixels."""
    sample = TensorSource(pixels)
    with TemporaryDirectory(prefix="urst-") as name:
        path = Path(name) / "pixels.tif"
        whole = Rectangle.of_size(sample.size)
        with WorkFile.create(path, sample) as work:
            work.write(whole, pixels)
        folder = Path(name) / "result"
        folder.mkdir()
        result = folder / f"sample{run.output.suffix}"
        encode(path, result, sample, run.options)  # loads the libraries
        started = time.monotonic()
        encode(path, result, sample, run.options)
        seconds = time.monotonic() - started
        stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    height, width = run.source.size
    times = height * width / whole.area
    return seconds * times, round(stored * times)


@dataclass(frozen=True)
class _Finished:
    """A :class:`~urst_core.tiling.loop.Ledger` with all cores finished except for a sample."""

    cores: Collection[Rectangle]
    edges: Sequence[int] = ()

    def add_core(self, core: Rectangle) -> None:
        """Nothing to note."""

    def add_edge(self, edge: int) -> None:
        """Nothing to note."""


@dataclass(frozen=True)
class _Cores:
    """A canvas that keeps the cores that are written."""

    kept: list[Tensor] = field(default_factory=list[Tensor])

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        del rectangle
        self.kept.append(pixels)

    def together(self) -> Tensor:
        """The cores of the most frequent size, one above the other."""
        sizes = [pixels.shape for pixels in self.kept]
        size = max(sizes, key=sizes.count)
        return torch.cat([pixels for pixels in self.kept if pixels.shape == size], 1)
