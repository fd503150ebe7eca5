"""Weighted sums of rows of pixels, each in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Integers: TypeAlias = npt.NDArray[np.int64]


VECTOR_UNITS = "AVX2", "AVX512"
"""Instruction sets for which PyTorch has a kernel of its own that adds rows."""


def are_quick(pixels: Tensor) -> bool:
    """Whether :class:`RowSums` are quicker than a pass over the pixels for each term.

    Args:
        pixels: the pixels that are added.
    """
    if pixels.device.type != "cpu" or pixels.dtype != torch.float32:
        return False
    return torch.backends.cpu.get_cpu_capability() in VECTOR_UNITS


@dataclass(frozen=True)
class RowSums:
    """Adds rows of each channel of a picture, with weights, on a CPU in float32.

    The sums are those of bags of embeddings, whose table is the picture: each element's products
    are added in the order of the terms, wherever it is in its row, so that every window gives the
    same bits.

    Attributes:
        bags: numbers of the rows in all channels, one below the other, (C * n, terms).
        weights: of the terms, (C * n, terms).
        channels: C.
    """

    bags: Tensor
    weights: Tensor
    channels: int

    @classmethod
    def of(cls, rows: Integers, weights: Floats, size: tuple[int, int]) -> RowSums:
        """Prepare sums for pictures of a size.

        Args:
            rows: numbers of the rows to add for each row that comes out, (n, terms).
            weights: of the terms, (n, terms).
            size: channels and height of the pictures.
        """
        channels, height = size
        first = np.arange(0, channels * height, height)[:, None, None]
        shares = torch.from_numpy(weights.astype(np.float32)).repeat(channels, 1)
        return cls(torch.from_numpy((first + rows).reshape(shares.shape)), shares, channels)

    def apply(self, pixels: Tensor) -> Tensor:
        """Add the rows of a picture.

        Args:
            pixels: (C, h, w), float32, on the CPU.

        Returns:
            (C, n, w).

        Example:
            >>> sums = RowSums.of(np.array([[0, 1]]), np.array([[0.5, 0.5]]), (1, 2))
            >>> sums.apply(torch.tensor([[[1.0], [3.0]]]))
            tensor([[[2.]]])
        """
        width = pixels.shape[2]
        table = pixels.reshape(-1, width)
        if width == 1:
            # Its stride may be anything, and bags of rows with others than 1 are added otherwise.
            table = table.clone(memory_format=torch.contiguous_format)
        sums = F.embedding_bag(self.bags, table, mode="sum", per_sample_weights=self.weights)
        return sums.view(self.channels, -1, width)
