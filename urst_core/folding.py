"""Convolutions with everything linear folded in: what a tile network is made of.

With frozen statistics a normalization is an affine map of each channel, and an affine map before
or after a convolution is a convolution again. All functions take and return (weight, bias), with
weights of (out, in / groups, k, k).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kernel = tuple[Tensor, Tensor]


def kernel_of(convolution: nn.Conv2d) -> Kernel:
    """Weight and bias of a layer; a bias of zeros where it has none."""
    weight, bias = convolution.weight, convolution.bias
    return weight, weight.new_zeros(weight.shape[0]) if bias is None else bias


def fold_input(kernel: Kernel, scale: Tensor, shift: Tensor) -> Kernel:
    """``conv(scale * x + shift)`` as one convolution of x; scale and shift are (in,).

    Exact under reflection or replication padding, which commute with a map of each channel; not
    under zero padding, where the shift would be missing at the border.
    """
    weight, bias = kernel
    return weight * scale[None, :, None, None], bias + (weight.sum((2, 3)) * shift).sum(1)


def fold_output(kernel: Kernel, scale: Tensor, shift: Tensor) -> Kernel:
    """``scale * conv(x) + shift`` as one convolution; scale and shift are (out,)."""
    weight, bias = kernel
    return weight * scale[:, None, None, None], bias * scale + shift


def add_identity(kernel: Kernel, scale: Tensor) -> Kernel:
    """``conv(x) + scale * x`` as one convolution; as many channels out as in, scale is (out,)."""
    weight, bias = kernel
    weight = weight.clone()
    center = weight.shape[2] // 2
    weight[:, :, center, center] += torch.diag(scale)
    return weight, bias


def fold_pointwise(first: Kernel, second: Kernel) -> Kernel:
    """``second(first(x))`` as one convolution, where ``first`` is a 1 x 1 convolution."""
    weight, bias = first
    mixed = torch.einsum("omyx,mi->oiyx", second[0], weight[:, :, 0, 0])
    return mixed, second[1] + (second[0].sum((2, 3)) * bias).sum(1)


class TileConvolution(nn.Module):
    """A convolution that pads as the published networks do, but only where it shows.

    At the frame's border the input is reflected. Elsewhere whatever the padding touches is
    discarded with the halo, and the convolution's own zero padding costs nothing.
    """

    def __init__(
        self, kernel: Kernel, *, stride: int = 1, groups: int = 1, relu: bool = False
    ) -> None:
        super().__init__()
        weight, bias = kernel
        # Detached and cloned: a tile network may be moved without moving its backbone.
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.stride = stride
        self.groups = groups
        self.relu = relu
        self.padding = weight.shape[-1] // 2

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        padding = self.padding
        if at_border and padding:
            features = F.pad(features, (padding,) * 4, mode="reflect")
            padding = 0
        result = F.conv2d(
            features, self.weight, self.bias, self.stride, padding, groups=self.groups
        )
        return F.relu_(result) if self.relu else result


class PictureConvolution(nn.Module):
    """A last convolution to 3 channels, computed for 2 x 2 output pixels at a time.

    Libraries compute output channels in blocks of 8 or 16, so 3 of them waste most of the work.
    Four neighboring outputs see windows that overlap almost wholly: one kernel, one pixel larger,
    at stride 2, gives all 12 values. Height and width must be even.

        k = 3:   a b c .        . a b c        . . . .        . . . .
                 d e f .        . d e f        a b c .        . a b c
                 g h i .        . g h i        d e f .        . d e f
                 . . . .        . . . .        g h i .        . g h i
    """

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        weight, bias = kernel
        outputs, inputs, edge, _ = weight.shape
        spread = weight.new_zeros(outputs, 2, 2, inputs, edge + 1, edge + 1)
        for down in range(2):
            for right in range(2):
                spread[:, down, right, :, down : down + edge, right : right + edge] = weight
        self.convolution = TileConvolution(
            (spread.flatten(0, 2), bias.repeat_interleave(4)), stride=2
        )
        self.convolution.padding = edge // 2

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        return F.pixel_shuffle(self.convolution(features, at_border=at_border), 2)
