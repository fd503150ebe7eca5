"""Multimodal Transfer (Wang et al., CVPR 2017, arXiv:1612.01895): three subnets, coarse to fine.

Parameters are named as in URST's network: ``style_subnet.``, ``enhance_subnet.`` and
``refine_subnet.``. The style is part of the weights.

    picture -> style subnet -> twice the size -> enhance subnet -> refine subnet -> half the size

The network's own output is twice as large as its input and normalized; ``own_stages`` and
``FoldedMultimodal.own_output`` give it. Deviations from the published test code, which

- resizes that output bilinearly to the input's size, with aligned corners. There the weights of
  pixels depend on their position in the patch, so that patches do not match; here it is the mean of
  2 x 2 pixels, which equals that resize in the middle of a patch;
- clips only the first picture of a batch. Here every picture is clipped, so that batches do not
  change pictures. The bound of red is kept as published, although it divides by 0.299 and not by
  the 0.229 with which pictures are normalized.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks import reach
from ..networks.folding import Kernel, fold_input, fold_pointwise, kernel_of
from ..networks.layers.banded import RowLayer, RowSequence
from ..networks.layers.convolutions import OutputConvolution
from ..networks.layers.elementwise import (
    Affine,
    BilinearUpsampling,
    Clamp,
    MeanPooling,
    Residual,
    SubtractMean,
)
from ..networks.layers.normalized import (
    AffineSite,
    NormalizedConvolution,
    Part,
    ReflectedConvolution,
    ResidualBlock,
    name_sites,
    through,
)
from ..networks.network import StylizationNetwork, Traits
from ..networks.reach import Convolution, Layer, Pooling
from ..networks.sites import Stages
from ..networks.statistics import SiteStats
from ..networks.style import StyleCode

STYLE = "trained"

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
CUT_DEVIATION = (0.299, 0.224, 0.225)

LAYERS: tuple[Layer, ...] = (
    Convolution(9),
    *[Convolution(3, stride=2)] * 2,
    *[Convolution(3)] * 12,  # three residual blocks of color or gray, three of both
    *[reach.NearestUpsampling(), Convolution(3)] * 2,
    Convolution(3),
    reach.BilinearUpsampling(),
    Convolution(9),
    *[Convolution(3, stride=2)] * 3,
    *[Convolution(3)] * 12,
    *[reach.NearestUpsampling(), Convolution(3)] * 3,
    Convolution(9),
    Convolution(9),
    *[Convolution(3, stride=2)] * 2,
    *[Convolution(3)] * 6,
    *[reach.NearestUpsampling(), Convolution(3)] * 2,
    Convolution(3),
    Pooling(),
)


class Subnet(nn.Module):
    """Base class of the subnets; creates their parts under flat published names."""

    def _shrinking(self, prefix: str, widths: Sequence[int]) -> list[Part]:
        """A 9 x 9 convolution, then 3 x 3 ones that halve the size."""
        steps: list[Part] = []
        for number, (inputs, outputs) in enumerate(pairwise(widths), start=1):
            kernel, stride = (9, 1) if number == 1 else (3, 2)
            convolution = ReflectedConvolution(inputs, outputs, kernel, stride=stride)
            steps.append(
                self._normalized(convolution, f"{prefix}conv{number}", f"{prefix}in{number}")
            )
        return steps

    def _residual(self, prefix: str, numbers: Iterable[int], channels: int) -> list[Part]:
        blocks: list[Part] = []
        for number in numbers:
            block = ResidualBlock(channels)
            self.add_module(f"{prefix}res{number}", block)
            blocks.append(block)
        return blocks

    def _growing(self, widths: Sequence[int], *, first_norm: int) -> list[Part]:
        """3 x 3 convolutions that double the size."""
        steps: list[Part] = []
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            convolution = ReflectedConvolution(inputs, outputs, 3, upsample=True)
            names = f"rezconv{number + 1}", f"in{first_norm + number}"
            steps.append(self._normalized(convolution, *names))
        return steps

    def _normalized(
        self, convolution: ReflectedConvolution, name: str, norm_name: str
    ) -> NormalizedConvolution:
        norm = AffineSite(convolution.conv2d.out_channels)
        self.add_module(name, convolution)
        self.add_module(norm_name, norm)
        return convolution.normalized(norm)


class StyleSubnet(Subnet):
    """Paints large strokes: color and gray in parallel, then both together."""

    def __init__(self) -> None:
        super().__init__()
        self.togray = nn.Conv2d(3, 1, 1)
        self.color_steps = self._shrinking("rgb_", (3, 16, 32, 64))
        self.color_steps += self._residual("rgb_", range(1, 4), 64)
        self.gray_steps = self._shrinking("l_", (1, 16, 32, 64))
        self.gray_steps += self._residual("l_", range(1, 4), 64)
        self.joint_steps = self._residual("", range(4, 7), 128)
        self.joint_steps += self._growing((128, 64, 32), first_norm=4)
        self.rezconv3 = ReflectedConvolution(32, 3, 3)

    def stages(self, picture: Tensor) -> Stages:
        color = yield from through(self.color_steps, picture)
        gray = yield from through(self.gray_steps, self.togray(picture))
        features = yield from through(self.joint_steps, torch.cat([color, gray], dim=1))
        return self.rezconv3(features)

    def folded(self, sites: Mapping[str, SiteStats]) -> RowSequence:
        """Color and gray as two groups of the same layers, with the pixels' deviation folded in."""
        layers: list[RowLayer] = []
        for number, (color, gray) in enumerate(zip(self.color_steps, self.gray_steps)):
            kernels, gray_kernels = color.kernels(sites), gray.kernels(sites)
            if number == 0:
                togray = partial(fold_pointwise, kernel_of(self.togray))
                gray_kernels = [kernel.mapped(togray) for kernel in gray_kernels]
            kernels = [first.beside(second) for first, second in zip(kernels, gray_kernels)]
            if number == 0:
                kernels = [kernel.mapped(_fold_deviation) for kernel in kernels]
            layers.append(color.tile_layer(kernels, groups=1 if number == 0 else 2))
        layers += [part.folded(sites) for part in self.joint_steps]
        return RowSequence([*layers, OutputConvolution(self.rezconv3.kernel)])


