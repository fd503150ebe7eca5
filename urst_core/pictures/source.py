"""Pictures as rectangles: a source is read by them, a canvas is written by them.

The engine knows these two protocols and no file format. Pixels stay as they are stored, (C, h, w)
with C = 3 (RGB) or 4 (RGB and alpha), until they are on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ImageError, SettingsError, ShapeError
from ..geometry import Rectangle, Size
from ..networks.network import pad_to_frame, size_of

FULL_SCALE: dict[torch.dtype, int] = {torch.uint8: 255, torch.uint16: 65535}
"""The value that stands for 1.0; floating pixels are 0..1 themselves."""

BAND_PIXELS = 8_000_000
"""How many source pixels a thumbnail is made from at a time."""


class Source(Protocol):
    """A picture that can be read in parts."""

    @property
    def size(self) -> Size: ...

    @property
    def channels(self) -> int:
        """3, or 4 with alpha last."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """uint8, uint16, or a floating type for 0..1."""
        ...

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle inside the picture, (C, h, w); the caller must not change them."""
        ...


class Canvas(Protocol):
    """A picture that can be written in parts, in any order."""

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Set the pixels of a rectangle to (C, h, w), in the canvas's channels and dtype."""
        ...


@dataclass(frozen=True)
class TensorSource:
    """A picture in memory: (C, H, W) with 3 or 4 channels, uint8, uint16 or floating 0..1."""

    pixels: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if len(shape) != 3 or shape[0] not in (3, 4) or 0 in shape:
            raise ShapeError(
                f"picture of shape {shape} cannot be read; pass (3 or 4, height, width), not empty"
            )
        if self.dtype not in FULL_SCALE and not self.dtype.is_floating_point:
            raise ImageError(
                f"picture of {self.dtype} values cannot be read; "
                "pass uint8, uint16, or floating ones of 0 to 1"
            )

    @property
    def size(self) -> Size:
        return size_of(self.pixels)

    @property
    def channels(self) -> int:
        return self.pixels.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        return self.pixels.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        return self.pixels[(..., *rectangle.slices)]


class TensorCanvas:
    """A picture in memory that is written by rectangles."""

    def __init__(self, size: Size, *, channels: int = 3, dtype: torch.dtype = torch.uint8) -> None:
        self.pixels = torch.zeros((channels, *size), dtype=dtype)

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        self.pixels[(..., *rectangle.slices)] = pixels.to(self.pixels.device)


def to_unit(pixels: Tensor) -> Tensor:
    """Stored pixels as float32, 0..1."""
    values = pixels.to(torch.float32)
    return values / FULL_SCALE[pixels.dtype] if pixels.dtype in FULL_SCALE else values


def from_unit(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating pixels clamped to 0..1 and stored as ``dtype``, rounded to nearest."""
    values = values.clamp(0.0, 1.0)
    if dtype not in FULL_SCALE:
        return values.to(dtype)
    # Integers of 16 bits have few kernels: go through 32.
    return (values * FULL_SCALE[dtype]).round().to(torch.int32).to(dtype)


def read_stored(source: Source, window: Rectangle) -> Tensor:
    """The stored pixels of the part of a window that lies in the picture, or of what is nearest.

    Returns:
        (C, h, w), not empty; what is missing on the right and at the bottom is padding.

    Raises:
        ImageError: a floating picture holds NaN or infinite values there.
    """
    inside = _inside(source.size, window)
    stored = source.read(inside)
    if source.dtype not in FULL_SCALE:
        check_finite(stored[:3], inside)
    return stored


def window_of(stored: Tensor, size: Size) -> Tensor:
    """Stored pixels as a network takes them; the last row and column repeat until they fill it.

    Args:
        stored: (C, h, w), with or without alpha, on any device.
        size: height and width of the window that they were read for.

    Returns:
        (1, 3, height, width), float32, 0..1, on the same device.
    """
    return pad_to_frame(to_unit(stored[:3]).unsqueeze(0), size)


def read_window(source: Source, window: Rectangle, device: torch.device) -> Tensor:
    """Read a window of the frame; what lies beyond the image repeats its last row and column.

    Returns:
        (1, 3, h, w), float32, 0..1, on ``device``.

    Raises:
        ImageError: a floating picture holds NaN or infinite values.
    """
    return window_of(read_stored(source, window).to(device), window.size)


def _inside(image: Size, window: Rectangle) -> Rectangle:
    height, width = image
    return Rectangle(
        min(window.top, height - 1),
        min(window.left, width - 1),
        min(window.bottom, height),
        min(window.right, width),
    )


def check_finite(pixels: Tensor, inside: Rectangle) -> None:
    """Refuse NaN and infinite values, which one normalization would spread over the picture.

    Raises:
        ImageError: names the first such pixel, counted from the whole picture's corner.
    """
    finite = pixels.isfinite().all(dim=0)
    if bool(finite.all()):
        return
    row, column = (int(i) for i in (~finite).nonzero()[0])
    raise ImageError(
        f"pixel at row {inside.top + row}, column {inside.left + column} is NaN or infinite; "
        "pictures hold values from 0 to 1"
    )


def thumbnail_size_of(image: Size, longest_side: int) -> Size:
    """The size of a thumbnail with that longest side; an image is never enlarged, 0 keeps it."""
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
        longest_side: in px; 0, or more than the picture has, keeps its size.
        tell: told, after each band of a picture that takes several, which share is done; what it
            raises ends the work.

    Returns:
        (1, 3, h, w), float32, 0..1, on the CPU.

    Raises:
        SettingsError: ``longest_side`` is negative.
        ImageError: a floating picture holds NaN or infinite values.
    """
    if longest_side < 0:
        raise SettingsError(f"size {longest_side} is negative; use 0 to keep the picture's own")
    height, width = source.size
    rows, columns = thumbnail_size_of(source.size, longest_side)
    cpu = torch.device("cpu")
    if (rows, columns) == (height, width):
        return read_window(source, Rectangle.of_size(source.size), cpu)
    scale = height / rows
    rows_at_once = max(1, int(BAND_PIXELS / (width * scale)))
    thumbnail = torch.empty(1, 3, rows, columns)
    for first in range(0, rows, rows_at_once):
        last = min(first + rows_at_once, rows)
        top = max(0, math.floor((first + 0.5) * scale - scale))
        bottom = min(height, math.ceil((last - 0.5) * scale + scale))
        band = read_window(source, Rectangle(top, 0, bottom, width), cpu)
        narrow = F.interpolate(band, size=(bottom - top, columns), mode="bilinear", antialias=True)
        weights = _triangle_weights(first, last, top, bottom, scale)
        thumbnail[:, :, first:last] = torch.einsum("or,ncrw->ncow", weights, narrow)
        if tell is not None and rows_at_once < rows:
            tell(last / rows)
    return thumbnail.clamp_(0.0, 1.0) if source.dtype in FULL_SCALE else thumbnail


def _triangle_weights(first: int, last: int, top: int, bottom: int, scale: float) -> Tensor:
    """How much each source row adds to each thumbnail row; rows sum to 1."""
    centers = (torch.arange(first, last, dtype=torch.float64) + 0.5) * scale
    rows = torch.arange(top, bottom, dtype=torch.float64) + 0.5
    weights = (1 - (rows[None] - centers[:, None]).abs() / scale).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).float()
