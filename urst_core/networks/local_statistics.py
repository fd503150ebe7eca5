"""Local statistics: mean and deviation of each channel that vary smoothly over the picture.

Statistics of a whole picture make a dark corner darker and a bright sky paler, since both are
normalized by the mean of everything. Local ones are weighted by a Gaussian around each place, on
the thumbnail's features, at the nodes of a coarse grid; between nodes they are interpolated. The
grid is measured once and frozen, so tiles are exact. (Kernelized and dense normalization, ECCV 2022
and 2024, argue for local statistics of large pictures; they take them from the tiles.)

Features are first normalized by the whole thumbnail, which folds into a convolution as always. Then
comes an affine map with the scales and shifts of the grid; with an infinite radius, the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SettingsError
from ..geometry import Size
from .sites import Site
from .statistics import EPSILON, ChannelMoments, ChannelStats, Moments, channel_groups, widened

NODES_PER_RADIUS = 2

LEAST_CONTRAST = 0.5
"""Least deviation at a site, as a share of the whole thumbnail's: flat areas are amplified up to
twice as much as the picture, with two sites up to four times. Without a limit, their noise would be
amplified 316 times; with four at each of two sites, the faint grid of MicroAST is seen in skies."""


@dataclass(frozen=True)
class LocalMap:
    """A scale and a shift of each channel that vary over the picture.

    Attributes:
        scale, shift: values at the nodes, (1, C, rows, columns); the first and last nodes are on
            the picture's edges.
    """

    scale: Tensor
    shift: Tensor

    def beside(self, other: LocalMap) -> LocalMap:
        """Concatenate both, the other's channels last."""
        return LocalMap(
            torch.cat([self.scale, other.scale], dim=1), torch.cat([self.shift, other.shift], dim=1)
        )

    def apply(self, features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """``scale * x + shift`` at these places of the picture.

        Args:
            features: (N, C, H, W), floating.
            rows, columns: centers of the features, (H,) and (W,), float64, on the CPU; 0..1 from
                edge to edge of the picture.
        """
        scale, shift = (interpolate(grid, rows, columns) for grid in (self.scale, self.shift))
        return torch.addcmul(shift, features.to(scale.dtype), scale)


@dataclass(frozen=True)
class LocalStats(ChannelStats):
    """Statistics of the whole thumbnail, and how they vary over the picture.

    Attributes:
        scale, shift: of the :class:`LocalMap` that follows the normalization by the mean and the
            deviation of the whole thumbnail.
        extent: height and width of the padded thumbnail, as multiples of those without padding,
            (2,), float64.
    """

    scale: Tensor
    shift: Tensor
    extent: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        """Normalize the features of the whole padded thumbnail."""
        rows, columns = (
            centers(count, float(extent) / count)
            for count, extent in zip(features.shape[2:], self.extent)
        )
        local = LocalMap(self.scale, self.shift)
        return local.apply(super().normalize(features), rows, columns)

    def map_to(self, target: ChannelStats) -> LocalMap:
        """The map that follows a normalization by the whole thumbnail, to ``target``'s range."""
        mean, std = widened(target.mean), widened(target.std)
        scale = widened(self.scale)
        return LocalMap(scale, std * widened(self.shift) + mean * (1.0 - scale))


class LocalMoments:
    """First and second moments around each node, of one or several thumbnails of one size.

    Args:
        radius: standard deviation of the Gaussian, as a share of the longest side.
        thumbnail: height and width without padding, in px.
        frame: height and width with padding, in px.
        unbiased: as for :class:`~urst_core.networks.statistics.ChannelMoments`.
    """

    def __init__(self, radius: float, thumbnail: Size, frame: Size, *, unbiased: bool) -> None:
        self._radius, self._thumbnail = radius, thumbnail
        self._extent = [padded / inner for padded, inner in zip(frame, thumbnail)]
        self._whole = ChannelMoments(unbiased=unbiased)
        self._unbiased = unbiased
        self._parts, self._positions = 0, 0
        self._first = self._second = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Add the (1, C, H, W) features of a whole padded thumbnail."""
        self._whole.add(features)
        count = features.shape[2] * features.shape[3]
        rows, columns = (
            self._weights(axis, features.shape[2 + axis]).to(widened(features[:0]))
            for axis in (0, 1)
        )

        def at_nodes(values: Tensor) -> Tensor:
            maps = values.view(-1, *features.shape[2:])
            return rows @ maps @ columns.T

        groups = [(at_nodes(part), at_nodes(part.square())) for part in channel_groups(features)]
        self._first = self._first + torch.cat([first for first, _ in groups])
        self._second = self._second + torch.cat([second for _, second in groups])
        self._parts += 1
        self._positions += count

    def _weights(self, axis: int, count: int) -> Tensor:
        """Weights of that many features for each node, (nodes, count), float64; each sums to 1."""
        length = self._thumbnail[axis] / max(self._thumbnail)
        nodes = 2
        if math.isfinite(self._radius):
            nodes = max(nodes, math.ceil(length / self._radius * NODES_PER_RADIUS) + 1)
        places = torch.linspace(0.0, 1.0, nodes, dtype=torch.float64)[:, None]
        distance = (centers(count, self._extent[axis] / count)[None] - places) * length
        weights = torch.exp(-0.5 * (distance / self._radius).square())
        return weights / weights.sum(dim=1, keepdim=True)

    def stats(self) -> LocalStats:
        whole = self._whole.stats()
        mean, std = widened(whole.mean), widened(whole.std)
        first, second = self._first[None] / self._parts, self._second[None] / self._parts
        variance = (second - first.square()).clamp(min=0.0)
        if self._unbiased:
            variance = variance * (self._positions / (self._positions - 1))
        local = limited_deviation(variance + EPSILON, std)
        flat = whole.divisor.isinf()
        return LocalStats(
            whole.mean,
            whole.std,
            (std / local).masked_fill(flat, 1.0).to(whole.mean),
            ((mean - first) / local).masked_fill(flat, 0.0).to(whole.mean),
            torch.tensor(self._extent, dtype=torch.float64),
        )


def limited_deviation(variance: Tensor, whole: Tensor) -> Tensor:
    """The deviation of a part of a picture, no less than ``LEAST_CONTRAST`` of the whole's.

    A weighted mean of both variances: it has no kinks, which would be seen as edges in flat areas,
    and equals the whole's where the part's does.

    Args:
        variance: of the part.
        whole: deviation of the whole, of a shape that fits.
    """
    share = LEAST_CONTRAST**2
    return (variance * (1.0 - share) + whole.square() * share).sqrt()


def local_map(stats: ChannelStats, target: ChannelStats) -> LocalMap | None:
    """What follows a normalization by the whole thumbnail; None if statistics do not vary.

    Args:
        stats: statistics of the site.
        target: mean and deviation after the normalization.
    """
    return stats.map_to(target) if isinstance(stats, LocalStats) else None


def local_moments(radius: float, thumbnail: Size, frame: Size) -> Callable[[Site], Moments]:
    """Creates the accumulator of a site for local statistics.

    Args:
        radius, thumbnail, frame: as for :class:`LocalMoments`.

    Raises:
        SettingsError: called with a site that is not measured by moments of channels.
    """

    def moments_at(site: Site) -> Moments:
        return LocalMoments(radius, thumbnail, frame, unbiased=channel_moments(site).unbiased)

    return moments_at


def channel_moments(site: Site) -> ChannelMoments:
    """A new accumulator for the whole of a site.

    Raises:
        SettingsError: the site is not measured by moments of channels.
    """
    whole = site.moments()
    if not isinstance(whole, ChannelMoments):
        raise SettingsError(f"site {site.name!r} has no mean and deviation of each channel")
    return whole


def centers(count: int, step: float, first: float = 0.0) -> Tensor:
    """Centers of ``count`` intervals of length ``step``, (count,), float64, on the CPU."""
    return first + (torch.arange(count, dtype=torch.float64) + 0.5) * step


def interpolate(grid: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Bilinear interpolation of a grid, (1, C, k, l) → (1, C, H, W), in channels_last order.

    Each value depends on its own place only, bit for bit, whatever else is interpolated with it.

    Args:
        grid: values at nodes, the outermost at 0 and 1; at least 2 along each axis.
        rows, columns: places, (H,) and (W,), float64, on the CPU; clamped to 0..1.
    """
    values = grid.permute(0, 2, 3, 1)
    for axis, places in ((1, rows), (2, columns)):
        last = values.shape[axis] - 1
        scaled = places.clamp(0.0, 1.0) * last
        below = scaled.floor().clamp(max=last - 1)
        share = (scaled - below).to(values).view(-1, *[1] * (3 - axis))
        index = below.long().to(values.device)
        low, high = values.index_select(axis, index), values.index_select(axis, index + 1)
        values = low.lerp(high, share)
    return values.permute(0, 3, 1, 2)
