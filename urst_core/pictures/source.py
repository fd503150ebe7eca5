"""Sources, which are read in rectangles, and canvases, which are written in rectangles.

The method depends on these two protocols and on no file format. Pixels stay as they are stored,
(C, h, w) with C = 3 (RGB) or 4 (RGB and alpha), until they are on the device.
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
"""The value that means 1.0, by dtype; floating pixels are 0..1 already."""


class Raster(Protocol):
    """What a picture is like, without its pixels."""

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


class Source(Raster, Protocol):
    """A picture that can be read in parts.

    Example:
        A source of a single color, of any size:

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

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle inside the picture, (C, h, w); the caller must not change them."""
        ...


def close_picture(picture: object) -> None:
    """Close a picture that holds a file; nothing else has to be closed.

    Example:
        >>> close_picture(TensorSource(torch.zeros(3, 4, 4)))
    """
    close = getattr(picture, "close", None)
    if close is not None:
        close()


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
                f"picture of shape {shape} cannot be read",
                "pass (3 or 4, height, width), not empty",
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


def blank_picture(
    size: Size, *, channels: int = 3, dtype: torch.dtype = torch.float32
) -> TensorSource:
    """A black picture that takes no memory: where only the size counts.

    Example:
        >>> blank_picture((40_000, 60_000)).read(Rectangle(0, 0, 1, 2)).flatten().tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    return TensorSource(torch.zeros((), dtype=dtype).expand(channels, *size))


class TensorCanvas:
    """A picture in memory that is written in rectangles.

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
        """Write a rectangle.

        Raises:
            ImageError: the canvas has integers of another type, which would wrap around.
        """
        if pixels.dtype != self.dtype and self.dtype in FULL_SCALE:
            raise ImageError(
                f"pixels of {pixels.dtype} do not fit a canvas of {self.dtype}; make the canvas "
                "with the dtype of the picture"
            )
        self.pixels[(..., *rectangle.slices)] = pixels.to(self.pixels.device)


def to_unit(pixels: Tensor) -> Tensor:
    """Stored pixels as float32, 0..1; those of float64 stay that."""
    values = pixels if pixels.dtype == torch.float64 else pixels.to(torch.float32)
    # Converted pixels are nobody else's: in place, they need no second allocation.
    return values.div_(FULL_SCALE[pixels.dtype]) if pixels.dtype in FULL_SCALE else values


CONVERTED_PIXELS = 1 << 16
"""Pixels that a processor converts at a time, few enough to stay in its caches."""


def from_unit(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating pixels clamped to 0..1 and stored as ``dtype``, rounded to nearest."""
    if dtype not in FULL_SCALE:
        return values.clamp(0.0, 1.0).to(dtype)
    if values.device.type != "cpu" or values.numel() <= CONVERTED_PIXELS:
        return _rounded(values, dtype)
    stored = torch.empty(values.shape, dtype=dtype)
    rows = max(1, CONVERTED_PIXELS // values.shape[-1])
    for part, target in zip(values.split(rows, -2), stored.split(rows, -2)):
        target.copy_(_rounded(part, dtype))
    return stored


def _rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    # torch has few kernels for 16-bit integers: convert by way of 32.
    return values.clamp(0.0, 1.0).mul_(FULL_SCALE[dtype]).round_().to(torch.int32).to(dtype)


def check_finite(pixels: Tensor, inside: Rectangle) -> None:
    """Refuse NaN and infinite values, which a normalization would spread over the whole picture.

    Args:
        pixels: (C, h, w), floating.
        inside: the rectangle of the picture that they were read from.

    Raises:
        ImageError: names the first such pixel, counted from the corner of the whole picture.
    """
    finite = pixels.isfinite().all(dim=0)
    if bool(finite.all()):
        return
    row, column = (int(i) for i in (~finite).nonzero()[0])
    raise ImageError(
        f"pixel at row {inside.top + row}, column {inside.left + column} is NaN or infinite; "
        "pictures have values from 0 to 1"
    )


BAND_PIXELS = 2_000_000
"""Pixels in one band: with everything that is computed from them, some 50 MB."""


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
        stage: name of the stage that the listener is told.
        listener: called before the first band, and after the caller is done with each.

    Yields:
        The rectangle of a band, and its pixels as they are stored, (C, h, w).
    """
    rectangles = list(bands(source.size))
    total = source.size[0] * source.size[1]
    done = 0
    listener(Progress(stage, 0, len(rectangles), 0, total))
    for index, rectangle in enumerate(rectangles, start=1):
        yield rectangle, source.read(rectangle)
        done += rectangle.area
        listener(Progress(stage, index, len(rectangles), done, total, rectangle))
