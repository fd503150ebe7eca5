"""Normalized convolutions and residual blocks: the parts of Johnson's family of networks.

A network lists its parts once; running it with plain normalization and folding it for tiles are
derived from the list. Parts have the weights under their published names, or refer to modules that
do; they fold into the layers of :mod:`urst_core.networks.layers.convolutions`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..folding import CenteredKernel, Kernel, fold_input, fold_output, kernel_of
from ..local_statistics import LocalMap, local_map
from ..sites import Site, Stages
from ..statistics import ChannelMoments, ChannelStats, Moments, SiteStats, stats_at, widened
from .banded import RowLayer, RowSequence
from .convolutions import NearestUpsampledConvolution, TileConvolution
from .elementwise import Affine, Residual
from .local import with_local


class Staged(ABC):
    """A part of a network that contains sites."""

    @abstractmethod
    def stages(self, features: Tensor) -> Stages:
        """Run the part, yielding each site; returns the resulting features."""


Step = Staged | nn.Module
"""A part of a network, with or without sites."""


def through(steps: Iterable[Step], features: Tensor) -> Stages:
    """Run parts of a network one after another."""
    for step in steps:
        if isinstance(step, Staged):
            features = yield from step.stages(features)
        else:
            features = step(features)
    return features


# Normalizations


class Normalization(Staged):
    """A site followed by a scale (gamma) and shift (beta) of each channel."""

    @abstractmethod
    def affine(self, sites: Mapping[str, SiteStats]) -> tuple[Tensor, Tensor]:
        """The normalization with frozen statistics as a scale and shift, (C,) each, float64."""

    @abstractmethod
    def local(self, sites: Mapping[str, SiteStats]) -> LocalMap | None:
        """What follows :meth:`affine` where statistics vary over the picture; else None."""

    @abstractmethod
    def centered(self, kernel: Kernel, sites: Mapping[str, SiteStats]) -> CenteredKernel:
        """A convolution combined with this normalization and frozen statistics, float64."""


@dataclass(frozen=True)
class StyledSite(Normalization):
    """A normalization whose scale and shift are values, for example from a style code.

    Attributes:
        name: name of the site.
        gamma: standard deviation after the normalization; one value per channel, in any shape.
        beta: mean after the normalization, likewise.
        moments: creates the site's accumulator.
    """

    name: str
    gamma: Tensor
    beta: Tensor
    moments: Callable[[], Moments] = ChannelMoments

    def stages(self, features: Tensor) -> Stages:
        normalized = yield Site(self.name, features, self.moments)
        return normalized * _as_map(self.gamma) + _as_map(self.beta)

    def affine(self, sites: Mapping[str, SiteStats]) -> tuple[Tensor, Tensor]:
        return stats_at(sites, self.name, ChannelStats).affine_to(self._target)

    def local(self, sites: Mapping[str, SiteStats]) -> LocalMap | None:
        return local_map(stats_at(sites, self.name, ChannelStats), self._target)

    @property
    def _target(self) -> ChannelStats:
        return ChannelStats(_as_map(self.beta), _as_map(self.gamma))

    def centered(self, kernel: Kernel, sites: Mapping[str, SiteStats]) -> CenteredKernel:
        stats = stats_at(sites, self.name, ChannelStats)
        scale, _ = self.affine(sites)
        mean, beta = widened(stats.mean).flatten(), widened(self.beta).flatten()
        return CenteredKernel.of(kernel, mean, scale, beta, self.local(sites))


class AffineSite(nn.Module, Normalization):
    """A normalization whose scale and shift are weights, as ``weight`` and ``bias``.

    The published code of URST calls it ThumbInstanceNorm; its variance is unbiased.

    Args:
        channels: number of channels.
        axes: number of dimensions of the weights: 4 for (1, C, 1, 1), 1 for (C,).
        moments: creates the site's accumulator.
    """

    def __init__(
        self,
        channels: int,
        *,
        axes: int = 4,
        moments: Callable[[], Moments] = ChannelMoments,
    ) -> None:
        super().__init__()
        shape = (channels,) if axes == 1 else (1, channels, 1, 1)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.moments = moments
        self.site_name = ""

    def stages(self, features: Tensor) -> Stages:
        return self._site.stages(features)

    def affine(self, sites: Mapping[str, SiteStats]) -> tuple[Tensor, Tensor]:
        return self._site.affine(sites)

    def local(self, sites: Mapping[str, SiteStats]) -> LocalMap | None:
        return self._site.local(sites)

    def centered(self, kernel: Kernel, sites: Mapping[str, SiteStats]) -> CenteredKernel:
        return self._site.centered(kernel, sites)

    @property
    def _site(self) -> StyledSite:
        return StyledSite(self.site_name, self.weight, self.bias, self.moments)


def name_sites(network: nn.Module, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Name the affine sites of a network; returns the names in order.

    The order is that in which the network's parts were created, which must be that of their use.

    Args:
        network: the network with the sites.
        names: by default, the sites' module names.
    """
    places = {
        place: part for place, part in network.named_modules() if isinstance(part, AffineSite)
    }
    names = tuple(places) if names is None else tuple(names)
    for name, part in zip(names, places.values(), strict=True):
        part.site_name = name
    return names


