"""What tile networks are made of: convolutions that pad cheaply and waste no work.

Each layer is called with features, (N, C, H, W), and ``at_border``: whether an edge of the window
lies on the frame's border. There the layers pad exactly as the published networks do. Elsewhere
whatever padding touches is discarded with the halo, and zeros cost nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .folding import Kernel


class TileConvolution(nn.Module):
    """A convolution after reflection padding."""

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


class NearestUpsampledConvolution(nn.Module):
    """Nearest upsampling to twice the size, then a 3 x 3 convolution, in 4 taps instead of 9.

    Of the 3 x 3 pixels around an upsampled one, several are copies of the same source pixel:
    each of the four positions in a 2 x 2 block sees 2 x 2 source pixels, so the weights of copies
    are added up beforehand.

        above left:  x[i-1] x[i] x[i]  ->  (w0, w1 + w2)
        below right: x[i] x[i] x[i+1]  ->  (w0 + w1, w2)
    """

    def __init__(self, kernel: Kernel, *, relu: bool = False) -> None:
        super().__init__()
        weight, bias = kernel
        pairs = weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        merged = torch.einsum("oikl,pak,qbl->pqoiab", weight, pairs, pairs)
        self.weights = nn.ParameterList(part.detach().clone() for part in merged.flatten(0, 1))
        self.bias = nn.Parameter(bias.detach().clone())
        self.relu = relu

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        count, _, height, width = features.shape
        # At the border the reflection of upsampled pixels repeats the source's outermost ones.
        # Elsewhere they are padded apart too: libraries round 2 x 2 kernels otherwise than with
        # padding of their own, and tiles would differ in their last bits.
        features = F.pad(features, (1, 1, 1, 1), mode="replicate" if at_border else "constant")
        result = torch.empty(
            (count, self.bias.shape[0], 2 * height, 2 * width),
            dtype=features.dtype,
            device=features.device,
            memory_format=torch.channels_last,
        )
        for position, weight in enumerate(self.weights):
            down, right = divmod(position, 2)
            part = F.conv2d(features, weight, self.bias)
            part = F.relu_(part) if self.relu else part
            part = part[:, :, down : down + height, right : right + width]
            result[:, :, down::2, right::2] = part
        return result


class BilinearUpsampledConvolution(nn.Module):
    """Bilinear upsampling to twice the size, then a 3 x 3 convolution, as one convolution.

    Both are linear, so each of the four positions in a 2 x 2 block is a 3 x 3 convolution of the
    source. At the border the reflection of upsampled pixels is no padding of the source: there
    the outermost row and column are computed in two steps.
    """

    def __init__(self, kernel: Kernel, *, groups: int = 1, relu: bool = False) -> None:
        super().__init__()
        weight, bias = kernel
        # position in the block, tap of the kernel, source pixel i - 1, i, i + 1
        shares = weight.new_tensor(
            [
                [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.75, 0.25]],
                [[0.25, 0.75, 0.0], [0.0, 0.75, 0.25], [0.0, 0.25, 0.75]],
            ]
        )
        joined = torch.einsum("oikl,pka,qlb->opqiab", weight, shares, shares).flatten(0, 2)
        kernel_of_blocks = joined, bias.repeat_interleave(4)
        self.blocks = TileConvolution(kernel_of_blocks, groups=groups, relu=relu)
        self.plain = TileConvolution(kernel, groups=groups, relu=relu)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        if not at_border:
            return F.pixel_shuffle(self.blocks(features, at_border=False), 2)
        inside = F.pad(features, (1, 1, 1, 1), mode="replicate")
        blocks = self.blocks(inside, at_border=False)[:, :, 1:-1, 1:-1]
        result = F.pixel_shuffle(blocks, 2)
        result[:, :, 0] = self._in_two_steps(features[:, :, :2])[:, :, 0]
        result[:, :, -1] = self._in_two_steps(features[:, :, -2:])[:, :, -1]
        result[:, :, :, 0] = self._in_two_steps(features[:, :, :, :2])[:, :, :, 0]
        result[:, :, :, -1] = self._in_two_steps(features[:, :, :, -2:])[:, :, :, -1]
        return result

    def _in_two_steps(self, features: Tensor) -> Tensor:
        upsampled = F.interpolate(features, scale_factor=2.0, mode="bilinear")
        return self.plain(upsampled, at_border=True)
