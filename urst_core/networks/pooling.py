"""Pooled statistics of several pictures, as if they had been measured together.

Means, mean squares and mean products are averaged by each picture's share; standard deviations and
whitening matrices are derived from them. So pooled statistics include the differences between
pictures, which averaging standard deviations would lose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import StatsError
from .frozen_stats import FrozenStats, RegionStats
from .local_statistics import LocalStats
from .statistics import (
    EPSILON,
    ChannelStats,
    GramStats,
    MeanStats,
    QuantileStats,
    SiteStats,
    WhiteningStats,
    matrix_power,
)
from .style import blend


def pool(parts: Sequence[FrozenStats], shares: Sequence[float]) -> FrozenStats:
    """Pool the statistics of several pictures and blend their style codes.

    From the second site on, this only approximates a joint pass (:mod:`urst_core.method.video`),
    since each picture was normalized by its own statistics at earlier sites.

    Args:
        parts: statistics of each picture, measured separately with the same backbone.
        shares: share of each, > 0, normalized to a sum of 1.

    Raises:
        StatsError: a site has a kind of statistics that cannot be pooled.
        SettingsError: as in :func:`urst_core.networks.style.blend`.
    """
    regions = [part.parts for part in parts if isinstance(part, RegionStats)]
    if regions:
        return RegionStats.of([pool(each, shares) for each in zip(*regions)])
    code = blend([part.code for part in parts], shares)
    shares = [share / sum(shares) for share in shares]
    sites = {name: pool_site([p.sites[name] for p in parts], shares) for name in parts[0].sites}
    return replace(parts[0], code=code, sites=sites)


def pool_site(parts: Sequence[SiteStats], shares: Sequence[float]) -> SiteStats:
    """Pool the statistics of one site over several pictures, with shares that sum to 1.

    Raises:
        StatsError: their kind cannot be pooled.
    """
    kind = type(parts[0])
    if kind not in POOLING or any(type(part) is not kind for part in parts):
        names = sorted({type(part).__name__ for part in parts})
        raise StatsError(
            f"statistics {', '.join(names)} cannot be averaged over pictures; "
            "measure per picture, or shared"
        )
    return POOLING[kind](parts, shares)


def _pool_channels(parts: Sequence[ChannelStats], shares: Sequence[float]) -> ChannelStats:
    means = [_wide(part.mean) for part in parts]
    mean = _sum(means, shares)
    inner = _sum([_wide(part.std).square() - EPSILON for part in parts], shares)
    between = _sum([(each - mean).square() for each in means], shares)
    std = (inner + between + EPSILON).sqrt()
    like = parts[0].mean
    return ChannelStats(mean.to(like), std.to(like))


def _pool_local(parts: Sequence[LocalStats], shares: Sequence[float]) -> LocalStats:
    """Moments at each node, as the whole thumbnail has them."""
    whole = _pool_channels(parts, shares)
    local = [_at_nodes(part) for part in parts]
    at_nodes = _pool_channels(local, shares)
    mean, std = _wide(whole.mean), _wide(whole.std)
    scale = std / _wide(at_nodes.std)
    shift = (mean - _wide(at_nodes.mean)) / _wide(at_nodes.std)
    like = parts[0]
    return LocalStats(
        whole.mean, whole.std, scale.to(like.scale), shift.to(like.shift), like.extent
    )


def _at_nodes(stats: LocalStats) -> ChannelStats:
    """Mean and deviation around each node, (1, C, rows, columns), float64."""
    std = _wide(stats.std) / _wide(stats.scale)
    return ChannelStats(_wide(stats.mean) - _wide(stats.shift) * std, std)


def _pool_means(parts: Sequence[MeanStats], shares: Sequence[float]) -> MeanStats:
    return MeanStats(_sum([_wide(part.mean) for part in parts], shares).to(parts[0].mean))


def _pool_grams(parts: Sequence[GramStats], shares: Sequence[float]) -> GramStats:
    return GramStats(_sum([_wide(part.gram) for part in parts], shares).to(parts[0].gram))


def _pool_whitening(parts: Sequence[WhiteningStats], shares: Sequence[float]) -> WhiteningStats:
    """Every whitening matrix already contains the ridge; the result contains it once."""
    means = [_wide(part.mean) for part in parts]
    mean = _sum(means, shares)
    covariances = [
        matrix_power(_wide(part.whitening), -2.0, smallest=1e-12)
        + torch.outer((each - mean).flatten(), (each - mean).flatten())
        for part, each in zip(parts, means)
    ]
    whitening = matrix_power(_sum(covariances, shares), -0.5)
    like = parts[0]
    return WhiteningStats(mean.to(like.mean), whitening.to(like.whitening))


def _pool_quantiles(parts: Sequence[QuantileStats], shares: Sequence[float]) -> QuantileStats:
    """Quantile by quantile: the barycenter of the distributions, not that of joined pictures."""
    return QuantileStats(_sum([_wide(p.quantiles) for p in parts], shares).to(parts[0].quantiles))


POOLING: dict[type[SiteStats], Callable[[Any, Sequence[float]], SiteStats]] = {
    ChannelStats: _pool_channels,
    LocalStats: _pool_local,
    MeanStats: _pool_means,
    GramStats: _pool_grams,
    WhiteningStats: _pool_whitening,
    QuantileStats: _pool_quantiles,
}
"""How each kind of statistics is pooled."""


def _sum(values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    return torch.stack([share * value for share, value in zip(shares, values)]).sum(dim=0)


def _wide(values: Tensor) -> Tensor:
    """Convert to float64 on the CPU, since some devices lack it."""
    return values.cpu().double()
