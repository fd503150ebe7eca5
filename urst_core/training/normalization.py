"""Thumbnail instance normalization in a training step: batched, with gradients.

At inference, statistics are measured once, for one picture, in float64, part by part. Here each
picture of a batch is measured as a whole, in float32, and gradients flow through its statistics.
"""

from __future__ import annotations

from torch import Tensor

from ..networks.sites import Site, Stages, collect, replay
from ..networks.statistics import EPSILON, ChannelMoments, ChannelStats


def batch_stats(features: Tensor, *, unbiased: bool = True) -> ChannelStats:
    """Mean and standard deviation of each picture of (N, C, H, W), (N, C, 1, 1), float32."""
    values = features.float()
    mean = values.mean(dim=(2, 3), keepdim=True)
    # Not torch.var_mean, which is several times slower for channels_last features on a CPU.
    squares = (values - mean).square().sum(dim=(2, 3), keepdim=True)
    variance = squares / (values.shape[2] * values.shape[3] - int(unbiased))
    return ChannelStats(mean, (variance + EPSILON).sqrt())


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
