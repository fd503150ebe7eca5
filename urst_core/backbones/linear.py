"""LinearWCT (Li et al., CVPR 2019, arXiv:1808.04537): a learned linear transform of features.

The two networks differ only in the position of the transform: relu3_1 or relu4_1 of a VGG-19. The
decoder mirrors the encoder. Published weights load under the prefixes ``vgg.``, ``decoder.`` and
``matrix.``.

The content is measured at two sites: the mean of its features, and the mean products of all pairs
of channels of a small network on the centered features. A linear layer turns these products into
the content's half of the transform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.folding import Kernel, fold_pointwise, kernel_of
from ..networks.layers.banded import InBands, RowLayer, StyledSequence, Trimming
from ..networks.layers.convolutions import (
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from ..networks.layers.elementwise import MaxPooling
from ..networks.layers.winograd import with_winograd
from ..networks.network import (
    ContentEncodingNetwork,
    StylizationNetwork,
    Traits,
    share_weights,
)
from ..networks.reach import (
    Convolution,
    Layer,
    NearestUpsampling,
    Pooling,
    halo_behind_features,
    halos_at_upsamplings,
)
from ..networks.sites import Site, Stages
from ..networks.statistics import (
    GramMoments,
    GramStats,
    MeanMoments,
    MeanStats,
    SiteStats,
    stats_at,
    widened,
)
from ..networks.style import StyleCode

MEAN_SITE = "mean"
PRODUCTS_SITE = "products"
COMPRESSED = 32
"""Number of channels that the transform works on."""

Levels = tuple[tuple[tuple[int, int], ...], ...]
"""Channels in and out of each convolution, level by level of resolution."""

RELU3_1: Levels = (
    ((3, 64), (64, 64)),
    ((64, 128), (128, 128)),
    ((128, 256),),
)
RELU4_1: Levels = (
    *RELU3_1[:2],
    ((128, 256), (256, 256), (256, 256), (256, 256)),
    ((256, 512),),
)


def mirrored(levels: Levels) -> Levels:
    """Levels of the decoder for an encoder: inputs and outputs swapped, in reverse order."""
    return tuple(
        tuple((outputs, inputs) for inputs, outputs in reversed(level))
        for level in reversed(levels)
    )


def encoder_layers(levels: Levels) -> tuple[Layer, ...]:
    """The layers from the picture to the features."""
    layers: list[Layer] = []
    for level in levels:
        layers += [Pooling()] if layers else []
        layers += [Convolution(3)] * len(level)
    return tuple(layers)


def network_layers(levels: Levels) -> tuple[Layer, ...]:
    """The layers from the picture to the stylized one.

    This chain reaches at least as far as that of :func:`products_layers`.
    """
    encoder = encoder_layers(levels)
    mirror = (NearestUpsampling() if layer == Pooling() else layer for layer in reversed(encoder))
    return (*encoder, *mirror)


def products_layers(levels: Levels) -> tuple[Layer, ...]:
    """The layers from the picture to the features whose products are measured."""
    return (*encoder_layers(levels), *[Convolution(3)] * 3)


class LevelledConvolutions(nn.Module):
    """3 x 3 convolutions with reflection padding, numbered across all levels: ``conv2``, …"""

    def __init__(self, levels: Levels, *, first: int) -> None:
        super().__init__()
        self._levels, self._first = levels, first
        channels = [pair for level in levels for pair in level]
        for number, (inputs, outputs) in enumerate(channels, start=first):
            layer = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")
            self.add_module(f"conv{number}", layer)

    def levels(self) -> Iterator[list[nn.Conv2d]]:
        """The layers, level by level."""
        number = self._first
        for level in self._levels:
            yield [getattr(self, f"conv{number + index}") for index in range(len(level))]
            number += len(level)


class Encoder(LevelledConvolutions):
    """A VGG-19 up to the first convolution of its last level; ``conv1`` is a color transform."""

    def __init__(self, levels: Levels) -> None:
        super().__init__(levels, first=2)
        self.conv1 = nn.Conv2d(3, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.conv1(image)
        for index, level in enumerate(self.levels()):
            if index:
                features = F.max_pool2d(features, 2)
            for layer in level:
                features = F.relu_(layer(features))
        return features


class Decoder(LevelledConvolutions):
    """Mirrors the encoder and continues its numbering; no ReLU after the last convolution."""

    def __init__(self, levels: Levels) -> None:
        super().__init__(mirrored(levels), first=2 + sum(map(len, levels)))

    def forward(self, features: Tensor) -> Tensor:
        levels = list(self.levels())
        for index, level in enumerate(levels):
            if index:
                features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            for layer in level:
                features = layer(features)
                if layer is not levels[-1][-1]:
                    features = F.relu_(features)
        return features


class MatrixNetwork(nn.Module):
    """Maps centered features to half of the transform, by way of their mean products."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Zero padding here, unlike elsewhere in the network, is as published.
        self.convs = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels // 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels // 4, COMPRESSED, 3, padding=1),
        )
        self.fc = nn.Linear(COMPRESSED**2, COMPRESSED**2)

    def matrix(self, products: Tensor) -> Tensor:
        """Map (1, 32, 32) mean products to a (32, 32) matrix."""
        return self.fc(products.flatten(1)).view(COMPRESSED, COMPRESSED)


