"""Feed-forward networks of one style (Johnson et al., ECCV 2016, arXiv:1603.08155).

The style is part of the weights, so style codes are empty. The network is published in two layouts,
which differ in parameter names, in the scale of pixels, and in the variance of the instance
normalization (both have it in place of the paper's batch normalization).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..networks.folding import Kernel, kernel_of
from ..networks.layers.banded import RowLayer, RowSequence, Trimming
from ..networks.layers.convolutions import OutputConvolution
from ..networks.layers.normalized import (
    AffineSite,
    NormalizedBlock,
    NormalizedConvolution,
    Part,
    PixelScale,
    ReflectedConvolution,
    ResidualBlock,
    name_sites,
    reflected_convolution,
    through,
)
from ..networks.network import StylizationNetwork, Traits
from ..networks.reach import Convolution, Layer, NearestUpsampling, halos_at_upsamplings
from ..networks.sites import Stages
from ..networks.statistics import ChannelMoments, SiteStats
from ..networks.style import StyleCode

BLOCKS = ("res1", "res2", "res3", "res4", "res5")
WIDTH = 128

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def layers_of(residual_blocks: int) -> tuple[Layer, ...]:
    """The longest chain of layers: down to a quarter, residual blocks, up to full size."""
    return (
        Convolution(9),
        *[Convolution(3, stride=2)] * 2,
        *[Convolution(3)] * (2 * residual_blocks),
        *[NearestUpsampling(), Convolution(3)] * 2,
        Convolution(9),
    )


def johnson_layout(layers: Sequence[NormalizedConvolution]) -> Sequence[Part]:
    """Three downsampling layers, residual blocks, and two upsampling layers."""
    start, inner, end = layers[:3], layers[3:-2], layers[-2:]
    return (
        *start,
        *(
            NormalizedBlock(first, replace(second, relu=False))
            for first, second in zip(inner[::2], inner[1::2])
        ),
        *(replace(layer, upsample=True) for layer in end),
    )


def folded_parts(
    parts: Iterable[Part], sites: Mapping[str, SiteStats], traits: Traits
) -> Iterator[RowLayer]:
    """Parts of :func:`johnson_layout` for tiles, which lose their outer halo where it is spent.

    Args:
        parts: all, or all but those before the upsampling layers.
        sites: statistics of their sites.
        traits: of the network.
    """
    halos = halos_at_upsamplings(traits.layers, stride=traits.stride)
    for part in parts:
        if isinstance(part, NormalizedConvolution) and part.upsample:
            yield Trimming(next(halos))
        yield part.folded(sites)


def _traits(name: str, title: str, license_name: str) -> Traits:
    return Traits(
        name=name,
        title=title,
        stride=4,
        layers=layers_of(len(BLOCKS)),
        minimum=8,
        bytes_per_pixel=1100,
        tile_bytes_per_pixel=110,
        half_precision=(torch.float16, torch.bfloat16),
        license=license_name,
        paper="arXiv:1603.08155",
    )


class SingleStyleNetwork(StylizationNetwork):
    """Base class of both layouts.

    A layout creates its convolutions and norms in the order in which they are applied, and calls
    :func:`~urst_core.networks.layers.normalized.name_sites`.

    Args:
        pixels: scale of the pixels that the network was trained with.
    """

    style_names: tuple[str, ...] = ("trained",)
    pixel_scale: Tensor
    pixel_shift: Tensor

    def __init__(self, pixels: PixelScale) -> None:
        super().__init__()
        # Moves with the weights, but is not one of them.
        self.register_buffer("pixel_scale", pixels.scale, persistent=False)
        self.register_buffer("pixel_shift", pixels.shift, persistent=False)

    def named_style_code(self, name: str) -> StyleCode:
        del name
        return StyleCode({})

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        del code
        parts, picture_layer = self._parts()
        features = yield from through(parts, self._pixels.values(image))
        return self._pixels.picture(picture_layer(features))

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        del code
        (first, *parts), picture_layer = self._parts()
        start = [kernel.mapped(self._pixels.fold_before) for kernel in first.kernels(sites)]
        picture: Kernel = self._pixels.fold_behind(kernel_of(picture_layer))
        return RowSequence(
            [
                first.tile_layer(start),
                *folded_parts(parts, sites, self.traits),
                OutputConvolution(picture),
            ]
        )

    @property
    def _pixels(self) -> PixelScale:
        return PixelScale(self.pixel_scale, self.pixel_shift)

    def _parts(self) -> tuple[Sequence[Part], nn.Conv2d]:
        """All parts before the output layer, and that layer."""
        *layers, picture = self._of_kind(nn.Conv2d)
        norms = self._of_kind(AffineSite)
        parts = [NormalizedConvolution(*pair) for pair in zip(layers, norms, strict=True)]
        return johnson_layout(parts), picture

    def _of_kind(self, kind: type[AnyModule]) -> Iterator[AnyModule]:
        return (layer for layer in self.modules() if isinstance(layer, kind))


class ConvBlock(nn.Module):
    """A convolution, ``block.1``, and its norm, if it has one."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, norm_axes: int | None
    ) -> None:
        super().__init__()
        # The published block.0 is the padding, which is part of the convolution here.
        self.block = nn.Sequential(
            nn.Identity(), reflected_convolution(inputs, outputs, kernel, stride)
        )
        if norm_axes is not None:
            self.norm = AffineSite(outputs, axes=norm_axes)


