"""Convolutions of tile networks, with cheap padding and no wasted work.

Each layer is called with features, (N, C, H, W), and ``at_border``: whether an edge of the window
is on the frame's border. There, layers pad exactly as the published networks do. Elsewhere,
everything that padding affects is discarded with the halo, so zeros suffice.
"""

from __future__ import annotations

from functools import partial
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..folding import Kernel, fold_blurred_upsampling
from .banded import Bands, Edge, RowLayer, in_dtype, slabs, with_last

LEAST_VALUES = 20_481
"""Minimum number of input values for which PyTorch uses its kernels for large inputs."""


def convolve(
    rows: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    stride: int = 1,
    columns: int = 0,
    groups: int = 1,
) -> Tensor:
    """A convolution whose rounding does not depend on how many rows there are.

    PyTorch uses different kernels for small inputs, which sum in another order, so pictures would
    depend on their tiles. Small inputs are therefore extended by rows of zeros, whose results are
    dropped.

    Args:
        rows: (N, C, H, W), padded above and below.
        weight, bias, stride, groups: parameters of the convolution.
        columns: number of zero columns to pad left and right.
    """
    count, channels, height, width = rows.shape
    lacking = -(-LEAST_VALUES // (count * channels * width)) - height
    if lacking > 0:
        rows = F.pad(rows, (0, 0, 0, lacking))
    result = F.conv2d(rows, weight, bias, stride, (0, columns), groups=groups)
    return result[:, :, : (height - weight.shape[2]) // stride + 1]


class TileConvolution(RowLayer):
    """A convolution with padding, by default by reflection.

    Args:
        kernel: weight and bias.
        stride, groups: of the convolution.
        relu: whether a ReLU follows.
        keep_float32: whether to compute bands in float32, since half precision would be visible.
        edge: padding at the frame's border.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = False,
        keep_float32: bool = False,
        edge: Edge = Edge.REFLECTED,
    ) -> None:
        super().__init__()
        weight, bias = kernel
        # Detached and cloned, so that moving a tile network does not move its backbone.
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.stride = stride
        self.groups = groups
        self.relu = relu
        self.keep_float32 = keep_float32
        self.edge = edge
        self.padding = weight.shape[-1] // 2

    def narrow(self, dtype: torch.dtype, *, on_cpu: bool) -> None:
        # On a CPU, strided depthwise convolutions are faster in float32.
        is_faster = self.groups == 1 or self.stride == 1
        if not on_cpu or (is_faster and not self.keep_float32):
            self.to(dtype)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        padding = self.padding
        features = features.to(self.weight.dtype)
        if at_border and padding:
            features = F.pad(features, (padding,) * 4, mode=self.edge.value)
            padding = 0
        result = F.conv2d(
            features, self.weight, self.bias, self.stride, padding, groups=self.groups
        )
        return F.relu_(result) if self.relu else result

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        padded = slabs(
            in_dtype(bands, self.weight.dtype),
            kernel=self.weight.shape[-1],
            stride=self.stride,
            padding=self.padding,
            edge=self.edge if at_border else Edge.ZEROS,
        )
        return map(partial(self._of_slab, columns=0 if at_border else self.padding), padded)

    def _of_slab(self, slab: Tensor, columns: int) -> Tensor:
        """The result for padded rows, with that many columns of zeros beside them."""
        result = convolve(
            slab,
            self.weight,
            self.bias,
            stride=self.stride,
            columns=columns,
            groups=self.groups,
        )
        return F.relu_(result) if self.relu else result


class OutputConvolution(RowLayer):
    """An output convolution to 3 channels, which computes 2 x 2 output pixels at a time.

    It always computes in float32: a 16-bit picture has 256 steps between two neighboring values of
    bfloat16.

    Libraries compute output channels in blocks of 8 or 16, so with 3 channels most of the work is
    wasted. The inputs of four neighboring outputs overlap almost completely, so a kernel one pixel
    larger, with stride 2, gives all 12 values. Height and width must be even.

        k = 3:   a b c .        . a b c        . . . .        . . . .
                 d e f .        . d e f        a b c .        . a b c
                 g h i .        . g h i        d e f .        . d e f
                 . . . .        . . . .        g h i .        . g h i
    """

    def __init__(self, kernel: Kernel, *, relu: bool = False) -> None:
        super().__init__()
        weight, bias = kernel
        outputs, inputs, edge, _ = weight.shape
        spread = weight.new_zeros(outputs, 2, 2, inputs, edge + 1, edge + 1)
        for down in range(2):
            for right in range(2):
                spread[:, down, right, :, down : down + edge, right : right + edge] = weight
        self.convolution = TileConvolution(
            (spread.flatten(0, 2), bias.repeat_interleave(4)), stride=2, relu=relu
        )
        self.convolution.padding = edge // 2

    def narrow(self, dtype: torch.dtype, *, on_cpu: bool) -> None:
        """Stay in float32."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        return F.pixel_shuffle(self.convolution(features, at_border=at_border), 2)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(_shuffled, self.convolution.rows(bands, at_border=at_border))


class NearestUpsampledConvolution(RowLayer):
    """Nearest upsampling to twice the size and a 3 x 3 convolution, with 4 taps instead of 9.

    Several of the 3 x 3 pixels around an upsampled one are copies of the same source pixel: each of
    the four positions in a 2 x 2 block depends on 2 x 2 source pixels. So the weights of copies are
    summed in advance.

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
        # At the border, reflecting upsampled pixels repeats the source's outermost ones. Elsewhere
        # padding is explicit, too: with a library's own padding, 2 x 2 kernels round differently,
        # and tiles would differ in their last bits.
        edge = Edge.REPEATED if at_border else Edge.ZEROS
        features = features.to(self.bias.dtype)
        return self._of_padded(F.pad(features, (1, 1, 1, 1), mode=edge.value))

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        edge = Edge.REPEATED if at_border else Edge.ZEROS
        bands = in_dtype(bands, self.bias.dtype)
        padded = slabs(bands, kernel=3, padding=1, edge=edge)
        if not at_border:
            padded = map(partial(F.pad, pad=(1, 1)), padded)
        return map(self._of_padded, padded)

    def narrow(self, dtype: torch.dtype, *, on_cpu: bool) -> None:
        del on_cpu
        self.to(dtype)

    def _of_padded(self, features: Tensor) -> Tensor:
        """The result for features that are padded by one pixel on each side."""
        count, height, width = features.shape[0], features.shape[2] - 2, features.shape[3] - 2
        result = torch.empty(
            (count, self.bias.shape[0], 2 * height, 2 * width),
            dtype=features.dtype,
            device=features.device,
            memory_format=torch.channels_last,
        )
        for position, weight in enumerate(self.weights):
            down, right = divmod(position, 2)
            part = convolve(features, weight, self.bias)
            part = F.relu_(part) if self.relu else part
            part = part[:, :, down : down + height, right : right + width]
            result[:, :, down::2, right::2] = part
        return result


class BilinearUpsampledConvolution(RowLayer):
    """Bilinear upsampling to twice the size and a 3 x 3 convolution, as one convolution.

    Both are linear, so each of the four positions in a 2 x 2 block is a 3 x 3 convolution of the
    source. At the border, reflecting upsampled pixels does not correspond to any padding of the
    source, so the outermost rows and columns are computed in two steps.
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
        features = features.to(self.blocks.weight.dtype)
        inside = F.pad(features, (1, 1, 1, 1), mode="replicate")
        blocks = self.blocks(inside, at_border=False)[:, :, 1:-1, 1:-1]
        result = F.pixel_shuffle(blocks, 2)
        result[:, :, 0] = self._in_two_steps(features[:, :, :2])[:, :, 0]
        result[:, :, -1] = self._in_two_steps(features[:, :, -2:])[:, :, -1]
        result[:, :, :, 0] = self._in_two_steps(features[:, :, :, :2])[:, :, :, 0]
        result[:, :, :, -1] = self._in_two_steps(features[:, :, :, -2:])[:, :, :, -1]
        return result

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        if not at_border:
            return map(_shuffled, self.blocks.rows(bands, at_border=False))
        bands = in_dtype(bands, self.blocks.weight.dtype)
        padded = slabs(bands, kernel=3, padding=1, edge=Edge.REPEATED)
        return map(self._at_border, count(), with_last(padded))

    def _at_border(self, number: int, slab_and_last: tuple[Tensor, bool]) -> Tensor:
        """The result for padded rows, of which one side or both are the picture's."""
        slab, is_last = slab_and_last
        is_first = number == 0
        blocks = convolve(slab, self.blocks.weight, self.blocks.bias, groups=self.blocks.groups)
        result = F.pixel_shuffle(F.relu_(blocks) if self.blocks.relu else blocks, 2)
        # The source's own rows, without the repeated ones above and below.
        source = slab[:, :, int(is_first) : slab.shape[2] - int(is_last), 1:-1]
        above = 0 if is_first else 2
        rows = slice(above, above + result.shape[2])
        if is_first:
            result[:, :, 0] = self._in_two_steps(source[:, :, :2])[:, :, 0]
        if is_last:
            result[:, :, -1] = self._in_two_steps(source[:, :, -2:])[:, :, -1]
        result[:, :, :, 0] = self._in_two_steps(source[:, :, :, :2])[:, :, rows, 0]
        result[:, :, :, -1] = self._in_two_steps(source[:, :, :, -2:])[:, :, rows, -1]
        return result

    def _in_two_steps(self, features: Tensor) -> Tensor:
        features = features.contiguous(memory_format=torch.channels_last)
        upsampled = F.interpolate(features, scale_factor=2.0, mode="bilinear")
        return self.plain(upsampled, at_border=True)


class BlurredUpsampledConvolution(RowLayer):
    """Bilinear upsampling to twice the size, a blur and a 3 x 3 convolution, as one convolution.

    At the border the source's outermost pixels are repeated before everything else, so all rows and
    columns are computed in the same way.

    Args:
        kernel: weight and bias of the convolution.
        taps: taps of the blur along each axis, (3,), symmetric.
        groups: groups of the convolution.
        relu: whether a ReLU follows.
    """

    def __init__(
        self, kernel: Kernel, taps: Tensor, *, groups: int = 1, relu: bool = False
    ) -> None:
        super().__init__()
        joined = fold_blurred_upsampling(taps, kernel)
        self.blocks = TileConvolution(joined, groups=groups, relu=relu, edge=Edge.REPEATED)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        return F.pixel_shuffle(self.blocks(features, at_border=at_border), 2)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(_shuffled, self.blocks.rows(bands, at_border=at_border))


def _shuffled(blocks: Tensor) -> Tensor:
    """Channels of 2 x 2 px as pixels."""
    return F.pixel_shuffle(blocks, 2)
