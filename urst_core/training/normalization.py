"""Thumbnail instance normalization inside a training step: batched, with gradients.

At run time statistics are measured once, for one picture, in float64, part by part. Here many
pictures of one part each are measured in float32, each with its own statistics, and gradients flow
through them.
"""

from __future__ import annotations

from torch import Tensor

from ..networks.sites import Site, Stages, collect, replay
from ..networks.statistics import EPSILON, ChannelMoments, ChannelStats


def batch_stats(features: Tensor, *, unbiased: bool = True) -> ChannelStats:
    """Statistics of each picture of (N, C, H, W): mean and deviation, (N, C, 1, 1), float32."""
    values = features.float()
    mean = values.mean(dim=(2, 3), keepdim=True)
    # Not torch.var_mean: of channels_last features it takes several times as long on a CPU.
    squares = (values - mean).square().sum(dim=(2, 3), keepdim=True)
    variance = squares / (values.shape[2] * values.shape[3] - int(unbiased))
    return ChannelStats(mean, (variance + EPSILON).sqrt())


def measure_batch(site: Site) -> ChannelStats:
    """The statistics of a site, one set a picture, divided as the network's own are.

    Raises:
        TypeError: the network measures something else than channels there.
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
        thumbnails: the network's run on (N, 3, h, w) thumbnails.
        patches: its run on (N, 3, h, w) patches in full size; None where none are needed.

    Returns:
        Both results, in the network's range.
    """
    sites, stylized = collect(thumbnails, measure_batch)
    return stylized, None if patches is None else replay(patches, sites)