# Convolutions


def reflected_convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, bias: bool = True
) -> nn.Conv2d:
    """A convolution that includes the reflection padding, a separate layer in published code."""
    padding = kernel // 2
    return nn.Conv2d(
        inputs, outputs, kernel, stride, padding=padding, bias=bias, padding_mode="reflect"
    )


def folded_convolution(
    convolution: nn.Conv2d,
    kernel: Kernel,
    *,
    upsample: bool = False,
    groups: int = 1,
    relu: bool = False,
) -> TileConvolution | NearestUpsampledConvolution:
    """A convolution for tiles with another kernel.

    Args:
        convolution: its stride is used.
        kernel: weight and bias.
        upsample: whether nearest upsampling to twice the size comes before it; without groups.
        groups: groups of the kernel.
        relu: whether a ReLU follows.
    """
    if upsample:
        return NearestUpsampledConvolution(kernel, relu=relu)
    return TileConvolution(kernel, stride=convolution.stride[0], groups=groups, relu=relu)


class ReflectedConvolution(nn.Module):
    """Reflection padding and a convolution, ``conv2d``, optionally after nearest upsampling."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, upsample: bool = False
    ) -> None:
        super().__init__()
        self.conv2d = reflected_convolution(inputs, outputs, kernel, stride)
        self.upsample = upsample

    def forward(self, features: Tensor) -> Tensor:
        if self.upsample:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.conv2d(features)

    @property
    def kernel(self) -> Kernel:
        return kernel_of(self.conv2d)

    def folded(self, kernel: Kernel, *, relu: bool = False) -> RowLayer:
        """The layer for tiles, with another kernel."""
        return folded_convolution(self.conv2d, kernel, upsample=self.upsample, relu=relu)

    def normalized(self, normalization: Normalization) -> NormalizedConvolution:
        """This convolution followed by a normalization and a ReLU."""
        return NormalizedConvolution(self.conv2d, normalization, upsample=self.upsample)


# Parts


class Part(Staged):
    """Convolutions with their normalizations, which fold into one layer for tiles."""

    @abstractmethod
    def kernels(self, sites: Mapping[str, SiteStats]) -> list[CenteredKernel]:
        """The convolutions in order, each with its normalization, float64."""

    @abstractmethod
    def tile_layer(self, kernels: Sequence[CenteredKernel], *, groups: int = 1) -> RowLayer:
        """The layer for tiles, from kernels that :meth:`kernels` returns."""

    def folded(self, sites: Mapping[str, SiteStats]) -> RowLayer:
        """The layer for tiles."""
        return self.tile_layer(self.kernels(sites))


@dataclass(frozen=True)
class NormalizedConvolution(Part):
    """A convolution, its normalization, and a ReLU.

    Attributes:
        convolution: the convolution, which pads by reflection.
        normalization: the normalization of its results.
        relu: whether a ReLU follows.
        upsample: whether nearest upsampling to twice the size comes before it.
    """

    convolution: nn.Conv2d
    normalization: Normalization
    relu: bool = True
    upsample: bool = False

    def stages(self, features: Tensor) -> Stages:
        normalized = yield from self.normalization.stages(self._convolved(features))
        return F.relu(normalized) if self.relu else normalized

    def _convolved(self, features: Tensor) -> Tensor:
        # A method of its own, so that the upsampled features are freed before the site is measured.
        if self.upsample:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.convolution(features)

    def kernels(self, sites: Mapping[str, SiteStats]) -> list[CenteredKernel]:
        return [self.normalization.centered(kernel_of(self.convolution), sites)]

    def tile_layer(self, kernels: Sequence[CenteredKernel], *, groups: int = 1) -> RowLayer:
        (centered,) = kernels
        convolution = folded_convolution(
            self.convolution, centered.kernel, upsample=self.upsample, groups=groups
        )
        affine = with_local(
            lambda relu: Affine(centered.scale, centered.shift, relu=relu),
            centered.local,
            relu=self.relu,
        )
        return RowSequence([convolution, *affine])


@dataclass(frozen=True)
class NormalizedBlock(Part):
    """A residual block of two normalized convolutions; no ReLU after the second or the sum."""

    first: NormalizedConvolution
    second: NormalizedConvolution

    def stages(self, features: Tensor) -> Stages:
        inner = yield from through((self.first, self.second), features)
        return inner + features

    def kernels(self, sites: Mapping[str, SiteStats]) -> list[CenteredKernel]:
        return [*self.first.kernels(sites), *self.second.kernels(sites)]

    def tile_layer(self, kernels: Sequence[CenteredKernel], *, groups: int = 1) -> RowLayer:
        layers = (
            part.tile_layer([kernel], groups=groups)
            for part, kernel in zip((self.first, self.second), kernels, strict=True)
        )
        return Residual(RowSequence(layers))


class ResidualBlock(nn.Module, Part):
    """A :class:`NormalizedBlock` with its own weights: ``conv1``, ``in1``, ``conv2``, ``in2``.

    Args:
        channels: number of channels.
        axes, moments: of the normalizations, as for :class:`AffineSite`.
    """

    def __init__(
        self,
        channels: int,
        *,
        axes: int = 4,
        moments: Callable[[], Moments] = ChannelMoments,
    ) -> None:
        super().__init__()
        self.conv1 = ReflectedConvolution(channels, channels, 3)
        self.in1 = AffineSite(channels, axes=axes, moments=moments)
        self.conv2 = ReflectedConvolution(channels, channels, 3)
        self.in2 = AffineSite(channels, axes=axes, moments=moments)

    @property
    def block(self) -> NormalizedBlock:
        second = NormalizedConvolution(self.conv2.conv2d, self.in2, relu=False)
        return NormalizedBlock(self.conv1.normalized(self.in1), second)

    def stages(self, features: Tensor) -> Stages:
        return self.block.stages(features)

    def kernels(self, sites: Mapping[str, SiteStats]) -> list[CenteredKernel]:
        return self.block.kernels(sites)

    def tile_layer(self, kernels: Sequence[CenteredKernel], *, groups: int = 1) -> RowLayer:
        return self.block.tile_layer(kernels, groups=groups)


@dataclass(frozen=True)
class PixelScale:
    """Converts between pictures in 0..1 and a network's values: ``scale * pixel + shift``.

    Scale and shift are (3,) each.
    """

    scale: Tensor
    shift: Tensor

    def values(self, picture: Tensor) -> Tensor:
        return picture * _as_map(self.scale) + _as_map(self.shift)

    def picture(self, values: Tensor) -> Tensor:
        return (values - _as_map(self.shift)) / _as_map(self.scale)

    def fold_before(self, kernel: Kernel) -> Kernel:
        return fold_input(kernel, self.scale, self.shift)

    def fold_behind(self, kernel: Kernel) -> Kernel:
        return fold_output(kernel, 1.0 / self.scale, -self.shift / self.scale)


def _as_map(values: Tensor) -> Tensor:
    return values.reshape(1, -1, 1, 1)
