"""Pictures as rectangles: a source is read by them, a canvas is written by them.

The engine knows these two protocols and no file format. Pixels stay as they are stored, (C, h, w)
with C = 3 (RGB) or 4 (RGB and alpha), until they are on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import ImageError, ShapeError
from ..geometry import Rectangle, Size
from ..progress import Listener, Progress, ignore

FULL_SCALE: dict[torch.dtype, int] = {torch.uint8: 255, torch.uint16: 65535}
"""The value that stands for 1.0; floating pixels are 0..1 themselves."""


class Source(Protocol):
    """A picture that can be read in parts.

    Example:
        A source of one color, as large as one likes:

        >>> @dataclass(frozen=True)
        ... class Plain:
        ...     size: Size
        ...     channels: int = 3
        ...     dtype: torch.dtype = torch.uint8
        ...
        ...     def read(self, rectangle: Rectangle) -> Tensor:
        ...         return torch.full((self.channels, *rectangle.size), 128, dtype=self.dtype)
        >>> plain: Source = Plain((100_000, 100_000))
        >>> plain.read(Rectangle(5, 5, 7, 8)).shape
        torch.Size([3, 2, 3])
    """

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
    """A picture that can be written in parts, in any order.

    Example:
        A canvas that only counts:

        >>> class Counter:
        ...     written = 0
        ...
        ...     def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        ...         self.written += rectangle.area
        >>> import urst_core as urst
        >>> source, canvas = urst.open_picture("photo.jpg"), Counter()
        >>> urst.load_backbone().write(source, "painting.jpg", canvas)
        >>> canvas.written == source.size[0] * source.size[1]
        True
    """

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Set the pixels of a rectangle to (C, h, w), in the canvas's channels and dtype."""
        ...


@dataclass(frozen=True)
class TensorSource:
    """A picture in memory: (C, H, W) with 3 or 4 channels, uint8, uint16 or floating 0..1.

    Raises:
        ShapeError, ImageError: the tensor has another shape or type.

    Example:
        >>> source = TensorSource(torch.rand(3, 48, 64))
        >>> source.size, source.read(Rectangle(0, 0, 8, 16)).shape
        ((48, 64), torch.Size([3, 8, 16]))
    """

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
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def channels(self) -> int:
        return self.pixels.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        return self.pixels.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        return self.pixels[(..., *rectangle.slices)]


class TensorCanvas:
    """A picture in memory that is written by rectangles.

    Attributes:
        pixels: (C, H, W), on the CPU; black where nothing is written yet.

    Example:
        >>> canvas = TensorCanvas((48, 64), dtype=torch.float32)
        >>> canvas.write(Rectangle(0, 0, 1, 64), torch.ones(3, 1, 64))
        >>> float(canvas.pixels.sum())
        192.0
    """

    def __init__(self, size: Size, *, channels: int = 3, dtype: torch.dtype = torch.uint8) -> None:
        self.pixels = torch.zeros((channels, *size), dtype=dtype)

    @property
    def size(self) -> Size:
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def channels(self) -> int:
        return self.pixels.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        return self.pixels.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        """What was written; the canvas is a :class:`Source`, too."""
        return self.pixels[(..., *rectangle.slices)]

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        self.pixels[(..., *rectangle.slices)] = pixels.to(self.pixels.device)


def to_unit(pixels: Tensor) -> Tensor:
    """Stored pixels as float32, 0..1; those of float64 stay that."""
    values = pixels if pixels.dtype == torch.float64 else pixels.to(torch.float32)
    return values / FULL_SCALE[pixels.dtype] if pixels.dtype in FULL_SCALE else values


def from_unit(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating pixels clamped to 0..1 and stored as ``dtype``, rounded to nearest."""
    values = values.clamp(0.0, 1.0)
    if dtype not in FULL_SCALE:
        return values.to(dtype)
    # Integers of 16 bits have few kernels: go through 32.
    return (values * FULL_SCALE[dtype]).round().to(torch.int32).to(dtype)


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


BAND_PIXELS = 2_000_000
"""How many pixels are on their way at a time: some 50 MB with everything made of them."""


def bands(size: Size) -> Iterator[Rectangle]:
    """Whole rows, from the top, of about ``BAND_PIXELS`` a band."""
    height, width = size
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield Rectangle(top, 0, min(top + rows, height), width)


def read_bands(
    source: Source, stage: str, listener: Listener = ignore
) -> Iterator[tuple[Rectangle, Tensor]]:
    """Read a whole picture, band by band.

    Args:
        source: the picture.
        stage: what the bands are for, for the listener.
        listener: told before the first band, and after the caller is done with each; what it
            raises ends the reading.

    Yields:
        The band's place and its pixels as they are stored, (C, h, w).
    """
    rectangles = list(bands(source.size))
    total = source.size[0] * source.size[1]
    done = 0
    listener(Progress(stage, 0, len(rectangles), 0, total))
    for index, rectangle in enumerate(rectangles, start=1):
        yield rectangle, source.read(rectangle)
        done += rectangle.area
        listener(Progress(stage, index, len(rectangles), done, total, rectangle))