class DetailSubnet(Subnet):
    """Structure of the enhance and refine subnets, which paint smaller and smaller strokes."""

    def __init__(self, widths: Sequence[int], *, blocks: int, last_kernel: int) -> None:
        super().__init__()
        self.steps = self._shrinking("", widths)
        self.steps += self._residual("", range(1, blocks + 1), widths[-1])
        self.steps += self._growing(widths[:0:-1], first_norm=len(widths))
        self.last_name = f"rezconv{len(widths) - 1}"
        self.add_module(self.last_name, ReflectedConvolution(widths[1], 3, last_kernel))

    def stages(self, picture: Tensor) -> Stages:
        return through([*self.steps, self.get_submodule(self.last_name)], picture)

    def folded(self, sites: Mapping[str, SiteStats]) -> RowSequence:
        last = self.get_submodule(self.last_name)
        assert isinstance(last, ReflectedConvolution)
        layers = (part.folded(sites) for part in self.steps)
        return RowSequence([*layers, OutputConvolution(last.kernel)])


class Multimodal(StylizationNetwork):
    """Multimodal Transfer with thumbnail statistics at all normalizations of its subnets."""

    traits: Traits = Traits(
        name="multimodal",
        title="Multimodal Transfer",
        stride=4,
        layers=LAYERS,
        minimum=8,
        bytes_per_pixel=4700,
        tile_bytes_per_pixel=1200,
        # The published weights were not available, so half precision is untested.
        half_precision=(),
        license="not stated (FeliMe), Apache-2.0 (URST)",
        paper="arXiv:1612.01895",
    )
    style_names: tuple[str, ...] = (STYLE,)

    def __init__(self) -> None:
        super().__init__()
        self.style_subnet = StyleSubnet()
        self.enhance_subnet = DetailSubnet((3, 32, 64, 128, 256), blocks=6, last_kernel=9)
        self.refine_subnet = DetailSubnet((3, 32, 64, 128), blocks=3, last_kernel=3)
        self.site_names = name_sites(self)

    def named_style_code(self, name: str) -> StyleCode:
        del name  # there is only one
        return StyleCode({})

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        del code  # the style is part of the weights
        own = yield from self.own_stages(image)
        return _to_picture(own)

    def own_stages(self, image: Tensor) -> Stages:
        """The network as published: (1, 3, 2H, 2W), normalized by ``MEAN`` and ``DEVIATION``."""
        mean, deviation = _channels(image, MEAN), _channels(image, DEVIATION)
        styled = yield from self.style_subnet.stages((image - mean) / deviation)
        enhanced = yield from self.enhance_subnet.stages(_enlarged(_cut(styled)))
        enhanced = _cut(enhanced)
        refined = yield from self.refine_subnet.stages(enhanced)
        return _cut(refined + enhanced)

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        del code
        return FoldedMultimodal(
            *(
                subnet.folded(sites)
                for subnet in (self.style_subnet, self.enhance_subnet, self.refine_subnet)
            )
        )


class FoldedMultimodal(RowSequence):
    """The three subnets with one content's statistics folded in."""

    def __init__(self, style: RowLayer, enhance: RowLayer, refine: RowLayer) -> None:
        mean, deviation, cut_deviation = (
            torch.tensor(values, dtype=torch.float64) for values in (MEAN, DEVIATION, CUT_DEVIATION)
        )
        bounds = -mean / cut_deviation, (1 - mean) / cut_deviation
        # The mean is not folded in: a bias that cancels a large sum triples the rounding error of
        # the first convolution, which three subnets in a row amplify by about 20.
        own = [
            SubtractMean(mean),
            *(style, Clamp(*bounds), BilinearUpsampling()),
            *(enhance, Clamp(*bounds)),
            *(Residual(refine), Clamp(*bounds)),
        ]
        super().__init__([*own, MeanPooling(), Affine(deviation, mean)])
        self._own = len(own)

    def own_output(self, window: Tensor, *, at_border: bool) -> Tensor:
        """Like :meth:`Multimodal.own_stages`: twice the size, normalized."""
        for layer in self.layers[: self._own]:
            window = layer(window, at_border=at_border)
        return window


def _fold_deviation(kernel: Kernel) -> Kernel:
    deviation = kernel[1].new_tensor(DEVIATION)
    return fold_input(kernel, 1 / deviation, torch.zeros_like(deviation))


def _channels(like: Tensor, values: Sequence[float]) -> Tensor:
    return like.new_tensor(values)[:, None, None]


def _cut(normalized: Tensor) -> Tensor:
    """Clip a picture to the published bounds of each color."""
    mean, deviation = _channels(normalized, MEAN), _channels(normalized, CUT_DEVIATION)
    return normalized.clamp(-mean / deviation, (1 - mean) / deviation)


def _enlarged(picture: Tensor) -> Tensor:
    return F.interpolate(picture, scale_factor=2.0, mode="bilinear")


def _to_picture(own: Tensor) -> Tensor:
    """Convert the network's own output, (N, 3, 2H, 2W), to a picture in 0..1, (N, 3, H, W)."""
    mean, deviation = _channels(own, MEAN), _channels(own, DEVIATION)
    return F.avg_pool2d(own, 2) * deviation + mean
