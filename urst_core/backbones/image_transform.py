"""What the image transformation networks of Johnson's family are made of.

Convolutions, each followed by an instance normalization, some of them beside an identity. A
network lists them once, as :data:`Part`; running and folding follow from the list. Every
normalization stands behind a convolution, so that all of them fold away.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.folding import Kernel, fold_input, fold_output, kernel_of
from ..networks.layers.banded import RowSequence
from ..networks.layers.convolutions import (
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from ..networks.layers.elementwise import Residual, Sigmoid
from ..networks.reach import Convolution, Layer, NearestUpsampling
from ..networks.sites import Site
from ..networks.statistics import ChannelStats, Moments, SiteStats, stats_at

PartStages = Generator[Site, Tensor, Tensor]
"""As :data:`urst_core.networks.sites.Stages`, of a part: it returns features."""


def layers_of(residual_blocks: int) -> tuple[Layer, ...]:
    """The longest chain: down to a quarter, residual blocks, up to full size."""
    return (
        Convolution(9),
        *[Convolution(3, stride=2)] * 2,
        *[Convolution(3)] * (2 * residual_blocks),
        *[NearestUpsampling(), Convolution(3)] * 2,
        Convolution(9),
    )


def reflected_convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, bias: bool = True
) -> nn.Conv2d:
    """A convolution that pads by reflection itself, where published code has a layer for it."""
    padding = kernel // 2
    return nn.Conv2d(
        inputs, outputs, kernel, stride, padding=padding, bias=bias, padding_mode="reflect"
    )


@dataclass(frozen=True)
class PixelScale:
    """Between pictures in 0..1 and the values a network was trained with; both are (3,).

    A network's value is ``scale * pixel + shift``.
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


@dataclass(frozen=True)
class NormalizedConvolution:
    """A convolution, its instance normalization, and a ReLU.

    Attributes:
        site: name of the normalization.
        convolution: pads by reflection.
        gamma: deviation after the normalization; as many values as channels, of any shape.
        beta: mean after the normalization, likewise.
        moments: makes what measures the site.
        relu: whether a ReLU follows.
        upsample: whether the features are doubled in size before, by repetition.
    """

    site: str
    convolution: nn.Conv2d
    gamma: Tensor
    beta: Tensor
    moments: Callable[[], Moments]
    relu: bool = True
    upsample: bool = False

    def stages(self, features: Tensor) -> PartStages:
        normalized = yield Site(self.site, self._convolved(features), self.moments)
        scaled = normalized * _as_map(self.gamma) + _as_map(self.beta)
        return F.relu(scaled) if self.relu else scaled

    def _convolved(self, features: Tensor) -> Tensor:
        # Apart, so that the upsampled features are gone while the site is measured.
        if self.upsample:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.convolution(features)

    def kernel(self, sites: Mapping[str, SiteStats]) -> Kernel:
        """The convolution with the normalization folded in."""
        stats = stats_at(sites, self.site, ChannelStats)
        scale = self.gamma.flatten() / stats.std.flatten()
        shift = self.beta.flatten() - stats.mean.flatten() * scale
        return fold_output(kernel_of(self.convolution), scale, shift)

    def folded(
        self, sites: Mapping[str, SiteStats], pixels: PixelScale | None = None
    ) -> TileConvolution | NearestUpsampledConvolution:
        """The layer for tiles; ``pixels`` is folded in where it is a network's first."""
        kernel = self.kernel(sites)
        if self.upsample:
            return NearestUpsampledConvolution(kernel, relu=self.relu)
        if pixels is not None:
            kernel = pixels.fold_before(kernel)
        return TileConvolution(kernel, stride=self.convolution.stride[0], relu=self.relu)


@dataclass(frozen=True)
class NormalizedBlock:
    """Two normalized convolutions beside an identity; no ReLU after the sum."""

    first: NormalizedConvolution
    second: NormalizedConvolution

    def stages(self, features: Tensor) -> PartStages:
        inner = yield from self.first.stages(features)
        return features + (yield from self.second.stages(inner))

    def folded(self, sites: Mapping[str, SiteStats]) -> Residual:
        return Residual(RowSequence([self.first.folded(sites), self.second.folded(sites)]))


Part = NormalizedConvolution | NormalizedBlock


def johnson_layout(layers: Sequence[NormalizedConvolution]) -> Sequence[Part]:
    """Three layers on the way down, pairs beside identities, two layers on the way up."""
    start, inner, end = layers[:3], layers[3:-2], layers[-2:]
    return (
        *start,
        *(
            NormalizedBlock(first, replace(second, relu=False))
            for first, second in zip(inner[::2], inner[1::2])
        ),
        *(replace(layer, upsample=True) for layer in end),
    )


def run_parts(parts: Sequence[Part], features: Tensor) -> PartStages:
    """Features through all parts, in order."""
    for part in parts:
        features = yield from part.stages(features)
    return features


def folded_network(
    parts: Sequence[Part],
    sites: Mapping[str, SiteStats],
    picture: Kernel,
    *,
    pixels: PixelScale | None = None,
    sigmoid: bool = False,
) -> RowSequence:
    """All parts and the last convolution, for tiles.

    Args:
        parts: the first is a convolution, which the scale of ``pixels`` goes into.
        sites: the statistics of every part.
        picture: the last convolution, with all that follows it folded in.
        pixels: None where the network takes 0..1.
        sigmoid: whether one ends the network.
    """
    start, *rest = parts
    assert isinstance(start, NormalizedConvolution)
    end = [Sigmoid()] if sigmoid else []
    return RowSequence(
        [
            start.folded(sites, pixels),
            *(part.folded(sites) for part in rest),
            OutputConvolution(picture),
            *end,
        ]
    )


def _as_map(values: Tensor) -> Tensor:
    return values.reshape(1, -1, 1, 1)
