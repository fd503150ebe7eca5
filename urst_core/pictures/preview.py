"""Previews: small copies of a picture that is finished part by part."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle, Size
from .source import to_unit
from .thumbnail import thumbnail_size_of


class Preview:
    """The finished parts of a picture, shrunk; black where nothing is finished yet.

    Each pixel is the mean of all pixels that it covers, even if they come in different parts: a
    finished preview does not show where parts meet.

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
        """Add a part. Each pixel of the picture must be added only once.

        Args:
            part: its rectangle; anything outside the picture is left out.
            pixels: the part inside the picture, (C, h, w), as stored: integers, or floats of 0..1.
        """
        part = part.clipped(self.size)
        values = to_unit(pixels[:3].cpu())
        (height, width), (_, rows, columns) = self.size, self.pixels.shape
        top, values = _shrunk(values, 1, part.top, height / rows)
        left, values = _shrunk(values, 2, part.left, width / columns)
        # Rounding may have added an empty cell behind the last one.
        values = values[:, : rows - top, : columns - left]
        self.pixels[:, top : top + values.shape[1], left : left + values.shape[2]] += values


class SampledPreview:
    """A :class:`Preview` made from a sample of the pixels, evenly spread.

    The number of samples does not grow with the picture, so it is always made quickly.

    Attributes:
        size: (height, width), in px, of the picture.
        pixels: (3, h, w), float32, 0..1, on the CPU; alpha is left out.

    Args:
        size: of the picture.
        longest_side: of the preview, in px; a small picture is not enlarged.
        samples: pixels of the picture for one of the preview, along each side, at most.
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
        """The rectangle of a part in the picture that has every ``step``-th pixel only."""
        edges = (part.top, part.left, part.bottom, part.right)
        return Rectangle(*(-(-edge // self._step) for edge in edges))


class LayeredPreview:
    """As :class:`SampledPreview`, of a picture that smaller ones are made before.

    The first, smallest one shows the whole composition; each later one is painted over it, part by
    part.

    Attributes:
        size: (height, width), in px, of the picture.
        pixels: (3, h, w), float32, 0..1, on the CPU; alpha is left out.

    Args:
        size: of the picture.
        longest_side: of the preview, in px; a small picture is not enlarged.
    """

    def __init__(self, size: Size, longest_side: int) -> None:
        self.size = size
        self.pixels = torch.zeros(3, *thumbnail_size_of(size, longest_side))
        self._longest_side = longest_side
        self._layer: Size | None = None

    def add(self, part: Rectangle, pixels: Tensor, layer: Size | None = None) -> None:
        """Add a part.

        Args:
            part, pixels: as for :meth:`Preview.add`.
            layer: the size of the smaller picture that it is a part of; None for the picture.
        """
        layer = layer or self.size
        if layer != self._layer:
            self._layer, self._below = layer, self.pixels
            self._colors = SampledPreview(layer, self._longest_side)
            self._shares = SampledPreview(layer, self._longest_side)
        self._colors.add(part, pixels)
        self._shares.add(part, torch.ones(3, *pixels.shape[1:]))
        colors, shares = (self._enlarged(each.pixels) for each in (self._colors, self._shares))
        self.pixels = colors + (1 - shares).clamp(min=0.0) * self._below

    def _enlarged(self, pixels: Tensor) -> Tensor:
        size = self.pixels.shape[1], self.pixels.shape[2]
        if pixels.shape[1:] == size:
            return pixels
        return F.interpolate(pixels.unsqueeze(0), size=size, mode="bilinear")[0]


def _shrunk(values: Tensor, dim: int, first: int, scale: float) -> tuple[int, Tensor]:
    """Spread values over cells that are ``scale`` of them long, along one dimension.

    ::

        values  │ 4 │ 5 │ 6 │ 7 │ 8 │ 9 │       a value is in one cell, or across two
        cells       │    2    │    3    │

    Args:
        values: the values of a part.
        dim: the dimension.
        first: index of the part's first value.
        scale: length of a cell, 1 or more.

    Returns:
        The index of the first cell, and for each cell from there on the sum of its values, each
        weighted by the share that is inside the cell.
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
    """Reshape weights so that they multiply (C, h, w) along that dimension."""
    return shares.unsqueeze(1) if dim == 1 else shares
