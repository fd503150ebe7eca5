"""Statistics of a site: the values that tiles share, and the accumulators that measure them.

Sums are kept in float64 and combined pairwise, so that the order and number of parts do not matter:
a thumbnail in one part and a gigapixel picture in ten thousand are measured alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from ..errors import ShapeError, StatsError
from .quantiles import quantiles_of, ranks

CHANNELS_AT_ONCE = 8

EPSILON = 1e-5
"""Added to the variance, not to the standard deviation, as in all published networks."""

ROUNDING = 1e-6
"""Relative standard deviation that float32 cannot distinguish from rounding."""


class SiteStats(ABC):
    """Statistics of one site: a frozen dataclass of tensors, which are saved by name."""

    @abstractmethod
    def normalize(self, features: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features, or return what the network needs in their place."""

    def tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    def to(self, device: torch.device) -> SiteStats:
        return type(self)(
            **{name: to_device(value, device) for name, value in self.tensors().items()}
        )

    def clone(self) -> SiteStats:
        return type(self)(**{name: value.clone() for name, value in self.tensors().items()})


@dataclass(frozen=True)
class ChannelStats(SiteStats):
    """Mean and standard deviation of each channel; both (1, C, 1, 1), float32 or wider.

    The standard deviation includes the epsilon, so it is never 0.
    """

    mean: Tensor
    std: Tensor

    @property
    def divisor(self) -> Tensor:
        """The standard deviation; infinite for constant channels, (1, C, 1, 1).

        All variation in a constant channel (from a picture in one color) is rounding. Dividing by
        sqrt(epsilon) would amplify it 316 times at every site: with MicroAST, a black picture got
        values of thousands. Normalized to 0, the result is the same as without rounding.

        A channel of zeros is divided by sqrt(epsilon), as published, since zeros are exact.
        """
        variance = (widened(self.std).square() - EPSILON).clamp(min=0.0)
        return self.std.masked_fill(is_flat(widened(self.mean), variance), torch.inf)

    def normalize(self, features: Tensor) -> Tensor:
        """Normalize features to mean 0 and deviation 1, *according to these statistics*."""
        return (features - self.mean) / self.divisor

    def affine_to(self, target: ChannelStats) -> tuple[Tensor, Tensor]:
        """Scale and shift that map features from these statistics to ``target``'s.

        Returns:
            (C,) each, float64 if the device supports it, for folding.
        """
        scale = widened(target.std) / widened(self.divisor)
        return scale.flatten(), (widened(target.mean) - widened(self.mean) * scale).flatten()


@dataclass(frozen=True)
class MeanStats(SiteStats):
    """Mean of each channel, (1, C, 1, 1), float32 or wider, for networks that keep the variance."""

    mean: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        """Normalize features to mean 0, *according to these statistics*."""
        return features - self.mean


@dataclass(frozen=True)
class WhiteningStats(SiteStats):
    """Mean, (1, C, 1, 1), and whitening matrix, (C, C), of channels; float64 (WCT, equation 1)."""

    mean: Tensor
    whitening: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        """Whiten features, *according to these statistics*; float64."""
        centered = features.to(self.mean.dtype) - self.mean
        return torch.einsum("ij,njhw->nihw", self.whitening, centered)


@dataclass(frozen=True)
class GramStats(SiteStats):
    """Mean products of all pairs of channels, (1, C, C), float32 or wider; not centered."""

    gram: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        """Return the matrix itself, which is all that these networks need."""
        del features
        return self.gram


@dataclass(frozen=True)
class QuantileStats(SiteStats):
    """Quantiles of each channel, ascending, (1, C, K), float32 or wider."""

    quantiles: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        """Map features to their ranks, 0..1 within the range that was measured."""
        return ranks(features, self.quantiles)


AnyStats = TypeVar("AnyStats", bound=SiteStats)


