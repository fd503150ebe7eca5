"""Smaller copies of maps: single pixels are read, none are mixed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .mask import MaskValues
from .source import BAND_PIXELS, Source


@dataclass(frozen=True)
class SampledPicture:
    """Every so many pixels of a picture: the nearest to the centers of a smaller copy's pixels.

    Attributes:
        picture: the whole picture.
        size: height and width of the copy.
    """

    picture: Source
    size: Size

    @property
    def channels(self) -> int:
        return self.picture.channels

    @property
    def dtype(self) -> torch.dtype:
        return self.picture.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        return _sample(self.picture, self.size, rectangle)


@dataclass(frozen=True)
class SampledValues:
    """As :class:`SampledPicture`, of values of a mask."""

    values: MaskValues
    size: Size

    def read(self, rectangle: Rectangle) -> Tensor:
        return _sample(self.values, self.size, rectangle)


def _sample(whole: Source | MaskValues, size: Size, rectangle: Rectangle) -> Tensor:
    """Read a rectangle of a smaller copy, in bands: it may be a large part of the whole."""
    rows = _centers(whole.size[0], size[0], rectangle.top, rectangle.bottom)
    columns = _centers(whole.size[1], size[1], rectangle.left, rectangle.right)
    left, right = int(columns[0]), int(columns[-1]) + 1
    step = -(-whole.size[0] // size[0])
    parts: list[Tensor] = []
    for part in rows.split(max(1, BAND_PIXELS // (step * (right - left)))):
        top, bottom = int(part[0]), int(part[-1]) + 1
        band = whole.read(Rectangle(top, left, bottom, right))
        parts.append(band[..., part - top, :][..., columns - left])
    return torch.cat(parts, dim=-2)


def _centers(whole: int, length: int, first: int, last: int) -> Tensor:
    """Pixels of the whole at the centers of a copy's pixels: exact in integers."""
    return (2 * torch.arange(first, last) + 1) * whole // (2 * length)
