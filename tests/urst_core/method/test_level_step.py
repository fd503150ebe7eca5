"""Resampling between two levels: how far it reaches, and what merging keeps."""

from __future__ import annotations

import torch
from examples import picture

from urst_core.geometry import Rectangle
from urst_core.method.level_step import GAIN, Step


def test_steps_stay_within_their_declared_reach():
    for coarse, fine in [((50, 70), (100, 140)), ((50, 70), (99, 139)), ((61, 80), (99, 101))]:
        step = Step(coarse, fine, coarse)
        for top in range(0, 80, 4):
            core = Rectangle(top, top, top + 16, top + 20).clipped(fine)
            needed = core.grown(step.reach).clipped(fine)
            area = step.painted_area(core)
            assert needed.contains(area)
            # Everything below that the merging reads is part of what the joining reads.
            assert step.below(needed).contains(step.below(core))


def test_a_merged_picture_shrinks_to_the_one_below():
    step = Step((50, 70), (100, 140), (50, 70))
    below, fine = picture((50, 70), seed=1).double(), picture((100, 140), seed=2).double()
    whole, small = Rectangle.of_size((100, 140)), Rectangle.of_size((50, 70))
    merged = step.merge(below, fine, whole)
    back = step.shrinking.apply(merged, whole, small)
    enlarged = step.enlarge(below, small, whole)
    once = enlarged + fine - step.enlarge(step.shrinking.apply(fine, whole, small), small, whole)
    naive = step.shrinking.apply(once, whole, small)
    assert float((back - below).square().mean()) < 0.4 * float((naive - below).square().mean())


def test_the_finest_strokes_come_out_with_the_gain():
    """A pattern of the picture's pixels, of which nothing is left in the level below."""
    step = Step((50, 70), (100, 140), (50, 70))
    rows, columns = torch.arange(100).view(-1, 1), torch.arange(140)
    pattern = (0.1 * (-1.0) ** (rows + columns)).double().expand(3, -1, -1)
    below = torch.full((3, 50, 70), 0.5, dtype=torch.float64)
    merged = step.merge(below, 0.5 + pattern, Rectangle.of_size((100, 140)))
    inner = (..., slice(16, -16), slice(16, -16))
    assert torch.allclose(merged[inner] - 0.5, GAIN * pattern[inner], rtol=1e-9)
