"""Folding of linear operations into convolutions.

With frozen statistics a normalization is an affine map of each channel, and a convolution with an
affine map before or after it is still a convolution. All functions take and return (weight, bias),
with weights of (out, in / groups, k, k).

Folding is computed in float64 and rounded once at the end: a bias that cancels a mean is a small
difference of large numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .local_statistics import LocalMap
from .statistics import widened

Kernel = tuple[Tensor, Tensor]


def kernel_of(convolution: nn.Conv2d) -> Kernel:
    """Weight and bias of a layer, float64; the bias is zeros if it has none."""
    weight, bias = widened(convolution.weight), convolution.bias
    return weight, weight.new_zeros(weight.shape[0]) if bias is None else widened(bias)


def fold_input(kernel: Kernel, scale: Tensor, shift: Tensor) -> Kernel:
    """``conv(scale * x + shift)`` as one convolution of x; scale and shift are (in,).

    Exact under reflection or replication padding, which commute with a map of each channel; not
    under zero padding, which would lack the shift.
    """
    weight, bias = kernel
    return weight * scale[None, :, None, None], bias + (weight.sum((2, 3)) * shift).sum(1)


def fold_output(kernel: Kernel, scale: Tensor, shift: Tensor) -> Kernel:
    """``scale * conv(x) + shift`` as one convolution; scale and shift are (out,)."""
    weight, bias = kernel
    return weight * scale[:, None, None, None], bias * scale + shift


@dataclass(frozen=True)
class CenteredKernel:
    """A convolution whose results are centered, followed by a scale and shift.

    A normalization could be folded into one kernel. But it divides by the standard deviation, and
    if that is small (most of a picture has one color), the rounding of scaled weights is amplified
    from site to site: to 0.9 of 255 after the fifteen sites of a network. Centered first, results
    are rounded as they were when they were measured, and the rounding cancels: 0.01 of 255.

    Attributes:
        kernel: weight and bias; its results have mean 0.
        scale, shift: applied to these results, (out,) each.
        local: what follows where statistics vary over the picture.
    """

    kernel: Kernel
    scale: Tensor
    shift: Tensor
    local: LocalMap | None = None

    @classmethod
    def of(
        cls,
        kernel: Kernel,
        mean: Tensor,
        scale: Tensor,
        shift: Tensor,
        local: LocalMap | None = None,
    ) -> CenteredKernel:
        """``scale * (conv(x) - mean) + shift``, (out,) each.

        A power of two from the scale goes into the kernel, which is exact; so results have about
        the standard deviation that they have after the normalization, within half precision.
        """
        weight, bias = kernel
        power = torch.exp2(torch.where(scale != 0.0, scale.abs(), 1.0).log2().round())
        scaled = weight * power[:, None, None, None], (bias - mean) * power
        return cls(scaled, scale / power, shift, local)

    def beside(self, other: CenteredKernel) -> CenteredKernel:
        """Concatenate both as one convolution, the other's outputs last."""
        joined = (
            torch.cat(pair)
            for pair in zip(
                (*self.kernel, self.scale, self.shift), (*other.kernel, other.scale, other.shift)
            )
        )
        weight, bias, scale, shift = joined
        local = self.local and other.local and self.local.beside(other.local)
        return CenteredKernel((weight, bias), scale, shift, local)

    def mapped(self, fold: Callable[[Kernel], Kernel]) -> CenteredKernel:
        """Apply a fold to the kernel that does not change its results."""
        return replace(self, kernel=fold(self.kernel))


def add_identity(kernel: Kernel, scale: Tensor) -> Kernel:
    """``conv(x) + scale * x`` as one convolution with out = in; scale is (out,)."""
    weight, bias = kernel
    weight = weight.clone()
    center = weight.shape[2] // 2
    weight[:, :, center, center] += torch.diag(scale)
    return weight, bias


def fold_pointwise(first: Kernel, second: Kernel) -> Kernel:
    """``second(first(x))`` as one convolution; ``first`` is a 1 x 1 convolution."""
    weight, bias = first
    mixed = torch.einsum("omyx,mi->oiyx", second[0], weight[:, :, 0, 0])
    return mixed, second[1] + (second[0].sum((2, 3)) * bias).sum(1)


def fold_blur(taps: Tensor, kernel: Kernel) -> Kernel:
    """``conv(blur(x))`` as one convolution with a kernel two pixels larger.

    Exact under reflection padding, which commutes with a symmetric blur.

    Args:
        taps: of the blur along each axis, (3,), symmetric.
        kernel: of the convolution after it.
    """
    weight, bias = kernel
    outputs, inputs, edge, _ = weight.shape
    blur = torch.outer(taps, taps).to(weight)[None, None]
    # Convolving two kernels: the blur is symmetric, so it need not be flipped.
    wider = F.conv2d(F.pad(weight.reshape(-1, 1, edge, edge), (2,) * 4), blur)
    return wider.reshape(outputs, inputs, edge + 2, edge + 2), bias


def fold_blurred_upsampling(taps: Tensor, kernel: Kernel) -> Kernel:
    """``conv(blur(upsample(x)))`` as one 5 x 5 convolution with four times the channels.

    The upsampling is bilinear, to twice the size. Channels are in the order of ``pixel_shuffle``:
    four for each of the convolution's outputs, the positions in a block of 2 x 2 pixels.

    Args:
        taps: of the blur along each axis, (3,), symmetric.
        kernel: of the 3 x 3 convolution after it.
    """
    weight, bias = kernel
    shares = _shares_of_blurred_upsampling(taps).to(weight)
    joined = torch.einsum("oikl,pka,qlb->opqiab", weight, shares, shares).flatten(0, 2)
    return joined, bias.repeat_interleave(4)


def _shares_of_blurred_upsampling(taps: Tensor) -> Tensor:
    """Weights of source pixels in each tap of a 3-tap kernel, (position, tap, source pixel).

    Positions are 2i and 2i + 1 of the upsampled signal, source pixels i - 2 to i + 2.
    """
    # Upsampled pixels 2i - 2 to 2i + 3, each from its two nearest source pixels.
    upsampled = taps.new_tensor(
        [
            [0.25, 0.75, 0.0, 0.0, 0.0],
            [0.0, 0.75, 0.25, 0.0, 0.0],
            [0.0, 0.25, 0.75, 0.0, 0.0],
            [0.0, 0.0, 0.75, 0.25, 0.0],
            [0.0, 0.0, 0.25, 0.75, 0.0],
            [0.0, 0.0, 0.0, 0.75, 0.25],
        ]
    )
    blurred = torch.einsum("t,ntc->nc", taps, upsampled.unfold(0, 3, 1).transpose(1, 2))
    return torch.stack([blurred[:3], blurred[1:]])


def equalize_channels(first: Kernel, second: Kernel) -> tuple[Kernel, Kernel]:
    """Scale the channels between two convolutions with a ReLU into the range of float16.

    ``second(relu(first(x)))`` does not change, since positive scales commute with a ReLU (Nagel et
    al. 2019, arXiv:1906.04721, section 4.1). Each channel gets the scale that equalizes its largest
    weights in both kernels, rounded to a power of two, which keeps float32 results bit for bit.
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
