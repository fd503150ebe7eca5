"""What several published networks are made of, under the published parameter names.

The counterpart of :mod:`urst_core.networks.layers.convolutions`: these hold the weights, those run
on tiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..folding import Kernel, fold_output, kernel_of
from ..sites import Site, Stages
from ..statistics import EPSILON, ChannelStats, SiteStats, stats_at
from .convolutions import NearestUpsampledConvolution, TileConvolution

ROUNDING = 1e-6
"""Relative to what it is a part of, a deviation that float32 cannot tell from rounding."""


class Staged(ABC):
    """A part of a network that contains sites."""

    @abstractmethod
    def stages(self, features: Tensor) -> Stages:
        """The part's forward, yielding each site on the way; returns the new features."""


Step = Staged | nn.Module
"""A part of a network, with or without sites in it."""


def through(steps: Iterable[Step], features: Tensor) -> Stages:
    """Run parts of a network one after another."""
    for step in steps:
        if isinstance(step, Staged):
            features = yield from step.stages(features)
        else:
            features = step(features)
    return features


class AffineSite(nn.Module, Staged):
    """A site and, after it, a learned scale and shift of each channel, (1, C, 1, 1) each.

    The published code of URST calls it ThumbInstanceNorm; its variance is unbiased.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.site_name = ""

    def stages(self, features: Tensor) -> Stages:
        normalized = yield Site(self.site_name, features)
        return normalized * self.weight + self.bias

    def affine(self, sites: Mapping[str, SiteStats]) -> tuple[Tensor, Tensor]:
        """The same, with frozen statistics, as one scale and shift, (C,) each.

        A channel that does not vary (that of a picture in one color) has scale 0: its normalized
        value is 0 in the published code too. Otherwise each site would multiply rounding errors by
        1 / sqrt(epsilon) = 316, and fifteen sites in a row overflow.
        """
        stats = stats_at(sites, self.site_name, ChannelStats)
        variance = stats.std.square() - EPSILON
        rounding = (ROUNDING * stats.mean).square()
        varies = variance > rounding.clamp(min=ROUNDING * EPSILON)
        scale = torch.where(varies, self.weight / stats.std, torch.zeros_like(self.weight))
        return scale.flatten(), (self.bias - stats.mean * scale).flatten()


def name_sites(network: nn.Module) -> tuple[str, ...]:
    """Call each affine site by its place in the network; returns the names in that order.

    The order is that in which the network's parts were made, so make them in the order of use.
    """
    names: list[str] = []
    for name, part in network.named_modules():
        if isinstance(part, AffineSite):
            part.site_name = name
            names.append(name)
    return tuple(names)


class ReflectedConvolution(nn.Module):
    """A convolution after reflection padding, as ``conv2d``; optionally of nearest-upsampled x."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, upsample: bool = False
    ) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect"
        )
        self.upsample = upsample

    def forward(self, features: Tensor) -> Tensor:
        if self.upsample:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.conv2d(features)

    @property
    def kernel(self) -> Kernel:
        return kernel_of(self.conv2d)

    def followed_by(self, norm: AffineSite, sites: Mapping[str, SiteStats]) -> Kernel:
        """The convolution's kernel with the normalization after it folded in."""
        return fold_output(self.kernel, *norm.affine(sites))

    def for_tiles(self, kernel: Kernel, *, groups: int = 1, relu: bool = True) -> nn.Module:
        """The same layer for tiles, with ``kernel`` in the place of its own.

        Upsampling layers know no groups.
        """
        if self.upsample:
            return NearestUpsampledConvolution(kernel, relu=relu)
        return TileConvolution(kernel, stride=self.conv2d.stride[0], groups=groups, relu=relu)


@dataclass(frozen=True)
class NormalizedConvolution(Staged):
    """Convolution, normalization, ReLU; the network holds the first two under published names."""

    convolution: ReflectedConvolution
    norm: AffineSite

    def stages(self, features: Tensor) -> Stages:
        normalized = yield from self.norm.stages(self.convolution(features))
        return F.relu(normalized)

    def kernels(self, sites: Mapping[str, SiteStats]) -> list[Kernel]:
        return [self.convolution.followed_by(self.norm, sites)]

    def for_tiles(self, kernels: Sequence[Kernel], *, groups: int = 1) -> nn.Module:
        return self.convolution.for_tiles(kernels[0], groups=groups)


class ResidualBlock(nn.Module, Staged):
    """Two normalized convolutions beside an identity; no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ReflectedConvolution(channels, channels, 3)
        self.in1 = AffineSite(channels)
        self.conv2 = ReflectedConvolution(channels, channels, 3)
        self.in2 = AffineSite(channels)

    def stages(self, features: Tensor) -> Stages:
        inner = yield from self.in1.stages(self.conv1(features))
        inner = yield from self.in2.stages(self.conv2(F.relu(inner)))
        return inner + features

    def kernels(self, sites: Mapping[str, SiteStats]) -> list[Kernel]:
        return [self.conv1.followed_by(self.in1, sites), self.conv2.followed_by(self.in2, sites)]

    def for_tiles(self, kernels: Sequence[Kernel], *, groups: int = 1) -> nn.Module:
        return FoldedBlock(kernels, groups=groups)


class FoldedBlock(nn.Module):
    """``x + second(relu(first(x)))``."""

    def __init__(self, kernels: Sequence[Kernel], *, groups: int) -> None:
        super().__init__()
        first, second = kernels
        self.first = TileConvolution(first, groups=groups, relu=True)
        self.second = TileConvolution(second, groups=groups)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        inner = self.first(features, at_border=at_border)
        return self.second(inner, at_border=at_border).add_(features)