def stats_at(sites: Mapping[str, SiteStats], name: str, kind: type[AnyStats]) -> AnyStats:
    """The statistics of one site, of the kind that its network measures.

    Raises:
        StatsError: they are missing, or of another kind.
    """
    stats = sites.get(name)
    if isinstance(stats, kind):
        return stats
    raise StatsError(
        f"no statistics for site {name!r}, only for {sorted(sites)}; "
        "collect them with this backbone"
    )


def is_flat(mean: Tensor, variance: Tensor) -> Tensor:
    """Which channels are constant except for rounding in float32.

    The rounding of a convolution is relative to its summands, which can be larger than the sum; so
    the deviation is compared with the largest channel.

    Args:
        mean: mean of each channel, (1, C, ...), float64.
        variance: variance of each channel, of the same shape, float64.
    """
    largest = mean.abs().amax(dim=1, keepdim=True)
    rounding = (ROUNDING * largest).square().clamp(min=ROUNDING * EPSILON)
    return (variance <= rounding) & (variance < mean.square())


class Moments(Protocol):
    """Accumulates one kind of statistics part by part; number and order do not matter."""

    def add(self, features: Tensor) -> None:
        """Add finite floating-point features, (1, C, H, W); empty ones are ignored.

        Raises:
            ShapeError: the features have another shape.
        """
        ...

    def stats(self) -> SiteStats:
        """The statistics of all parts so far.

        Raises:
            ShapeError: fewer than two positions were measured.
        """
        ...


class ChannelMoments:
    """Mean and sum of squared deviations of each channel.

    Parts are combined with the pairwise update of Chan, Golub and LeVeque (1979), in float64.

    Args:
        unbiased: divide the squares by n - 1, like the reference code of AdaIN, MicroAST and URST,
            or by n, like common instance normalization layers.
    """

    def __init__(self, *, unbiased: bool = True) -> None:
        self.unbiased = unbiased
        self._count = 0
        self._dtype = torch.float32
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, features: Tensor) -> None:
        count = features.shape[-2] * features.shape[-1]
        if count == 0:
            return
        groups = [torch.var_mean(part, dim=1, correction=0) for part in channel_groups(features)]
        mean = torch.cat([mean for _, mean in groups])
        squares = torch.cat([variance for variance, _ in groups]) * count
        if self._count:
            total = self._count + count
            difference = mean - self._mean
            mean = self._mean + difference * (count / total)
            squares = self._squares + squares + difference.square() * (self._count * count / total)
        self._count += count
        self._dtype = torch.promote_types(self._dtype, features.dtype)
        self._mean, self._squares = mean, squares

    def stats(self) -> ChannelStats:
        _check_count(self._count)
        variance = self._squares / (self._count - 1 if self.unbiased else self._count)
        std = (variance + EPSILON).sqrt()
        return ChannelStats(_as_map(self._mean).to(self._dtype), _as_map(std).to(self._dtype))


class MeanMoments:
    """Sum of each channel."""

    def __init__(self) -> None:
        self._count = 0
        self._dtype = torch.float32
        self._sum = torch.zeros(())

    def add(self, features: Tensor) -> None:
        self._count += features.shape[-2] * features.shape[-1]
        sums = torch.cat([part.sum(dim=1) for part in channel_groups(features)])
        self._sum = self._sum + sums
        self._dtype = torch.promote_types(self._dtype, features.dtype)

    def stats(self) -> MeanStats:
        _check_count(self._count)
        return MeanStats(_as_map(self._sum / self._count).to(self._dtype))