class Transform(nn.Module):
    """Compresses features to 32 channels, transforms them, and expands them again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.snet = MatrixNetwork(channels)
        self.cnet = MatrixNetwork(channels)
        self.compress = nn.Conv2d(channels, COMPRESSED, 1)
        self.unzip = nn.Conv2d(COMPRESSED, channels, 1)

    def kernel(self, transform: Tensor) -> Kernel:
        """Compression, a (32, 32) matrix and expansion as one 1 x 1 convolution, float64."""
        turned = widened(transform)[:, :, None, None], widened(transform.new_zeros(COMPRESSED))
        return fold_pointwise(
            fold_pointwise(kernel_of(self.compress), turned), kernel_of(self.unzip)
        )


class LinearWCT(ContentEncodingNetwork):
    """Base class of both networks, which add their traits and levels."""

    site_names: tuple[str, ...] = (MEAN_SITE, PRODUCTS_SITE)
    encoder_levels: Levels

    def __init__(self) -> None:
        super().__init__()
        self.vgg = Encoder(self.encoder_levels)
        self.decoder = Decoder(self.encoder_levels)
        self.matrix = Transform(self.encoder_levels[-1][-1][1])

    def style_code(self, style: Tensor) -> StyleCode:
        features = self.vgg(style)
        mean = MeanMoments()
        mean.add(features)
        centered = mean.stats().normalize(features)
        products = GramMoments()
        products.add(self.matrix.snet.convs(centered))
        matrix = self.matrix.snet.matrix(products.stats().gram)
        return StyleCode({"mean": mean.stats().mean, "matrix": matrix})

    def content_features(self, image: Tensor) -> Tensor:
        return self.vgg(image)

    def stages_from(self, features: Tensor, code: StyleCode) -> Stages:
        centered = yield Site(MEAN_SITE, features, MeanMoments)
        products = yield Site(PRODUCTS_SITE, self.matrix.cnet.convs(centered), GramMoments)
        weight, bias = self.matrix.kernel(self._transform(code, products))
        transformed = F.conv2d(centered, weight.to(centered), bias.to(centered))
        return self.decoder(transformed + code.tensors["mean"])

    def for_measuring(self) -> StylizationNetwork:
        faster = share_weights(self)
        layers = with_winograd(_encoder_layers(self.vgg))
        faster.add_module("vgg", InBands(self.vgg, layers, stride=self.traits.stride))
        return faster

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        products = stats_at(sites, PRODUCTS_SITE, GramStats).gram
        weight, bias = self.matrix.kernel(self._transform(code, products))
        content_mean = stats_at(sites, MEAN_SITE, MeanStats).mean
        bias = bias + (code.tensors["mean"] - F.conv2d(widened(content_mean), weight)).flatten()
        layers = self.traits.layers[len(encoder_layers(self.encoder_levels)) :]
        stride = self.traits.stride
        halos = halos_at_upsamplings(self.traits.layers, stride=stride)
        return StyledSequence(
            _encoder_layers(self.vgg),
            _decoder_layers((weight, bias), self.decoder, halos),
            halo=halo_behind_features(layers, stride=stride),
        )

    def _transform(self, code: StyleCode, products: Tensor) -> Tensor:
        return code.tensors["matrix"] @ self.matrix.cnet.matrix(products)


class LinearR31(LinearWCT):
    """The faster network: the transform at relu3_1."""

    traits: Traits = Traits(
        name="linear_r31",
        title="LinearWCT at relu3_1",
        stride=4,
        layers=network_layers(RELU3_1),
        minimum=8,
        bytes_per_pixel=1060,
        tile_bytes_per_pixel=300,
        # The published weights were not available, so half precision is untested.
        half_precision=(),
        license="BSD-2-Clause",
        paper="arXiv:1808.04537",
        has_channel_moments=False,
    )
    encoder_levels: Levels = RELU3_1


class LinearR41(LinearWCT):
    """The deeper network: the transform at relu4_1."""

    traits: Traits = Traits(
        name="linear_r41",
        title="LinearWCT at relu4_1",
        stride=8,
        layers=network_layers(RELU4_1),
        minimum=16,
        bytes_per_pixel=1060,
        tile_bytes_per_pixel=300,
        # The published weights were not available, so half precision is untested.
        half_precision=(),
        license="BSD-2-Clause",
        paper="arXiv:1808.04537",
        has_channel_moments=False,
    )
    encoder_levels: Levels = RELU4_1


def _encoder_layers(vgg: Encoder) -> Iterator[RowLayer]:
    """The encoder's layers, with the color transform folded in."""
    encoder_kernels = _kernels(vgg)
    encoder_kernels[0][0] = fold_pointwise(kernel_of(vgg.conv1), encoder_kernels[0][0])
    for index, level in enumerate(encoder_kernels):
        if index:
            yield MaxPooling()
        yield from (TileConvolution(kernel, relu=True) for kernel in level)


def _kernels(convolutions: LevelledConvolutions) -> list[list[Kernel]]:
    return [[kernel_of(layer) for layer in level] for level in convolutions.levels()]


def _decoder_layers(
    transform: Kernel, decoder: Decoder, halos: Iterator[int]
) -> Iterator[RowLayer]:
    """The decoder's layers, with transform and upsampling folded into its convolutions.

    Args:
        transform: the transform of the features.
        decoder: the decoder.
        halos: of the features before each upsampling, in px of the picture.
    """
    ((first,), *levels) = _kernels(decoder)
    picture = levels[-1].pop()
    yield TileConvolution(fold_pointwise(transform, first), relu=True)
    for (upsampled, *others), halo in zip(levels, halos, strict=True):
        yield Trimming(halo)
        yield NearestUpsampledConvolution(upsampled, relu=True)
        yield from (TileConvolution(kernel, relu=True) for kernel in others)
    yield OutputConvolution(picture)
