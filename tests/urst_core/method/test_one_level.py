"""Levels one at a time: the pixels of the run that makes all of them."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.method.one_level import OneLevel, measure_level
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

STYLE = TensorSource(picture((96, 120), seed=3))


def canvas_of(size):
    return TensorCanvas(size, dtype=torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_levels_one_at_a_time_are_those_of_one_run(microast, strength):
    content = TensorSource(picture((131, 187)))
    settings = Settings(thumbnail_size=64, style_size=64, strength=strength, tile_size=256)
    expected = canvas_of(content.size)
    stylize(content, [STYLE], expected, microast, settings)
    level, told = OneLevel.coarsest(content, settings), []
    painting = None
    while painting is None or painting.size != content.size:
        if painting is not None:
            level = level.above(painting, settings)
        joined, painted = canvas_of(level.level.size), canvas_of(level.level.size)
        level.join(joined, told.append)
        if level.level.number < 2:  # larger levels share these
            stats = measure_level(level, joined, [STYLE], microast, settings)
        run = Run.of(joined, microast, settings)
        run.stylize(run.network(stats), painted)
        painting = painted
        if not level.is_coarsest:
            painting = canvas_of(level.level.size)
            level.merge(painted, painting, stats, told.append)
    assert torch.equal(painting.pixels, expected.pixels)
    assert [each.size for each in level.contents] == [(45, 64), (66, 94), (131, 187)]
    assert [step.stage for step in told if step.tiles_done] == [
        "joining",
        *["joining", "merging"] * 2,
    ]
    assert all(step.pixels_done == step.pixels_total for step in told if step.tiles_done)


def test_a_cancel_ends_joining_and_merging(microast):
    def cancel(progress):
        raise InterruptedError(progress.stage)

    content, settings = TensorSource(picture((80, 120))), Settings(thumbnail_size=32)
    with pytest.raises(InterruptedError, match="contents"):
        OneLevel.coarsest(content, settings, cancel)
    first = OneLevel.coarsest(content, settings)
    painting = canvas_of(first.level.size)
    with pytest.raises(InterruptedError, match="joining"):
        first.join(painting, cancel)
    first.join(painting)
    level = first.above(painting, settings)
    joined = canvas_of(level.level.size)
    level.join(joined)
    stats = measure_level(level, joined, [STYLE], microast, settings)
    with pytest.raises(InterruptedError, match="merging"):
        level.merge(joined, canvas_of(level.level.size), stats, cancel)
