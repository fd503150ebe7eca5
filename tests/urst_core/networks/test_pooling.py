"""Statistics of several pictures as one."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest
import torch
from torch import Tensor

from urst_core.errors import SettingsError, StatsError
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.pooling import pool, pool_site
from urst_core.networks.statistics import (
    ChannelMoments,
    CovarianceMoments,
    GramMoments,
    MeanMoments,
    MeanStats,
    SiteStats,
)
from urst_core.networks.style import StyleCode

KINDS = [
    (lambda: ChannelMoments(unbiased=False), 1e-6),
    (MeanMoments, 1e-6),
    (GramMoments, 1e-6),
    # Unbiased: the squares of two parts are divided by 2 (n - 1), those of the whole by 2 n - 1.
    (ChannelMoments, 1e-3),
    (CovarianceMoments, 1e-3),
]


def features(seed, *, shift):
    """Channels that depend on each other, as those of networks do."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(4, 4, generator=generator)
    noise = torch.randn(1, 4, 50, 40, generator=generator)
    return torch.einsum("ij,njhw->nihw", mixing, noise) + shift


def measured(make, *parts):
    moments = make()
    for part in parts:
        moments.add(part)
    return moments.stats()


@pytest.mark.parametrize(("make", "tolerance"), KINDS)
def test_pooling_two_halves_equals_measuring_both(make, tolerance):
    first, second = features(1, shift=3.0), features(2, shift=-1.0)
    together = measured(make, first, second)
    pooled = pool_site([measured(make, first), measured(make, second)], [0.5, 0.5])
    for field in fields(together):
        expected, value = getattr(together, field.name), getattr(pooled, field.name)
        assert value.dtype == expected.dtype
        assert value.shape == expected.shape
        error = (value - expected).abs().max() / expected.abs().max()
        assert float(error) <= tolerance, field.name


@pytest.mark.parametrize(("make", "tolerance"), KINDS)
def test_a_picture_twice_is_that_picture(make, tolerance):
    del tolerance
    once = measured(make, features(3, shift=2.0))
    pooled = pool_site([once, once, once], [0.2, 0.3, 0.5])
    for field in fields(once):
        expected = getattr(once, field.name)
        torch.testing.assert_close(getattr(pooled, field.name), expected, rtol=1e-6, atol=1e-7)


def stats_of(value):
    site = MeanStats(torch.full((1, 1, 1, 1), value))
    code = StyleCode({"signal": torch.tensor([2.0 * value])})
    return FrozenStats("name", "fingerprint", code, {"site": site}, 0.5)


def test_codes_and_sites_have_the_same_weights():
    pooled = pool([stats_of(1.0), stats_of(5.0)], [3.0, 1.0])
    assert pooled.sites["site"].tensors()["mean"].item() == 2.0
    assert pooled.code.tensors["signal"].item() == 4.0
    assert (pooled.backbone, pooled.fingerprint, pooled.strength) == ("name", "fingerprint", 0.5)


def test_shares_that_cannot_be():
    with pytest.raises(SettingsError, match="cannot be used; use values >= 0"):
        pool([stats_of(1.0)], [0.0])


@dataclass(frozen=True)
class Medians(SiteStats):
    """A kind that does not add up."""

    median: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        return features - self.median


def test_a_kind_that_does_not_add_up_is_refused():
    medians = Medians(torch.zeros(1, 4, 1, 1))
    with pytest.raises(StatsError, match=r"Medians cannot be averaged .* measure per picture, or"):
        pool_site([medians, medians], [0.5, 0.5])
    means = MeanStats(torch.zeros(1, 4, 1, 1))
    with pytest.raises(StatsError, match="MeanStats, Medians cannot be averaged"):
        pool_site([means, medians], [0.5, 0.5])
