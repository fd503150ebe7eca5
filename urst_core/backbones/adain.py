"""AdaIN (Huang and Belongie, ICCV 2017, arXiv:1703.06868): one adaptive normalization.

Layers are numbered as in naoto0804/pytorch-AdaIN, whose weights load under the prefixes ``vgg.``
(its first 31 modules suffice; later ones are ignored) and ``decoder.``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..networks.folding import Kernel, fold_input, fold_pointwise, kernel_of
from ..networks.layers.banded import InBands, RowLayer, StyledSequence, Trimming
from ..networks.layers.convolutions import (
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from ..networks.layers.elementwise import (
    Affine,
    MatchDistribution,
    MaxPooling,
    SubtractMean,
)
from ..networks.layers.local import local_layers
from ..networks.layers.winograd import with_winograd
from ..networks.network import (
    ContentEncodingNetwork,
    StylizationNetwork,
    Traits,
    share_weights,
)
from ..networks.quantiles import at_ranks, quantiles_of
from ..networks.reach import (
    Convolution,
    Layer,
    NearestUpsampling,
    Pooling,
    halo_behind_features,
    halos_at_upsamplings,
)
from ..networks.sites import Site, Stages, measure_features
from ..networks.statistics import (
    ChannelStats,
    QuantileMoments,
    QuantileStats,
    SiteStats,
    stats_at,
)
from ..networks.style import QUANTILES, StyleCode

SITE = "relu4_1"

ENCODER_LAYERS: tuple[Layer, ...] = (
    *[Convolution(3)] * 2,
    Pooling(),
    *[Convolution(3)] * 2,
    Pooling(),
    *[Convolution(3)] * 4,
    Pooling(),
    Convolution(3),  # relu4_1
)

DECODER_LAYERS: tuple[Layer, ...] = (
    Convolution(3),
    NearestUpsampling(),
    *[Convolution(3)] * 4,
    NearestUpsampling(),
    *[Convolution(3)] * 2,
    NearestUpsampling(),
    *[Convolution(3)] * 2,
)


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3), nn.ReLU()


def _pool() -> nn.Module:
    return nn.MaxPool2d(2, 2, ceil_mode=True)


def _upsample() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="nearest")


def vgg_to_relu4_1() -> nn.Sequential:
    """The normalized VGG-19 up to relu4_1: 31 modules, the first a 1 x 1 color transform."""
    return nn.Sequential(
        nn.Conv2d(3, 3, 1),
        *_convolution(3, 64),
        *_convolution(64, 64),
        _pool(),
        *_convolution(64, 128),
        *_convolution(128, 128),
        _pool(),
        *_convolution(128, 256),
        *_convolution(256, 256),
        *_convolution(256, 256),
        *_convolution(256, 256),
        _pool(),
        *_convolution(256, 512),
    )


def decoder() -> nn.Sequential:
    """The mirror image of the encoder; 29 modules, no ReLU after the last."""
    return nn.Sequential(
        *_convolution(512, 256),
        _upsample(),
        *_convolution(256, 256),
        *_convolution(256, 256),
        *_convolution(256, 256),
        *_convolution(256, 128),
        _upsample(),
        *_convolution(128, 128),
        *_convolution(128, 64),
        _upsample(),
        *_convolution(64, 64),
        *_convolution(64, 3)[:2],
    )


class AdaIN(ContentEncodingNetwork):
    """AdaIN with thumbnail statistics at relu4_1."""

    traits: Traits = Traits(
        name="adain",
        title="AdaIN",
        stride=8,
        layers=(*ENCODER_LAYERS, *DECODER_LAYERS),
        minimum=16,
        bytes_per_pixel=900,
        tile_bytes_per_pixel=280,
        half_precision=(torch.float16, torch.bfloat16),
        license="MIT",
        paper="arXiv:1703.06868",
        matches=("moments", "distribution"),
    )
    site_names: tuple[str, ...] = (SITE,)
    # The published encoder continues to relu5_4.
    ignored_weights: tuple[str, ...] = tuple(f"vgg.{n}." for n in range(31, 53))

    def __init__(self) -> None:
        super().__init__()
        self.vgg = vgg_to_relu4_1()
        self.decoder = decoder()

    def style_code(self, style: Tensor) -> StyleCode:
        return code_of(measure_features(self.vgg(style)))

    def distribution_code(self, style: Tensor) -> StyleCode:
        """EFDM (arXiv:2203.07740), without any training."""
        return StyleCode({f"{SITE}{QUANTILES}": quantiles_of(self.vgg(style)[0].flatten(1))})

    def content_features(self, image: Tensor) -> Tensor:
        return self.vgg(image)

    def stages_from(self, features: Tensor, code: StyleCode) -> Stages:
        if code.match == "distribution":
            rank = yield Site(SITE, features, QuantileMoments)
            return self.decoder(at_ranks(rank, code.tensors[f"{SITE}{QUANTILES}"]))
        target = code.channel_stats(SITE)
        normalized = yield Site(SITE, features)
        return self.decoder(normalized * target.std + target.mean)

    def for_measuring(self) -> StylizationNetwork:
        faster = share_weights(self)
        layers = with_winograd(_encoder_layers(self.vgg))
        faster.add_module("vgg", InBands(self.vgg, layers, stride=self.traits.stride))
        return faster

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        if code.match == "distribution":
            ranked = stats_at(sites, SITE, QuantileStats)
            matching = MatchDistribution(ranked.quantiles, code.tensors[f"{SITE}{QUANTILES}"])
            styled = [matching, *_decoder_layers(_kernels(self.decoder), self.decoder)]
        else:
            measured = stats_at(sites, SITE, ChannelStats)
            styled = styled_layers(self.decoder, measured, code.channel_stats(SITE))
        halo = halo_behind_features(DECODER_LAYERS, stride=self.traits.stride)
        return StyledSequence(_encoder_layers(self.vgg), styled, halo=halo)


def code_of(stats: ChannelStats) -> StyleCode:
    """The style code of these statistics of relu4_1 features."""
    return StyleCode({f"{SITE}.mean": stats.mean, f"{SITE}.std": stats.std})


def styled_layers(
    decoder: nn.Sequential, measured: ChannelStats, target: ChannelStats
) -> Iterator[RowLayer]:
    """Layers of the decoder, with the normalization folded in."""
    # The mean is subtracted before the convolution, not folded into its bias: in channels of low
    # variance, the sum would be a small difference of large numbers.
    yield SubtractMean(measured.mean)
    first, *others = _kernels(decoder)
    scale, _ = measured.affine_to(target)
    local = local_layers(measured, target)
    if local:
        yield from (Affine(scale, target.mean), *local)
    else:
        first = fold_input(first, scale, target.mean.flatten())
    yield from _decoder_layers([first, *others], decoder)


def _encoder_layers(vgg: nn.Sequential) -> Iterator[RowLayer]:
    """Layers of the encoder, with the color transform folded in."""
    color, *encoder_kernels = _kernels(vgg)
    encoder_kernels[0] = fold_pointwise(color, encoder_kernels[0])
    pool_before = _positions(vgg, nn.MaxPool2d)
    for index, kernel in enumerate(encoder_kernels):
        if index in pool_before:
            yield MaxPooling()
        yield TileConvolution(kernel, relu=True)


def _decoder_layers(kernels: Sequence[Kernel], decoder: nn.Sequential) -> Iterator[RowLayer]:
    *decoder_kernels, picture = kernels
    upsample_before = _positions(decoder, nn.Upsample)
    halos = halos_at_upsamplings(AdaIN.traits.layers, stride=AdaIN.traits.stride)
    for index, kernel in enumerate(decoder_kernels):
        if index in upsample_before:
            yield Trimming(next(halos))
            yield NearestUpsampledConvolution(kernel, relu=True)
        else:
            yield TileConvolution(kernel, relu=True)
    yield OutputConvolution(picture)


def _kernels(layers: nn.Sequential) -> list[Kernel]:
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    return [kernel_of(convolution) for convolution in convolutions]


def _positions(layers: nn.Sequential, kind: type[nn.Module]) -> frozenset[int]:
    """Index of the 3 x 3 convolution after a layer of this kind."""
    positions: set[int] = set()
    count = 0
    for layer in layers:
        if isinstance(layer, kind):
            positions.add(count)
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1:
            count += 1
    return frozenset(positions)
