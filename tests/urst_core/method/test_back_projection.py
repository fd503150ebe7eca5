"""Larger levels stay like the coarsest painting."""

from dataclasses import replace

import pytest
import torch
from examples import picture

from urst_core.geometry import Rectangle
from urst_core.method.back_projection import BackProjection
from urst_core.method.level_step import LAST_DRIFT, Step
from urst_core.method.strokes import Below, Level
from urst_core.pictures.source import TensorSource
from urst_core.pictures.thumbnail import make_thumbnail

COARSEST, COARSE, FINE = (33, 50), (66, 100), (131, 200)
WHOLE = Rectangle.of_size(FINE)


def merged(level: Level) -> torch.Tensor:
    """The level's picture where the network paints noise: strokes too fine for a thumbnail."""
    painted = torch.rand(3, *FINE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    below = level.read_below(WHOLE)
    return level.merge(painted, painted, below, WHOLE, WHOLE).clamp(0.0, 1.0)


def drift(level: Level) -> float:
    """Root mean square difference of the thumbnails of a picture and of the one below."""
    assert level.below is not None
    pictures = TensorSource(merged(level)), level.below.picture
    first, second = (make_thumbnail(each, max(COARSEST)) for each in pictures)
    return float((first - second).square().mean().sqrt())


def test_thumbnails_drift_less_than_a_third_as_far():
    below = TensorSource(picture(COARSE, seed=2).double())
    level = Level(2, FINE, Below(below, below), coarsest=COARSEST, dtype=torch.float64)
    # As if the picture below were too large to drift from.
    tiny = (COARSEST[0] // 4, COARSEST[1] // 4)
    without = replace(level, coarsest=tiny)
    assert level.step is not None
    assert level.step.back_projection is not None
    assert without.step is not None
    assert without.step.back_projection is None
    assert drift(level) < drift(without) / 3


def test_levels_far_above_the_coarsest_are_not_corrected():
    """What they repaint is too fine for a thumbnail, and corrections would need wide windows."""
    wide = tuple(round(LAST_DRIFT * side) for side in COARSEST)
    last = Step(wide, (2 * wide[0], 2 * wide[1]), COARSEST)
    before = Step((wide[0] - 9, wide[1] - 9), (2 * wide[0] - 18, 2 * wide[1] - 18), COARSEST)
    assert last.back_projection is None
    assert before.back_projection is not None
    assert last.reach < before.reach


@pytest.mark.parametrize("target", [Rectangle(0, 0, 40, 60), Rectangle(61, 90, 131, 200)])
def test_corrections_do_not_depend_on_the_window(target):
    projection = BackProjection(COARSEST, COARSE, FINE)
    painted, below = picture(FINE, seed=7).double(), picture(COARSE, seed=8).double()
    at_below, needed = Rectangle.of_size(COARSE), projection.needs(target)
    window = painted[(..., *needed.slices)].clone()
    whole = projection.correct(painted.clone(), WHOLE, below, at_below, WHOLE)
    whole = whole[(..., *target.slices)]
    assert torch.equal(projection.correct(window, needed, below, at_below, target), whole)
    assert float((whole - painted[(..., *target.slices)]).abs().max()) > 0.01


def test_a_picture_that_keeps_its_thumbnail_is_not_corrected():
    """The thumbnail is that of make_thumbnail, up to float32."""
    projection = BackProjection(COARSEST, COARSEST, FINE)
    painted = picture(FINE, seed=7)
    small = make_thumbnail(TensorSource(painted), max(COARSEST))[0]
    at_small = Rectangle.of_size(COARSEST)
    corrected = projection.correct(painted.clone(), WHOLE, small, at_small, WHOLE)
    # A weighted sum of up to 64 float32 pixels.
    assert float((corrected - painted).abs().max()) <= 64 * torch.finfo(torch.float32).eps
