"""Wide 3 x 3 convolutions with a quarter of the multiplications, for whole pictures on a CPU.

Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray 2015, arXiv:1509.09308): blocks of
4 x 4 results are made of blocks of 6 x 6 inputs, which overlap; in between, 36 products of matrices
take the place of the convolution::

      6 x 6 inputs ──► B: 36 sums ──► 36 products with the kernel's sums ──► A: 4 x 4 results

How a result is rounded depends on its place in a block, and thus on where a window begins. Tiles
must have the same bits wherever they begin, so they are convolved directly; the reach that they
would need otherwise is in ``benchmarks/NOTES.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from .banded import Bands, Edge, RowLayer, in_dtype, joined_if_low, slabs
from .convolutions import TileConvolution

BLOCKS_AT_ONCE = 128
"""Blocks whose sums are computed at a time, so that they stay in a processor's caches."""

LEAST_WEIGHTS = 128 * 128
"""Minimum number of pairs of channels; with fewer, the sums take longer than products save."""

INPUT_SUMS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)

KERNEL_SUMS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)

RESULT_SUMS = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


def with_winograd(layers: Iterable[RowLayer]) -> Iterator[RowLayer]:
    """The same layers; those that are faster so compute in blocks."""
    for layer in layers:
        if isinstance(layer, TileConvolution) and _is_wide(layer):
            yield WinogradConvolution(layer)
        else:
            yield layer


def _is_wide(layer: TileConvolution) -> bool:
    if layer.stride > 1 or layer.groups > 1:
        return False
    outputs, inputs, *kernel = layer.weight.shape
    return kernel == [3, 3] and inputs * outputs >= LEAST_WEIGHTS


class WinogradConvolution(RowLayer):
    """A 3 x 3 convolution of stride 1, computed in blocks of 4 x 4 results from the top left.

    Args:
        direct: the same layer, computed directly.
    """

    def __init__(self, direct: TileConvolution) -> None:
        super().__init__()
        self.direct = direct

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        return torch.cat(list(self.rows(iter([features]), at_border=at_border)), dim=2)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        edge = self.direct.edge if at_border else Edge.ZEROS
        transformed = self._transformed_kernel()
        heights: list[int] = []
        done = 0

        def of_slab(slab: Tensor) -> Tensor:
            nonlocal done
            columns = 1 if edge is Edge.ZEROS else 0
            width = slab.shape[3] + 2 * columns - 2
            blocks = F.pad(slab, (columns, columns + -width % 4))
            result = self._convolved(blocks, transformed)[:, :, : sum(heights) - done, :width]
            done += result.shape[2]
            return result

        bands = _whole_blocks(in_dtype(bands, self.direct.weight.dtype), edge, heights)
        return map(of_slab, slabs(bands, kernel=6, stride=4, padding=1, edge=edge))

    def _transformed_kernel(self) -> Tensor:
        """The sums of the kernel, (36, in, out)."""
        weight = self.direct.weight
        outputs, inputs = weight.shape[:2]
        sums = _squared(KERNEL_SUMS).to(weight.device) @ weight.double().reshape(-1, 9).T
        return sums.view(36, outputs, inputs).transpose(1, 2).to(weight.dtype).contiguous()

    def _convolved(self, slab: Tensor, kernel: Tensor) -> Tensor:
        """(N, C, 4 n + 2, 4 m + 2) → (N, out, 4 n, 4 m), a few rows of blocks at a time."""
        count, _, height, width = slab.shape
        rows, columns, outputs = (height - 2) // 4, (width - 2) // 4, kernel.shape[2]
        inner, outer = _squared(INPUT_SUMS).to(slab), _squared(RESULT_SUMS).to(slab)
        result = slab.new_empty(count, 4 * rows, 4 * columns, outputs)
        at_once = max(1, BLOCKS_AT_ONCE // (count * columns))
        for top in range(0, rows, at_once):
            bottom = min(rows, top + at_once)
            blocks = slab[:, :, 4 * top : 4 * bottom + 2].permute(0, 2, 3, 1)
            blocks = blocks.unfold(1, 6, 4).unfold(2, 6, 4).permute(4, 5, 0, 1, 2, 3)
            sums = (inner @ blocks.reshape(36, -1)).view(36, -1, slab.shape[1])
            products = torch.bmm(sums, kernel).view(36, -1)
            part = (outer @ products).view(4, 4, count, bottom - top, columns, outputs)
            here = result[:, 4 * top : 4 * bottom].view(count, -1, 4, columns, 4, outputs)
            here.copy_(part.permute(2, 3, 0, 4, 1, 5))
            here.add_(self.direct.bias)
            if self.direct.relu:
                here.relu_()
        return result.permute(0, 3, 1, 2)


def _squared(sums: tuple[tuple[float, ...], ...]) -> Tensor:
    """The sums along both axes of a block, as one matrix, float64."""
    matrix = torch.tensor(sums, dtype=torch.float64)
    return torch.kron(matrix, matrix)


def _whole_blocks(bands: Bands, edge: Edge, heights: list[int]) -> Bands:
    """Continue the last band to whole blocks: one row as the edge demands, then zeros.

    The height of each band is noted in ``heights``.
    """

    def continued(band_and_last: tuple[Tensor, bool]) -> Tensor:
        band, is_last = band_and_last
        heights.append(band.shape[2])
        lacking = -sum(heights) % 4
        if not (is_last and lacking):
            return band
        return F.pad(F.pad(band, (0, 0, 0, 1), mode=edge.value), (0, 0, 0, lacking - 1))

    return map(continued, joined_if_low(bands, 1, 1))
