"""Feed-forward networks of one style (Johnson et al., ECCV 2016, arXiv:1603.08155).

The style is inside the weights, so style codes are empty. There are two published layouts of one
network. They differ in parameter names, in the values that pixels are given as, and in the
variance of the instance normalization (which both have where the paper normalizes batches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..networks.folding import kernel_of
from ..networks.network import StylizationNetwork, Traits
from ..networks.sites import Stages
from ..networks.statistics import ChannelMoments, SiteStats
from ..networks.style import StyleCode
from .image_transform import (
    NormalizedConvolution,
    Part,
    PixelScale,
    folded_network,
    johnson_layout,
    layers_of,
    reflected_convolution,
    run_parts,
)

BLOCKS = ("res1", "res2", "res3", "res4", "res5")
WIDTH = 128

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _traits(name: str, title: str, license_name: str) -> Traits:
    return Traits(
        name=name,
        title=title,
        stride=4,
        layers=layers_of(len(BLOCKS)),
        minimum=8,
        bytes_per_pixel=1100,
        half_precision=(torch.float16, torch.bfloat16),
        license=license_name,
        in_bands=True,
        paper="arXiv:1603.08155",
    )


class AffineNorm(nn.Module):
    """Scale and shift of an instance normalization, whose statistics come from the site."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))


class SingleStyleNetwork(StylizationNetwork):
    """What both layouts share: all but names and numbers.

    A layout makes its convolutions and norms in the order in which they are applied.

    Args:
        pixels: the values that the network was trained with.
        unbiased: whether the variance is divided by n - 1, or by n.
    """

    style_names: tuple[str, ...] = ("trained",)
    pixel_scale: Tensor
    pixel_shift: Tensor

    def __init__(self, pixels: PixelScale, *, unbiased: bool) -> None:
        super().__init__()
        # Moved with the weights, but not among them.
        self.register_buffer("pixel_scale", pixels.scale, persistent=False)
        self.register_buffer("pixel_shift", pixels.shift, persistent=False)
        self._moments = partial(ChannelMoments, unbiased=unbiased)

    def named_style_code(self, name: str) -> StyleCode:
        del name
        return StyleCode({})

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        del code
        *_, picture_layer = self._convolutions()
        features = yield from run_parts(self._parts(), self._pixels.values(image))
        return self._pixels.picture(picture_layer(features))

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> nn.Module:
        del code
        *_, picture_layer = self._convolutions()
        picture = self._pixels.fold_behind(kernel_of(picture_layer))
        return folded_network(self._parts(), sites, picture, pixels=self._pixels)

    @property
    def _pixels(self) -> PixelScale:
        return PixelScale(self.pixel_scale, self.pixel_shift)

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.modules() if isinstance(layer, nn.Conv2d)]

    def _parts(self) -> Sequence[Part]:
        norms = (layer for layer in self.modules() if isinstance(layer, AffineNorm))
        # The last convolution has no norm: zip leaves it out.
        layers = zip(self.site_names, self._convolutions(), norms)
        return johnson_layout(
            [
                NormalizedConvolution(site, convolution, norm.weight, norm.bias, self._moments)
                for site, convolution, norm in layers
            ]
        )


class ConvBlock(nn.Module):
    """A convolution as ``block.1``, and its norm, where it has one."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, norm_axes: int | None
    ) -> None:
        super().__init__()
        # The published block.0 is the padding, which the convolution itself does here.
        self.block = nn.Sequential(
            nn.Identity(), reflected_convolution(inputs, outputs, kernel, stride)
        )
        if norm_axes is not None:
            self.norm = AffineNorm(*((outputs,) if norm_axes == 1 else (1, outputs, 1, 1)))


class BlockPair(nn.Module):
    """Two of them, which stand beside an identity."""

    def __init__(self, *, norm_axes: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(WIDTH, WIDTH, 3, norm_axes=norm_axes)
        self.block2 = ConvBlock(WIDTH, WIDTH, 3, norm_axes=norm_axes)


class Johnson(SingleStyleNetwork):
    """The layout of eriklindernoren/Fast-Neural-Style-Transfer, as URST's code uses it.

    Pixels are normalized with ImageNet's colors. The variance is unbiased, as in URST's code;
    eriklindernoren's divides by n, which makes 1e-4 of a deviation at a thumbnail of 256 px.

    Args:
        norm_axes: 4 where scales and shifts are of (1, C, 1, 1), as in URST's code; 1 where they
            are of (C,), as eriklindernoren's saves them.
    """

    traits: Traits = _traits("johnson", "Johnson", "MIT")
    site_names: tuple[str, ...] = (
        *("conv1", "conv2", "conv3"),
        *(f"{block}.block{number}" for block in BLOCKS for number in (1, 2)),
        *("deconv1", "deconv2"),
    )

    def __init__(self, norm_axes: int = 4) -> None:
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        super().__init__(PixelScale(1.0 / std, -mean / std), unbiased=True)
        self.conv1 = ConvBlock(3, 32, 9, norm_axes=norm_axes)
        self.conv2 = ConvBlock(32, 64, 3, 2, norm_axes=norm_axes)
        self.conv3 = ConvBlock(64, WIDTH, 3, 2, norm_axes=norm_axes)
        for name in BLOCKS:
            self.add_module(name, BlockPair(norm_axes=norm_axes))
        self.deconv1 = ConvBlock(WIDTH, 64, 3, norm_axes=norm_axes)
        self.deconv2 = ConvBlock(64, 32, 3, norm_axes=norm_axes)
        self.deconv3 = ConvBlock(32, 3, 9, norm_axes=None)

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        norm = state.get("conv1.norm.weight")
        return cls(norm_axes=1 if norm is not None and norm.ndim == 1 else 4)


class ConvLayer(nn.Module):
    """A convolution, as ``conv2d``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv2d = reflected_convolution(inputs, outputs, kernel, stride)


class LayerPair(nn.Module):
    """Two of them with their norms, which stand beside an identity."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvLayer(WIDTH, WIDTH, 3)
        self.in1 = AffineNorm(WIDTH)
        self.conv2 = ConvLayer(WIDTH, WIDTH, 3)
        self.in2 = AffineNorm(WIDTH)


class JohnsonExamples(SingleStyleNetwork):
    """The layout of pytorch/examples, fast_neural_style: values of 0..255, biased variance."""

    traits: Traits = _traits("johnson_examples", "Johnson (PyTorch examples)", "BSD-3-Clause")
    site_names: tuple[str, ...] = (
        *("in1", "in2", "in3"),
        *(f"{block}.in{number}" for block in BLOCKS for number in (1, 2)),
        *("in4", "in5"),
    )
    # Files of the first PyTorch versions hold running statistics, which were never used.
    ignored_weights: tuple[str, ...] = tuple(f"{site}.running_" for site in site_names)

    def __init__(self) -> None:
        super().__init__(PixelScale(torch.full((3,), 255.0), torch.zeros(3)), unbiased=False)
        self.conv1 = ConvLayer(3, 32, 9)
        self.in1 = AffineNorm(32)
        self.conv2 = ConvLayer(32, 64, 3, 2)
        self.in2 = AffineNorm(64)
        self.conv3 = ConvLayer(64, WIDTH, 3, 2)
        self.in3 = AffineNorm(WIDTH)
        for name in BLOCKS:
            self.add_module(name, LayerPair())
        self.deconv1 = ConvLayer(WIDTH, 64, 3)
        self.in4 = AffineNorm(64)
        self.deconv2 = ConvLayer(64, 32, 3)
        self.in5 = AffineNorm(32)
        self.deconv3 = ConvLayer(32, 3, 9)
