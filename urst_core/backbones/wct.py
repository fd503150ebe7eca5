"""Whitening and coloring transforms at five depths, one after another.

WCT (Li et al., NeurIPS 2017, arXiv:1705.08086) stylizes a picture with the features of a VGG-19 at
relu5_1, the result with those at relu4_1, and so on up to relu1_1. Each level is an encoder, a
transform that gives the content's features the mean and covariance of the style's, and a decoder:

    picture ─ encoder 5 ─ transform ─ decoder 5 ─ encoder 4 ─ … ─ decoder 1 ─ stylized picture

Collaborative Distillation (Wang et al., CVPR 2020, arXiv:2003.08436) is the same with a sixteenth
of the parameters, and a ReLU after every decoder. Its authors' code adds nothing to the content's
covariance; here both networks follow URST's code, which adds the identity.

A weights file may contain any of the levels; these are the ones that run. The published ``alpha``
mixes features with transformed features; here strength blends style codes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..networks.folding import Kernel, fold_pointwise, kernel_of
from ..networks.layers.banded import CompleteSequence, RowLayer, RowSequence, Trimming
from ..networks.layers.convolutions import (
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from ..networks.layers.elementwise import MaxPooling, SubtractMean
from ..networks.network import StylizationNetwork, Traits
from ..networks.reach import Convolution, Layer, NearestUpsampling, Pooling, halos_at_upsamplings
from ..networks.sites import Site, Stages
from ..networks.statistics import (
    CovarianceMoments,
    SiteStats,
    WhiteningStats,
    matrix_power,
    stats_at,
    widened,
)
from ..networks.style import StyleCode

LEVELS = (5, 4, 3, 2, 1)
"""All levels in the order in which they run: from coarse structure to fine color."""

CONTENT_RIDGE = 1.0
"""The published code adds the identity to the content's covariance, and nothing to the style's."""

VGG19 = ("11", "12", "21", "22", "31", "32", "33", "34", "41", "42", "43", "44", "51")
"""Convolutions by block and position; between blocks the size is halved."""

content_moments = partial(CovarianceMoments, ridge=CONTENT_RIDGE)

NamedModules = Iterator[tuple[str, nn.Module]]


def convolutions(level: int) -> tuple[str, ...]:
    """Convolutions of the encoder up to ``relu{level}_1``; the decoder has them in reverse."""
    return VGG19[: VGG19.index(f"{level}1") + 1]


def begins_smaller_block(name: str) -> bool:
    """Whether the size is halved before this convolution, and doubled after its counterpart."""
    return name.endswith("1") and name != "11"


def cascade_layers(levels: Sequence[int]) -> tuple[Layer, ...]:
    """All layers that extend the reach, from the picture to the stylized one."""
    layers: list[Layer] = []
    for level in levels:
        for name in convolutions(level):
            layers += [Pooling()] * begins_smaller_block(name) + [Convolution(3)]
        for name in reversed(convolutions(level)):
            layers += [Convolution(3)] + [NearestUpsampling()] * begins_smaller_block(name)
    return tuple(layers)


def cascade_stride(levels: Sequence[int]) -> int:
    """Total downsampling; at least 2, since tile networks compute 2 x 2 pixels at a time."""
    return max(2, 2 ** (max(levels) - 1))


def cascade_minimum(levels: Sequence[int]) -> int:
    """Smallest height and width: reflection padding needs 2 px at the lowest resolution."""
    return 2 ** max(levels)


def encoder_modules(level: int, channels: Mapping[str, int]) -> NamedModules:
    """The encoder's modules, the first a 1 x 1 color transform, from the channels of each block."""
    yield "conv0", nn.Conv2d(3, 3, 1)
    inputs = 3
    for name in convolutions(level):
        if begins_smaller_block(name):
            yield f"pool{name}", nn.MaxPool2d(2)
        outputs = channels[name[0]]
        yield f"pad{name}", nn.ReflectionPad2d(1)
        yield f"conv{name}", nn.Conv2d(inputs, outputs, 3)
        yield f"relu{name}", nn.ReLU()
        inputs = outputs


