"""Dynamic instance normalization (Jing et al., AAAI 2020, arXiv:1911.06953).

A normalization followed by a convolution whose weights and biases are predicted from the style: so
the encoder of the content can be small, while that of the style is a VGG. Both the encoder of the
content and the decoder consist of MobileNet's depthwise separable convolutions.

No code or weights of the paper were published, and these points are our own: the numbers of
channels and blocks; 1 x 1 convolutions at two sizes, a quarter and half of the picture's; bilinear
upsampling; and subnetworks that see the means and deviations of four levels of VGG features, where
the paper has convolutions and a pooling. Predicted weights are added to the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.folding import Kernel, fold_pointwise
from ..networks.layers.banded import RowLayer, RowSequence, Trimming
from ..networks.layers.convolutions import (
    BilinearUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from ..networks.layers.elementwise import Residual
from ..networks.layers.local import LocalAffine
from ..networks.local_statistics import LocalMap, LocalStats
from ..networks.network import StylizationNetwork, Traits
from ..networks.reach import BilinearUpsampling, Convolution, Layer, halos_at_upsamplings
from ..networks.sites import Site, Stages, measure_features
from ..networks.statistics import ChannelStats, SiteStats, stats_at, widened
from ..networks.style import StyleCode
from .microast import PaddedConvolution
from .style_statistics import VALUES, StyleStatistics

WIDTHS = (16, 32, 64)
"""Channels at the picture's size, at half and at a quarter of it."""

ENCODER_BLOCKS, DECODER_BLOCKS = 3, 2

HIDDEN = 128
"""Values between the two layers of a subnetwork."""

LAYERS: tuple[Layer, ...] = (
    Convolution(9),
    *[Convolution(3, stride=2)] * 2,
    *[Convolution(3)] * (2 * (ENCODER_BLOCKS + DECODER_BLOCKS)),
    *[BilinearUpsampling(), Convolution(3)] * 2,
    Convolution(9),
)


class Separable(nn.Module):
    """A depthwise 3 x 3 convolution, a ReLU, and a pointwise convolution (MobileNet).

    Args:
        inputs, outputs: numbers of channels.
        stride: of the depthwise convolution.
        upsample: whether bilinear upsampling to twice the size comes first.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, upsample: bool = False
    ) -> None:
        super().__init__()
        self.depthwise = PaddedConvolution(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = PaddedConvolution(inputs, outputs, 1)
        self.upsample = upsample

    def forward(self, features: Tensor) -> Tensor:
        if self.upsample:
            features = F.interpolate(features, scale_factor=2.0, mode="bilinear")
        return self.pointwise(F.relu(self.depthwise(features)))

    def folded(self, pointwise: Kernel | None = None, *, relu: bool = True) -> Iterator[RowLayer]:
        """The layers for tiles, optionally with another pointwise convolution."""
        if self.upsample:
            kernel, groups = self.depthwise.kernel, self.depthwise.conv_layer.groups
            yield BilinearUpsampledConvolution(kernel, groups=groups, relu=True)
        else:
            yield self.depthwise.for_tiles(relu=True)
        yield TileConvolution(pointwise or self.pointwise.kernel, relu=relu)


class SeparableBlock(nn.Module):
    """A residual block of two separable convolutions with a ReLU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Separable(channels, channels)
        self.second = Separable(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))

    def folded(self) -> RowLayer:
        return Residual(RowSequence([*self.first.folded(), *self.second.folded(relu=False)]))


class Predictor(nn.Module):
    """The two subnetworks of one normalization: statistics of a style to a convolution.

    Args:
        channels: inputs and outputs of the 1 x 1 convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Sequential(
            nn.Linear(VALUES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, channels**2)
        )
        self.bias = nn.Sequential(nn.Linear(VALUES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, channels))

    def forward(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 1920) statistics to (N, C, C) weights and (N, C) biases."""
        delta = self.weight(statistics).unflatten(1, (self.channels, self.channels))
        identity = torch.eye(self.channels, dtype=delta.dtype, device=delta.device)
        return identity + delta, self.bias(statistics)


