"""The whole method on one screen: picture, thumbnail, statistics, tiles, canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.style import AnyStyle, StyleCode
from ..pictures.mask import Mask
from ..pictures.source import Canvas, Source
from ..progress import Listener, ignore
from ..tiling.settings import Settings
from .encoding import check_matchable
from .level_pictures import level_contents, level_pictures
from .level_run import LevelPainter, level_run, make_painter
from .regions import Regions
from .run import Run
from .strokes import Below


def stylize(
    content: Source,
    styles: Sequence[AnyStyle] | StyleCode | Regions,
    canvas: Canvas,
    backbone: Backbone,
    settings: Settings | None = None,
    *,
    style_weights: Sequence[float] | None = None,
    mask: Mask | None = None,
    listener: Listener = ignore,
) -> FrozenStats:
    """Stylize a picture of any size: measure once, then tile by tile (arXiv:2103.11784).

    Args:
        content: the picture; its alpha, if any, is carried over untouched.
        styles: one or more style pictures, names of built-in styles, or codes (empty if there is
            only one built-in style); or the code of them all; or a style for each region.
        canvas: of the content's size, channels and dtype; every pixel of it is written once.
        backbone: network and weights; neither is changed.
        settings: see :class:`~urst_core.tiling.settings.Settings`.
        style_weights: share of each style; equal if None.
        mask: where to stylize; tiles outside it are copied. Statistics are always those of the
            whole picture.
        listener: called after each tile; if it raises, the run ends.

    Returns:
        The statistics that were used.

    Raises:
        URSTError: a picture, a setting or the device cannot be used.
    """
    regions = styles if isinstance(styles, Regions) else None
    run = Run.of(content, backbone, settings, mask=mask, regions=regions, listener=listener)
    check_matchable(styles, backbone, run.settings)
    if not run.is_plain:
        return stylize_levels(run, styles, canvas, style_weights=style_weights)
    stats = run.measure(styles, style_weights=style_weights)  # once, a few KB
    network = run.network(stats)  # a plain convolutional network
    run.stylize(network, canvas)  # many tiles, independent
    return stats


def stylize_levels(
    run: Run,
    styles: Sequence[AnyStyle] | StyleCode | Regions,
    canvas: Canvas,
    *,
    style_weights: Sequence[float] | None = None,
) -> FrozenStats:
    """Stylize a picture level by level, the coarsest first; see :mod:`urst_core.method.strokes`.

    Args:
        run: the run of the picture.
        styles, canvas, style_weights: as in :func:`stylize`.

    Returns:
        The statistics of the last level.
    """
    sizes = run.level_sizes
    pixels = run.level_pixels()
    run = replace(run, listener=pixels.listener(0))
    code = run.code_for_levels(styles, style_weights)
    contents = level_contents(run.content, sizes, run.level_canvas, run.listener)
    below: Below | None = None
    painter: LevelPainter | None = None
    for number, like in enumerate(level_pictures(sizes)):
        content, picture = contents[number], run.level_canvas(like)
        level = level_run(run, number, content, below, pixels.listener(number))
        painter = make_painter(level, code, painter)
        level.stylize(painter.network, picture)
        below = Below(content, picture)
    level = level_run(
        run, len(contents) - 1, run.content, below, pixels.listener(len(contents) - 1)
    )
    painter = make_painter(level, code, painter)
    level.stylize(painter.network, canvas)
    return painter.stats
