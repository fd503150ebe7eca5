"""Thumbnail instance normalization in a training step: batched, with gradients.

At inference, statistics are measured once, for one picture, in float64, part by part. Here each
picture of a batch is measured as a whole, in float32, and gradients flow through its statistics.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..networks.sites import Site, Stages, collect, replay
from ..networks.statistics import EPSILON, ChannelMoments, ChannelStats


def batch_stats(features: Tensor, *, unbiased: bool = True) -> ChannelStats:
    """Mean and standard deviation of each picture of (N, C, H, W), (N, C, 1, 1).

    Half precision is measured in float32. The gradient has the features' dtype.
    """
    mean, squares = _Moments.apply(features)
    variance = squares / (features.shape[2] * features.shape[3] - int(unbiased))
    return ChannelStats(mean, (variance + EPSILON).sqrt())


class _Moments(torch.autograd.Function):
    """Means and sums of squared deviations, (N, C, 1, 1), of (N, C, H, W) features.

    With a backward of its own: autograd would keep a float32 copy of all features and pass over it
    several times. Not ``torch.var_mean``, which is several times slower for channels_last features
    on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(features.dtype, torch.float32)
        count = features.shape[2] * features.shape[3]
        mean = features.sum(dim=(2, 3), keepdim=True, dtype=wide) / count
        differences = features.to(wide, copy=True).sub_(mean)
        ctx.save_for_backward(features, mean)
        return mean, differences.square_().sum(dim=(2, 3), keepdim=True)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - PyTorch passes it so
        ctx: Any, *gradients: Tensor
    ) -> Tensor:
        features, mean = ctx.saved_tensors
        of_mean, of_squares = gradients
        slope = 2.0 * of_squares
        offset = of_mean / (features.shape[2] * features.shape[3]) - slope * mean
        return torch.addcmul(offset.to(features), slope.to(features), features)


def measure_batch(site: Site) -> ChannelStats:
    """Measure a site, separately for each picture, with the network's variance estimator.

    Raises:
        TypeError: the network does not measure channel statistics there.
    """
    moments = site.moments()
    if not isinstance(moments, ChannelMoments):
        raise TypeError(f"site {site.name!r} measures {type(moments).__name__}, not channels")
    return batch_stats(site.features, unbiased=moments.unbiased)


def stylize_thumbnail_and_patch(
    thumbnails: Stages, patches: Stages | None
) -> tuple[Tensor, Tensor | None]:
    """Stylize thumbnails, and patches of the same pictures with the thumbnails' statistics.

    Args:
        thumbnails: the network's stages for (N, 3, h, w) thumbnails.
        patches: its stages for (N, 3, h, w) patches in full size; None if not needed.

    Returns:
        Both results, in the network's range.
    """
    sites, stylized = collect(thumbnails, measure_batch)
    return stylized, None if patches is None else replay(patches, sites)