class DIN(StylizationNetwork):
    """Dynamic instance normalization at a quarter and at half of the picture's size."""

    traits: Traits = Traits(
        name="din",
        title="Dynamic instance normalization",
        stride=4,
        layers=LAYERS,
        minimum=16,
        bytes_per_pixel=560,
        tile_bytes_per_pixel=110,
        half_precision=(),
        license="Apache-2.0",
        paper="arXiv:1911.06953",
    )
    site_names: tuple[str, ...] = ("din1", "din2")

    def __init__(self) -> None:
        super().__init__()
        outer, middle, inner = WIDTHS
        self.style = StyleStatistics()
        self.predictors = nn.ModuleDict({"din1": Predictor(inner), "din2": Predictor(middle)})
        self.start = PaddedConvolution(3, outer, 9)
        self.down1 = Separable(outer, middle, stride=2)
        self.down2 = Separable(middle, inner, stride=2)
        self.encoder = nn.ModuleList(SeparableBlock(inner) for _ in range(ENCODER_BLOCKS))
        self.mix = PaddedConvolution(inner, inner, 1)
        self.decoder = nn.ModuleList(SeparableBlock(inner) for _ in range(DECODER_BLOCKS))
        self.up1 = Separable(inner, middle, upsample=True)
        self.up2 = Separable(middle, outer, upsample=True)
        self.end = PaddedConvolution(outer, 3, 9)

    def style_code(self, style: Tensor) -> StyleCode:
        return self.codes(style, measure_features)

    def codes(self, styles: Tensor, measure: Callable[[Tensor], ChannelStats]) -> StyleCode:
        """The predicted convolutions of (N, 3, H, W) styles."""
        return self.codes_of(self.style.statistics(styles, measure))

    def codes_of(self, statistics: Tensor) -> StyleCode:
        """The predicted convolutions for (N, 1920) statistics of styles."""
        code: dict[str, Tensor] = {}
        for site, predictor in self.predictors.items():
            code[f"{site}.weight"], code[f"{site}.bias"] = predictor(statistics)
        return StyleCode(code)

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        features = F.relu(self.start(image))
        for layer in (self.down1, self.down2):
            features = F.relu(layer(features))
        for block in self.encoder:
            features = block(features)
        normalized = yield Site("din1", self.mix(features))
        features = F.relu(dynamic_convolution(normalized, code, "din1"))
        for block in self.decoder:
            features = block(features)
        normalized = yield Site("din2", self.up1(features))
        features = F.relu(dynamic_convolution(normalized, code, "din2"))
        return self.end(F.relu(self.up2(features)))

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        mixed, then = folded_dynamic(self.mix.kernel, "din1", code, sites)
        raised, last = folded_dynamic(self.up1.pointwise.kernel, "din2", code, sites)
        halos = halos_at_upsamplings(LAYERS, stride=self.traits.stride)
        return RowSequence(
            [
                self.start.for_tiles(relu=True),
                *self.down1.folded(),
                *self.down2.folded(),
                *_folded_blocks(self.encoder),
                TileConvolution(mixed, relu=not then),
                *then,
                *_folded_blocks(self.decoder),
                Trimming(next(halos)),
                *self.up1.folded(raised, relu=not last),
                *last,
                Trimming(next(halos)),
                *self.up2.folded(),
                OutputConvolution(self.end.kernel),
            ]
        )


def dynamic_convolution(features: Tensor, code: StyleCode, site: str) -> Tensor:
    """The 1 x 1 convolution that the style predicts for a site (equation 3)."""
    weight, bias = code.tensors[f"{site}.weight"], code.tensors[f"{site}.bias"]
    return torch.einsum("nij,njhw->nihw", weight, features) + bias[:, :, None, None]


def folded_dynamic(
    kernel: Kernel, site: str, code: StyleCode, sites: Mapping[str, SiteStats]
) -> tuple[Kernel, list[RowLayer]]:
    """A 1 x 1 convolution, the normalization and the predicted convolution as one, float64.

    Also the layers after it: where statistics vary over the picture, the predicted convolution is
    one of them.
    """
    stats = stats_at(sites, site, ChannelStats)
    mean, divisor = widened(stats.mean).flatten(), widened(stats.divisor).flatten()
    weight, bias = kernel
    normalized = weight / divisor[:, None, None, None], (bias - mean) / divisor
    predicted = (
        widened(code.tensors[f"{site}.weight"])[0, :, :, None, None],
        widened(code.tensors[f"{site}.bias"])[0],
    )
    if isinstance(stats, LocalStats):
        local = LocalAffine(LocalMap(stats.scale, stats.shift))
        return normalized, [local, TileConvolution(predicted, relu=True)]
    return fold_pointwise(normalized, predicted), []


def _folded_blocks(blocks: nn.ModuleList) -> Iterator[RowLayer]:
    for block in blocks:
        assert isinstance(block, SeparableBlock)
        yield block.folded()