class CovarianceMoments:
    """Mean and covariance of the channels, for whitening.

    Args:
        ridge: added to the covariance's diagonal before it is inverted.
    """

    def __init__(self, *, ridge: float = 1.0) -> None:
        self._ridge = ridge
        self._count = 0
        self._mean = torch.zeros(())
        self._scatter = torch.zeros(())

    def add(self, features: Tensor) -> None:
        values = _positions(features)
        count = values.shape[1]
        if count == 0:
            return
        mean = values.mean(dim=1)
        centered = values - mean.unsqueeze(1)
        scatter = centered @ centered.T
        if self._count:
            total = self._count + count
            difference = mean - self._mean
            mean = self._mean + difference * (count / total)
            joint = torch.outer(difference, difference) * (self._count * count / total)
            scatter = self._scatter + scatter + joint
        self._count += count
        self._mean, self._scatter = mean, scatter

    def covariance(self) -> tuple[Tensor, Tensor]:
        """Mean, (C,), and unbiased covariance without the ridge, (C, C), float64."""
        _check_count(self._count)
        return self._mean, self._scatter / (self._count - 1)

    def stats(self) -> WhiteningStats:
        mean, covariance = self.covariance()
        ridge = self._ridge * torch.eye(mean.shape[0], dtype=mean.dtype, device=mean.device)
        whitening = matrix_power(covariance + ridge, -0.5)
        # All variation in a flat channel is rounding, which the style's colors would amplify.
        flat = is_flat(mean[None], covariance.diagonal()[None])
        return WhiteningStats(_as_map(mean), whitening.masked_fill(flat, 0.0))


class GramMoments:
    """Sum of the products of all pairs of channels."""

    def __init__(self) -> None:
        self._count = 0
        self._dtype = torch.float32
        self._products = torch.zeros(())

    def add(self, features: Tensor) -> None:
        values = _positions(features)
        self._count += values.shape[1]
        self._products = self._products + values @ values.T
        self._dtype = torch.promote_types(self._dtype, features.dtype)

    def stats(self) -> GramStats:
        _check_count(self._count)
        return GramStats((self._products / self._count).unsqueeze(0).to(self._dtype))


class QuantileMoments:
    """Collects the features of thumbnails, and sorts them."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def add(self, features: Tensor) -> None:
        """Add (1, C, H, W) features."""
        if features.numel():
            self._parts.append(features[0].flatten(1))

    def stats(self) -> QuantileStats:
        """The quantiles of all features so far.

        Raises:
            ShapeError: there are fewer than two positions.
        """
        _check_count(sum(part.shape[1] for part in self._parts))
        return QuantileStats(quantiles_of(torch.cat(self._parts, dim=1)))


def matrix_power(symmetric: Tensor, exponent: float, *, smallest: float = 1e-5) -> Tensor:
    """Compute a power of a symmetric positive matrix, (C, C).

    Eigenvalues below ``smallest`` are dropped, as in the published code of WCT.
    """
    # On the CPU: some devices lack the decomposition, and it is done only once per picture.
    values, vectors = torch.linalg.eigh(symmetric.cpu().double())
    kept = values >= smallest
    powers = torch.where(kept, values.clamp(min=smallest) ** exponent, torch.zeros_like(values))
    return ((vectors * powers) @ vectors.T).to(symmetric)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Move values to a device; float32 on MPS, which has no float64."""
    if device.type == "mps" and values.dtype == torch.float64:
        values = values.float()
    return values.to(device)


def widened(values: Tensor) -> Tensor:
    """Convert values to float64; to float32 on MPS, which has no float64."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def channel_groups(features: Tensor) -> Iterator[Tensor]:
    """The channels, a few at a time, to avoid a float64 copy of a whole tile."""
    for part in features.split(CHANNELS_AT_ONCE, dim=1):
        yield _positions(part)


def _positions(features: Tensor) -> Tensor:
    """Reshape (1, C, H, W) features to (C, H * W), in a type for sums over a whole picture."""
    if features.ndim != 4 or features.shape[0] != 1:
        raise ShapeError(
            f"features of shape {tuple(features.shape)} cannot be measured; "
            "pass those of one image, (1, C, H, W)"
        )
    # Without float64, float32 sums of one tile are accurate enough.
    return widened(features[0].flatten(1))


def _as_map(values: Tensor) -> Tensor:
    return values[None, :, None, None]


def _check_count(count: int) -> None:
    if count < 2:
        raise ShapeError(
            f"statistics need at least 2 positions, {count} measured; use a larger thumbnail"
        )