def decoder_modules(level: int, channels: Mapping[str, int]) -> NamedModules:
    """The decoder's modules, which mirror the encoder's; not all networks use the last ReLU."""
    names = convolutions(level)[::-1]
    outputs = [*(channels[name[0]] for name in names[1:]), 3]
    for name, output in zip(names, outputs):
        yield f"pad{name}", nn.ReflectionPad2d(1)
        yield f"conv{name}", nn.Conv2d(channels[name[0]], output, 3)
        yield f"relu{name}", nn.ReLU()
        if begins_smaller_block(name):
            yield f"up{name}", nn.Upsample(scale_factor=2, mode="nearest")


class Cascade(StylizationNetwork):
    """Encoders and decoders of several levels, with thumbnail statistics between them.

    Args:
        levels: the levels, in the order in which they run.
    """

    encoder_name: ClassVar[str]
    decoder_name: ClassVar[str]

    def __init__(self, levels: Sequence[int] = LEVELS) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.site_names: tuple[str, ...] = tuple(f"relu{level}_1" for level in levels)
        self.traits: Traits = replace(
            type(self).traits,
            stride=cascade_stride(levels),
            layers=cascade_layers(levels),
            minimum=cascade_minimum(levels),
        )
        for level in levels:
            encoder, decoder = self.make_level(level)
            self.add_module(self.encoder_name.format(level), encoder)
            self.add_module(self.decoder_name.format(level), decoder)

    @staticmethod
    @abstractmethod
    def make_level(level: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Create encoder and decoder, with published parameter names."""

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        """Create the network of the levels in the file, or of all levels if it has none."""
        parts = {name.split(".")[0] for name in state}
        held = [
            level
            for level in LEVELS
            if parts & {cls.encoder_name.format(level), cls.decoder_name.format(level)}
        ]
        return cls(held or LEVELS)

    def style_code(self, style: Tensor) -> StyleCode:
        """Mean (1, C, 1, 1) and coloring matrix (C, C) of each level, float64 (section 3.2).

        The input of every encoder is the style picture itself, as in the published code.
        """
        code: dict[str, Tensor] = {}
        for site, encoder, _ in self._parts():
            moments = CovarianceMoments()
            moments.add(encoder(style))
            mean, covariance = moments.covariance()
            code[f"{site}.mean"] = mean[None, :, None, None]
            code[f"{site}.coloring"] = matrix_power(covariance, 0.5)
        return StyleCode(code)

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        for site, encoder, decoder in self._parts():
            whitened = yield Site(site, encoder(image), content_moments)
            colored = torch.einsum("ij,njhw->nihw", code.tensors[f"{site}.coloring"], whitened)
            colored += code.tensors[f"{site}.mean"]
            image = decoder(colored.to(image.dtype))
        return image

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        halos = halos_at_upsamplings(self.traits.layers, stride=self.traits.stride)
        levels: list[RowLayer] = []
        for site, encoder, decoder in self._parts():
            content = stats_at(sites, site, WhiteningStats)
            mean, coloring = code.tensors[f"{site}.mean"], code.tensors[f"{site}.coloring"]
            layers = level_layers(
                encoder, content, decoder, mean=mean, coloring=coloring, halos=halos
            )
            levels.append(CompleteSequence(layers))
        return RowSequence(levels)

    def _parts(self) -> Iterator[tuple[str, nn.Sequential, nn.Sequential]]:
        for site, level in zip(self.site_names, self.levels):
            encoder = self.get_submodule(self.encoder_name.format(level))
            decoder = self.get_submodule(self.decoder_name.format(level))
            assert isinstance(encoder, nn.Sequential)
            assert isinstance(decoder, nn.Sequential)
            yield site, encoder, decoder


class WCT(Cascade):
    """WCT; parameters are numbered as in the published Torch7 models: ``vgg5.42.weight``, …"""

    traits: Traits = Traits(
        name="wct",
        title="WCT",
        stride=cascade_stride(LEVELS),
        layers=cascade_layers(LEVELS),
        minimum=cascade_minimum(LEVELS),
        bytes_per_pixel=2400,
        tile_bytes_per_pixel=410,
        # In bfloat16, five networks in a row lose too much of real pictures.
        half_precision=(torch.float16,),
        license="MIT",
        paper="arXiv:1705.08086",
        has_channel_moments=False,
    )
    encoder_name = "vgg{}"
    decoder_name = "decoder{}"

    @staticmethod
    def make_level(level: int) -> tuple[nn.Sequential, nn.Sequential]:
        channels = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
        encoder = [module for _, module in encoder_modules(level, channels)]
        decoder = [module for _, module in decoder_modules(level, channels)]
        return nn.Sequential(*encoder), nn.Sequential(*decoder[:-1])


class CollaborativeDistillation(Cascade):
    """WCT with a sixteenth of the parameters, under the published names: ``5SE.conv51.weight``."""

    traits: Traits = replace(
        WCT.traits,
        name="cd16x",
        title="Collaborative Distillation",
        bytes_per_pixel=950,
        tile_bytes_per_pixel=90,
        paper="arXiv:2003.08436",
        has_channel_moments=False,
    )
    encoder_name = "{}SE"
    decoder_name = "{}SD"
    # 1 x 1 convolutions that are only used in training.
    ignored_weights: tuple[str, ...] = tuple(
        f"{level}SE.conv{block}1_aux." for level in LEVELS for block in range(1, level + 1)
    )

    @staticmethod
    def make_level(level: int) -> tuple[nn.Sequential, nn.Sequential]:
        # The shallowest network has the most channels in its block.
        channels = {"1": 24 if level == 1 else 16, "2": 32, "3": 64, "4": 128, "5": 128}
        encoder = OrderedDict(encoder_modules(level, channels))
        decoder = OrderedDict(decoder_modules(level, channels))
        return nn.Sequential(encoder), nn.Sequential(decoder)


def level_layers(
    encoder: nn.Sequential,
    content: WhiteningStats,
    decoder: nn.Sequential,
    *,
    mean: Tensor,
    coloring: Tensor,
    halos: Iterator[int],
) -> Iterator[RowLayer]:
    """Layers of one level's encoder and decoder, with color and feature transforms folded in.

    Args:
        encoder: begins with the color transform.
        content: statistics of the content at the end of the encoder.
        decoder: may end with a ReLU.
        mean: mean of the style's features, (1, C, 1, 1).
        coloring: coloring matrix of the style, (C, C).
        halos: of the features before the next upsamplings, in px of the picture.
    """
    color, *rest = encoder
    assert isinstance(color, nn.Conv2d)
    yield from _folded_layers(kernel_of(color), rest, halos)
    # The mean is subtracted before the convolution, not folded into its bias: the transform
    # multiplies by 100 and more, and the sum would be a small difference of large numbers.
    yield SubtractMean(content.mean)
    matrix = widened(coloring) @ widened(content.whitening)
    transform = matrix[:, :, None, None], widened(mean).flatten()
    ends_with_relu = isinstance(decoder[-1], nn.ReLU)
    yield from _folded_layers(transform, decoder, halos, ends_with_relu=ends_with_relu)


def _folded_layers(
    pointwise: Kernel,
    layers: Iterable[nn.Module],
    halos: Iterator[int],
    *,
    ends_with_relu: bool = False,
) -> Iterator[RowLayer]:
    """The tile layers of an encoder or decoder.

    Args:
        pointwise: a 1 x 1 convolution before it, which is folded into the first one; it commutes
            with the reflection padding between them.
        layers: 3 x 3 convolutions, all with a ReLU except a last one to 3 channels.
        halos: of the features before the next upsamplings, in px of the picture.
        ends_with_relu: whether that one also has a ReLU.
    """
    doubled = False
    before: Kernel | None = pointwise
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            yield MaxPooling()
        elif isinstance(layer, nn.Upsample):
            yield Trimming(next(halos))
            doubled = True
        elif isinstance(layer, nn.Conv2d):
            kernel = kernel_of(layer)
            if before is not None:
                kernel = fold_pointwise(before, kernel)
            if layer.out_channels == 3:
                yield OutputConvolution(kernel, relu=ends_with_relu)
            elif doubled:
                yield NearestUpsampledConvolution(kernel, relu=True)
            else:
                yield TileConvolution(kernel, relu=True)
            doubled, before = False, None
