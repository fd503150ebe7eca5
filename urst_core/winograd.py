"""Wide 3 x 3 convolutions in a quarter of the multiplications (Lavin and Gray, arXiv:1509.09308).

F(4 x 4, 3 x 3): 4 x 4 results are made of 6 x 6 inputs. Both are carried by small matrices into a
basis in which a convolution is one product of 36 numbers instead of 9 products of 16. Over all
channels that is 36 matrix products, which processors compute as fast as anything:

      Y = A' [ (G g G') * (B' d B) ] A        g kernel, d inputs, Y results, ' the transpose

Rounding errors grow to about 5 times those of a plain convolution, some 1e-6 of the values' range.
The maps between the two bases cost as much for few channels as for many, so that narrow
convolutions gain nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

INPUT_BASIS = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
"""B' of the paper."""

KERNEL_BASIS = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
"""G of the paper."""

RESULT_BASIS = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)
"""A' of the paper."""

BLOCK = 4
"""Height and width, in px, of the results that are computed together."""

LEAST_INPUTS = 128
LEAST_OUTPUTS = 128
"""Narrower convolutions gain nothing."""

MOST_BLOCKS = 160
"""How many blocks are computed at a time: more leave the caches."""


def gains(weight: Tensor, *, stride: int, groups: int) -> bool:
    """Whether a convolution with a weight of (out, in / groups, k, k) is faster this way."""
    outputs, inputs, height, width = weight.shape
    is_plain = stride == groups == 1 and height == width == 3
    return is_plain and inputs >= LEAST_INPUTS and outputs >= LEAST_OUTPUTS


def transformed(weight: Tensor) -> Tensor:
    """A weight of (out, in, 3, 3) in the other basis: (36, in, out)."""
    basis = weight.new_tensor(KERNEL_BASIS, dtype=torch.float64)
    wide = torch.einsum("ka,lb,oiab->klio", basis, basis, weight.double())
    return wide.flatten(0, 1).to(weight.dtype).contiguous()


def convolved(features: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """A 3 x 3 convolution without padding.

    Args:
        features: (1, in, H, W), float32, channels-last, H and W at least 3.
        kernel: of :func:`transformed`.
        bias: (out,).

    Returns:
        (1, out, H - 2, W - 2), channels-last or a part of such; new memory.
    """
    height, width = features.shape[2] - 2, features.shape[3] - 2
    across = min(MOST_BLOCKS, -(-width // BLOCK))
    rows, columns = BLOCK * (MOST_BLOCKS // across), BLOCK * across
    if rows >= height and columns >= width:
        return _convolved_at_once(features, kernel, bias)
    result = torch.empty(1, height, width, kernel.shape[2]).permute(0, 3, 1, 2)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            part = features[:, :, top : top + rows + 2, left : left + columns + 2]
            area = (..., slice(top, top + rows), slice(left, left + columns))
            result[area] = _convolved_at_once(part, kernel, bias)
    return result


def _convolved_at_once(features: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    channels, outputs = kernel.shape[1:]
    height, width = features.shape[2] - 2, features.shape[3] - 2
    below, beside = -height % BLOCK, -width % BLOCK
    if below or beside:
        features = F.pad(features, (0, beside, 0, below))
    down, across = (height + below) // BLOCK, (width + beside) // BLOCK
    blocks = _in_basis(features.permute(0, 2, 3, 1).contiguous()[0], down, across)
    products = torch.bmm(blocks.reshape(36, down * across, channels), kernel)
    result = _from_basis(products, down, across).add_(bias)
    picture = result.view(1, down * BLOCK, across * BLOCK, outputs).permute(0, 3, 1, 2)
    return picture[:, :, :height, :width]


def _in_basis(rows: Tensor, down: int, across: int) -> Tensor:
    """Pixels, (H, W, C), as blocks of 6 x 6 in the other basis: (6, 6, down, across, C)."""
    basis = rows.new_tensor(INPUT_BASIS)
    _, width, channels = rows.shape
    row = width * channels
    # Views whose blocks overlap: nothing is copied.
    lines = rows.as_strided((down, 6, row), (BLOCK * row, row, 1))
    lines = torch.matmul(basis, lines)
    blocks = lines.as_strided((down * 6, across, 6, channels), (row, BLOCK * channels, channels, 1))
    blocks = torch.matmul(basis, blocks).view(down, 6, across, 6, channels)
    return blocks.permute(1, 3, 0, 2, 4)


def _from_basis(products: Tensor, down: int, across: int) -> Tensor:
    """(36, down * across, C) to results: (down, 4, across, 4, C), new memory."""
    basis = products.new_tensor(RESULT_BASIS)
    half = torch.matmul(basis, products.view(6, -1)).view(BLOCK, 6, -1)
    whole = torch.matmul(basis, half).view(BLOCK, BLOCK, down, across, -1)
    return whole.permute(2, 0, 3, 1, 4).contiguous()