class BlockPair(nn.Module):
    """A residual block of two :class:`ConvBlock`."""

    def __init__(self, *, norm_axes: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(WIDTH, WIDTH, 3, norm_axes=norm_axes)
        self.block2 = ConvBlock(WIDTH, WIDTH, 3, norm_axes=norm_axes)


class Johnson(SingleStyleNetwork):
    """The layout of eriklindernoren/Fast-Neural-Style-Transfer, as URST's code uses it.

    Pixels are normalized with ImageNet's mean and standard deviation. The variance is unbiased, as
    in URST's code; eriklindernoren's divides by n, which changes the standard deviation by a factor
    of 1e-4 for a thumbnail of 256 px.

    Args:
        norm_axes: 4 for scales and shifts of (1, C, 1, 1), as in URST's code; 1 for (C,), as saved
            by eriklindernoren's.
    """

    traits: Traits = _traits("johnson", "Johnson", "MIT")
    site_names: tuple[str, ...] = (
        *("conv1", "conv2", "conv3"),
        *(f"{block}.block{number}" for block in BLOCKS for number in (1, 2)),
        *("deconv1", "deconv2"),
    )

    def __init__(self, norm_axes: int = 4) -> None:
        # Not on the meta device, where weights are recognized: its arithmetic loads for seconds.
        mean = torch.tensor(IMAGENET_MEAN, device="cpu")
        std = torch.tensor(IMAGENET_STD, device="cpu")
        super().__init__(PixelScale(1.0 / std, -mean / std))
        self.conv1 = ConvBlock(3, 32, 9, norm_axes=norm_axes)
        self.conv2 = ConvBlock(32, 64, 3, 2, norm_axes=norm_axes)
        self.conv3 = ConvBlock(64, WIDTH, 3, 2, norm_axes=norm_axes)
        for name in BLOCKS:
            self.add_module(name, BlockPair(norm_axes=norm_axes))
        self.deconv1 = ConvBlock(WIDTH, 64, 3, norm_axes=norm_axes)
        self.deconv2 = ConvBlock(64, 32, 3, norm_axes=norm_axes)
        self.deconv3 = ConvBlock(32, 3, 9, norm_axes=None)
        name_sites(self, self.site_names)

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        norm = state.get("conv1.norm.weight")
        return cls(norm_axes=1 if norm is not None and norm.ndim == 1 else 4)


class JohnsonExamples(SingleStyleNetwork):
    """The layout of pytorch/examples, fast_neural_style: pixels in 0..255, biased variance.

    Args:
        width: channels of the first layer; 32 as published, fewer in networks that
            :class:`~urst_core.backbones.metanet.MetaNet` generates.
    """

    traits: Traits = _traits("johnson_examples", "Johnson (PyTorch examples)", "BSD-3-Clause")
    site_names: tuple[str, ...] = (
        *("in1", "in2", "in3"),
        *(f"{block}.in{number}" for block in BLOCKS for number in (1, 2)),
        *("in4", "in5"),
    )
    # Files from early PyTorch versions have running statistics, which were never used.
    ignored_weights: tuple[str, ...] = tuple(f"{site}.running_" for site in site_names)

    def __init__(self, width: int = WIDTH // 4) -> None:
        super().__init__(PixelScale(torch.full((3,), 255.0), torch.zeros(3)))
        biased = partial(ChannelMoments, unbiased=False)
        norm = partial(AffineSite, axes=1, moments=biased)
        outer, middle, inner = width, 2 * width, 4 * width
        self.conv1 = ReflectedConvolution(3, outer, 9)
        self.in1 = norm(outer)
        self.conv2 = ReflectedConvolution(outer, middle, 3, stride=2)
        self.in2 = norm(middle)
        self.conv3 = ReflectedConvolution(middle, inner, 3, stride=2)
        self.in3 = norm(inner)
        for name in BLOCKS:
            self.add_module(name, ResidualBlock(inner, axes=1, moments=biased))
        self.deconv1 = ReflectedConvolution(inner, middle, 3)
        self.in4 = norm(middle)
        self.deconv2 = ReflectedConvolution(middle, outer, 3)
        self.in5 = norm(outer)
        self.deconv3 = ReflectedConvolution(outer, 3, 9)
        name_sites(self, self.site_names)

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        first = state.get("conv1.conv2d.weight")
        # An empty layer is refused by its shape, like other damage.
        return cls() if first is None or first.ndim != 4 else cls(max(first.shape[0], 1))
