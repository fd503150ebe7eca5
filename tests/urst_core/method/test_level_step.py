"""Resampling between two levels: how far it reaches, and what merging keeps."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.geometry import Rectangle
from urst_core.method.level_step import FAINT_GAIN, STRONG_GAIN, Step, emphasized


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


def test_faint_strokes_gain_and_strong_ones_lose():
    hue = torch.tensor([0.2, -0.5, 0.3]).view(3, 1, 1)
    strengths = torch.linspace(1e-4, 4.0, 200).view(1, 1, -1)
    stronger = emphasized(hue * strengths)
    gains = stronger / (hue * strengths)
    assert torch.allclose(gains[0], gains[1], rtol=1e-5)  # the hue stays
    assert torch.allclose(gains[0], gains[2], rtol=1e-5)
    assert float(gains.max()) == pytest.approx(FAINT_GAIN, abs=1e-3)
    assert float(gains.min()) == pytest.approx(STRONG_GAIN, abs=1e-2)
    assert bool((stronger[0].diff() > 0).all())  # a stronger stroke stays the stronger one
