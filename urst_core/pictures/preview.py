"""A small copy of a picture that is finished part by part."""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .source import to_unit
from .thumbnail import thumbnail_size_of


class Preview:
    """The parts of a picture that are finished, shrunk; black where nothing is yet.

    A pixel is the mean of all those that it covers, whichever parts they come in: a finished
    preview does not show where they meet.

    Attributes:
        size: (height, width), in px, of the picture.
        pixels: (3, h, w), float32, 0..1, on the CPU; alpha is left out.

    Args:
        size: of the picture.
        longest_side: of the preview, in px; a small picture is not enlarged.
    """

    def __init__(self, size: Size, longest_side: int) -> None:
        self.size = size
        rows, columns = thumbnail_size_of(size, longest_side)
        self.pixels = torch.zeros(3, rows, columns)

    def add(self, part: Rectangle, pixels: Tensor) -> None:
        """Add a part; each pixel of the picture only once.

        Args:
            part: where it lies; what lies outside the picture is left out.
            pixels: its inside, (C, h, w), as stored: integers, or floating ones of 0..1.
        """
        part = part.clipped(self.size)
        values = to_unit(pixels[:3].cpu())
        (height, width), (_, rows, columns) = self.size, self.pixels.shape
        top, values = _shrunk(values, 1, part.top, height / rows)
        left, values = _shrunk(values, 2, part.left, width / columns)
        # Rounding may have found a cell behind the last one, with no share of anything.
        values = values[:, : rows - top, : columns - left]
        self.pixels[:, top : top + values.shape[1], left : left + values.shape[2]] += values


class SampledPreview:
    """As :class:`Preview`, but made from a part of the pixels, evenly spread.

    Of large pictures no more pixels are taken than of small ones: it takes the same short time.

    Attributes:
        size: (height, width), in px, of the picture.
        pixels: (3, h, w), float32, 0..1, on the CPU; alpha is left out.

    Args:
        size: of the picture.
        longest_side: of the preview, in px; a small picture is not enlarged.
        samples: how many pixels are taken for one that is shown, along each side, at most.
    """

    def __init__(self, size: Size, longest_side: int, *, samples: int = 2) -> None:
        self.size = size
        self._step = -(-max(size) // (samples * longest_side))
        taken = self._taken(Rectangle.of_size(size))
        self._preview = Preview(taken.size, longest_side)
        self.pixels = self._preview.pixels

    def add(self, part: Rectangle, pixels: Tensor) -> None:
        """Add a part, as :meth:`Preview.add` does."""
        part = part.clipped(self.size)
        taken, step = self._taken(part), self._step
        if taken.area:
            top, left = taken.top * step - part.top, taken.left * step - part.left
            self._preview.add(taken, pixels[:, top : part.height : step, left : part.width : step])

    def _taken(self, part: Rectangle) -> Rectangle:
        """A part in the picture of every ``step``-th pixel, from the first."""
        edges = (part.top, part.left, part.bottom, part.right)
        return Rectangle(*(-(-edge // self._step) for edge in edges))


def _shrunk(values: Tensor, dim: int, first: int, scale: float) -> tuple[int, Tensor]:
    """Spread values over cells that are ``scale`` of them long, along one dimension.

    ::

        values  │ 4 │ 5 │ 6 │ 7 │ 8 │ 9 │       a value lies in one cell, or across two
        cells       │    2    │    3    │

    Args:
        values: of a part.
        dim: the dimension.
        first: where the part begins, counted in values.
        scale: 1 or more.

    Returns:
        The first cell, and for each from there on the sum of its values' shares.
    """
    places = torch.arange(first, first + values.shape[dim], dtype=torch.float64)
    cells = (places / scale).floor().long()
    start = int(cells[0])
    inside = ((cells + 1) * scale - places).clamp(0, 1).float()
    shape = list(values.shape)
    shape[dim] = int(cells[-1]) - start + 2
    sums = values.new_zeros(shape)
    across = (inside < 1).nonzero()[:, 0]
    beyond = values.index_select(dim, across) * _along(dim, 1 - inside[across])
    sums.index_add_(dim, cells[across] - start + 1, beyond)
    sums.index_add_(dim, cells - start, values * _along(dim, inside))
    return start, sums.div_(scale)


def _along(dim: int, shares: Tensor) -> Tensor:
    """Shares to multiply (C, h, w) with, along that dimension."""
    return shares.unsqueeze(1) if dim == 1 else shares
