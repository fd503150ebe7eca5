"""Thumbnails: the small copies that statistics are measured on."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SettingsError
from ..geometry import Rectangle, Size
from .padding import read_window
from .source import FULL_SCALE, Source

BAND_PIXELS = 8_000_000
"""Source pixels that are read at a time."""


def thumbnail_size_of(image: Size, longest_side: int) -> Size:
    """The size of a thumbnail with that longest side; 0 keeps the size, nothing is enlarged."""
    height, width = image
    scale = longest_side / max(height, width)
    if longest_side == 0 or scale >= 1:
        return image
    return max(1, round(height * scale)), max(1, round(width * scale))


def make_thumbnail(
    source: Source, longest_side: int, *, tell: Callable[[float], None] | None = None
) -> Tensor:
    """Shrink a picture band by band, with a triangle filter over all pixels (antialiased).

    The same pixels come out wherever the picture is stored.

    Args:
        source: the picture.
        longest_side: in px; 0, or more than the picture has, keeps the size.
        tell: called with the finished share, 0 to 1, after each band if there are several.

    Returns:
        (1, 3, h, w), float32, 0..1, on the CPU.

    Raises:
        SettingsError: ``longest_side`` is negative.
        ImageError: a floating picture has NaN or infinite values.
    """
    if longest_side < 0:
        raise SettingsError(f"size {longest_side} is negative", "use 0 to keep the picture's own")
    height, width = source.size
    rows, columns = thumbnail_size_of(source.size, longest_side)
    cpu = torch.device("cpu")
    if (rows, columns) == (height, width):
        return read_window(source, Rectangle.of_size(source.size), cpu).float()
    scale = height / rows
    rows_at_once = max(1, int(BAND_PIXELS / (width * scale)))
    thumbnail = torch.empty(1, 3, rows, columns)
    for first in range(0, rows, rows_at_once):
        last = min(first + rows_at_once, rows)
        top = max(0, math.floor((first + 0.5) * scale - scale))
        bottom = min(height, math.ceil((last - 0.5) * scale + scale))
        band = read_window(source, Rectangle(top, 0, bottom, width), cpu).float()
        narrow = F.interpolate(band, size=(bottom - top, columns), mode="bilinear", antialias=True)
        weights = _triangle_weights(first, last, top, bottom, scale)
        thumbnail[:, :, first:last] = torch.einsum("or,ncrw->ncow", weights, narrow)
        if tell is not None and rows_at_once < rows:
            tell(last / rows)
    return thumbnail.clamp_(0.0, 1.0) if source.dtype in FULL_SCALE else thumbnail


def _triangle_weights(first: int, last: int, top: int, bottom: int, scale: float) -> Tensor:
    """The weight of each source row in each thumbnail row; the weights of a row sum to 1."""
    centers = (torch.arange(first, last, dtype=torch.float64) + 0.5) * scale
    rows = torch.arange(top, bottom, dtype=torch.float64) + 0.5
    weights = (1 - (rows[None] - centers[:, None]).abs() / scale).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()
