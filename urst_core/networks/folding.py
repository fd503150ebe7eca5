"""Folding everything linear into convolutions.

With frozen statistics a normalization is an affine map of each channel, and an affine map before
or after a convolution is a convolution again. All functions take and return (weight, bias), with
weights of (out, in / groups, k, k).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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


def equalize_channels(first: Kernel, second: Kernel) -> tuple[Kernel, Kernel]:
    """``second(relu(first(x)))`` with the channels in between scaled to what float16 can hold.

    A positive scale passes a ReLU (Nagel et al. 2019, arXiv:1906.04721, section 4.1): each channel
    between the two gets the one that makes its largest weights before and after it alike, rounded
    to a power of two, so that results in float32 keep every bit.
    """
    (weight, bias), (next_weight, next_bias) = first, second
    before = torch.maximum(weight.abs().amax((1, 2, 3)), bias.abs())
    after = next_weight.abs().amax((0, 2, 3))
    exponent = (after.log2() - before.log2()).div(2).round()
    scale = torch.exp2(exponent.nan_to_num(0.0, 0.0, 0.0).clamp(-60, 60))
    return fold_output(first, scale, torch.zeros_like(bias)), (
        next_weight / scale[None, :, None, None],
        next_bias,
    )
