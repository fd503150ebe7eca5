"""The levels of larger strokes as runs of their own; see :mod:`urst_core.method.strokes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..geometry import Size
from ..networks.frozen_stats import FrozenStats
from ..networks.style import StyleCode
from ..networks.tile_network import TileNetwork
from ..pictures.source import Source
from ..progress import Listener
from .regions import Regions
from .run import Run
from .strokes import Below, Level, measured_size


def level_run(
    run: Run, number: int, content: Source, below: Below | None, listener: Listener
) -> Run:
    """The run of one level of a picture, for a style from :meth:`Run.code_for_levels`.

    Args:
        run: the run of the picture.
        number: number of the level; 0 is the coarsest.
        content: content of the level; the picture itself on the last one.
        below: the level below; None for the coarsest.
        listener: called with the progress of the level.
    """
    settings, sizes = run.settings, run.level_sizes
    is_last = number == len(sizes) - 1
    level = Level(
        number,
        content.size,
        below,
        detail=settings.detail,
        brushwork=settings.brushwork if below is not None or is_last else 0.0,
        seed=settings.seed,
        # Regions mix it in themselves, each its own share.
        content_share=run.backbone.content_share(settings.strength)
        if is_last and run.regions is None
        else 0.0,
        coarsest=sizes[0],
        dtype=run.level_dtype or torch.float32,
    )
    # The code is already blended, and the content is mixed in only once, at the end; so are its
    # colors.
    colors = settings.colors if is_last else "style"
    return replace(
        run,
        content=content,
        settings=replace(
            settings,
            strength=1.0,
            colors=colors,
            thumbnail_size=measured_size(settings.thumbnail_size, sizes[0]),
        ),
        mask=run.mask if is_last else None,
        regions=_regions_at_level(run, content.size, is_last=is_last),
        listener=listener,
        level=level,
        picture=run.content,
    )


def _regions_at_level(run: Run, size: Size, *, is_last: bool) -> Regions | None:
    if run.regions is None or not is_last:
        return run.regions and run.regions.on_level(size)
    strengths = [run.settings.strength * region.strength for region in run.regions.each]
    return run.regions.on_last_level([run.backbone.content_share(s) for s in strengths])


@dataclass(frozen=True)
class LevelPainter:
    """The network of a level, and the statistics it was made with."""

    stats: FrozenStats
    network: TileNetwork


def make_painter(
    level: Run,
    code: StyleCode,
    below: LevelPainter | None,
    *,
    earlier: FrozenStats | None = None,
    keep: Callable[[FrozenStats], None] | None = None,
) -> LevelPainter:
    """Measure a level, and make its network; or take both from the level below.

    Args:
        level: from :func:`level_run`.
        code: from :meth:`Run.code_for_levels`.
        below: painter of the level below; None for the coarsest.
        earlier, keep: as in :meth:`Run.measure`.
    """
    if below is not None and shares_statistics(level):
        return below
    stats = earlier
    if stats is None or _lacks_sites(level, stats):
        stats = level.measure(code, earlier=earlier, keep=keep)
    return LevelPainter(stats, level.network(stats))


def level_stats(level: Run, code: StyleCode, below: FrozenStats | None) -> FrozenStats:
    """Measure a level, or take the statistics of the level below.

    Args:
        level: from :func:`level_run`.
        code: from :meth:`Run.code_for_levels`.
        below: statistics of the level below; None for the coarsest.
    """
    return below if below is not None and shares_statistics(level) else level.measure(code)


def shares_statistics(level: Run) -> bool:
    """Whether a level has the statistics, and so the network, of the level below.

    The inputs of all levels but the coarsest are enlarged paintings with detail, of the same
    composition. So their thumbnails are nearly the same, and only the smallest is measured.
    """
    return level.settings.stats != "exact" and level.level is not None and level.level.number > 1


def _lacks_sites(run: Run, stats: FrozenStats) -> bool:
    """Whether exact statistics were interrupted."""
    return len(stats.sites) < len(run.backbone.network.site_names)
