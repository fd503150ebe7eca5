"""Exact distributions of features in place of their first two moments.

EFDM (Zhang et al., CVPR 2022, arXiv:2203.07740) replaces the k-th smallest content feature of a
channel by the k-th smallest style feature. Sorting needs all features at once, which tiles do not
have. So each distribution is measured once, as a table of quantiles, and a feature is mapped by
itself: to its rank in the content's table, and from there to the style's quantile. Both maps are
monotone and piecewise linear, so tiles are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 256
"""Quantiles of each channel, at the levels (k + 1/2) / 256."""


def quantiles_of(values: Tensor) -> Tensor:
    """Quantiles of (C, n) values, (1, C, LEVELS), interpolated between the two nearest values."""
    ordered = values.sort(dim=1).values
    last = values.shape[1] - 1
    places = _levels(LEVELS, values) * values.shape[1] - 0.5
    places = places.clamp(0, last)
    below = places.floor().long().clamp(max=max(0, last - 1))
    share = places - below
    above = (below + 1).clamp(max=last)
    return (ordered[:, below] * (1 - share) + ordered[:, above] * share)[None]


def ranks(features: Tensor, quantiles: Tensor) -> Tensor:
    """Map (1, C, H, W) features to ranks, by the quantiles of each channel, (1, C, K).

    A value that several quantiles share (0, behind a ReLU) has the mean of their levels. Beyond the
    first and the last quantile, ranks continue with the mean slope between them.
    """
    table = quantiles[0].contiguous()
    values = features[0].flatten(1).to(table.dtype).contiguous()
    count = table.shape[1]
    first = torch.searchsorted(table, table)
    after = torch.searchsorted(table, table, right=True)
    levels = (first + after).to(table.dtype) / (2 * count)
    left = torch.searchsorted(table, values, right=True) - 1
    below = left.clamp(0, count - 2)
    low, high = table.gather(1, below), table.gather(1, below + 1)
    low_level, high_level = levels.gather(1, below), levels.gather(1, below + 1)
    width = high - low
    share = torch.where(width > 0, (values - low) / width.clamp(min=1e-30), torch.zeros_like(low))
    inside = low_level + (high_level - low_level) * share.clamp(0.0, 1.0)
    span = table[:, -1:] - table[:, :1]
    slope = torch.where(span > 0, 1 / span.clamp(min=1e-30), torch.zeros_like(span))
    beyond = (values - table[:, -1:]).clamp(min=0.0) + (values - table[:, :1]).clamp(max=0.0)
    return (inside + beyond * slope).view_as(features)


def at_ranks(rank: Tensor, quantiles: Tensor) -> Tensor:
    """Map (1, C, H, W) ranks to the values of a distribution: the inverse of :func:`ranks`."""
    table = quantiles[0].to(rank.dtype)
    count = table.shape[1]
    places = rank[0].flatten(1) * count - 0.5
    below = places.floor().long().clamp(0, count - 2)
    share = (places - below).clamp(0.0, 1.0)
    low, high = table.gather(1, below), table.gather(1, below + 1)
    ends = 0.5 / count
    past = (rank[0].flatten(1) - (1 - ends)).clamp(min=0.0)
    past = past + (rank[0].flatten(1) - ends).clamp(max=0.0)
    span = table[:, -1:] - table[:, :1]
    return (low + (high - low) * share + past * span).view_as(rank)


def _levels(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count
