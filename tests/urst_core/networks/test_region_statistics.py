"""Moments of a region: those of its features, padding, limits."""

from __future__ import annotations

import torch

from urst_core.networks.region_statistics import LEAST_POSITIONS, RegionMoments
from urst_core.networks.sites import measure_features

FEATURES = torch.rand(1, 5, 32, 40, generator=torch.Generator().manual_seed(3))
THUMBNAIL = (61, 77)
FRAME = (64, 80)


def measured(area, features=FEATURES):
    moments = RegionMoments(area, FRAME, unbiased=True)
    moments.add(features)
    return moments.stats()


def area(rows=slice(None), columns=slice(None)):
    inside = torch.zeros(THUMBNAIL, dtype=torch.bool)
    inside[rows, columns] = True
    return inside


def test_a_region_everywhere_is_the_whole_bit_for_bit():
    whole, own = measure_features(FEATURES), measured(area())
    assert torch.equal(own.mean, whole.mean)
    assert torch.equal(own.std, whole.std)


def test_features_belong_to_the_pixel_at_their_center_and_padding_to_the_last_one():
    """Each feature is 2 px wide: number 15 is centered on 31, number 38 and 39 on padding."""
    for columns, features in (
        (slice(0, 31), slice(0, 15)),
        (slice(0, 32), slice(0, 16)),
        (slice(76, 77), slice(38, 40)),
    ):
        expected, own = measure_features(FEATURES[..., features]), measured(area(columns=columns))
        torch.testing.assert_close(own.mean, expected.mean, rtol=0, atol=1e-7)
        whole = measure_features(FEATURES)
        std = (0.75 * expected.std.square() + 0.25 * whole.std.square()).sqrt()
        torch.testing.assert_close(own.std, std, rtol=0, atol=1e-6)


def test_a_flat_region_has_half_of_the_whole_deviation():
    flat = FEATURES.clone()
    flat[..., :20] = 0.25
    own, whole = measured(area(columns=slice(0, 40)), flat), measure_features(flat)
    torch.testing.assert_close(own.mean, torch.full_like(own.mean, 0.25))
    torch.testing.assert_close(own.std, 0.5 * whole.std, rtol=1e-3, atol=0)  # and the epsilon


def test_a_region_of_few_features_has_the_statistics_of_the_whole():
    whole = measure_features(FEATURES)
    few, enough = area(slice(0, 16), slice(0, 14)), area(slice(0, 16), slice(0, 16))
    assert LEAST_POSITIONS == 64
    assert torch.equal(measured(few).mean, whole.mean)
    assert not torch.allclose(measured(enough).mean, whole.mean)
