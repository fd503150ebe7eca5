"""Masks: where a picture is stylized, and how style fades in inside a mask's edge.

A mask has one value for each pixel: 0 keeps the content, 1 takes the stylized picture, and values
in between mix the two. A feather fades the style in *inside* the mask, so that everything outside
stays untouched:

      mask       0 0 0 0 1 1 1 1 1 1 1
      feather 4  0 0 0 0 ¼ ½ ¾ 1 1 1 1      a share of the distance to the nearest pixel outside

The distance is Euclidean. A pixel with a value between 0 and 1 counts as if it were already that
share of the feather inside: with mask values m, feather f and distances d between pixels,

      coverage(p) = min over all pixels q of sqrt(m(q)² + (d(p, q) / f)²), and at most 1

so that a mask without zeros nearby stays as it is. The border of the picture is not an edge: a mask
that reaches it does not fade there. Pixels ``f`` px away and more change nothing, and a minimum
does not depend on the order of its values: tiles get exactly the same coverage as the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..choices import LARGEST_FEATHER
from ..errors import ImageError, SettingsError, ShapeError
from ..geometry import Rectangle, Size
from .padding import size_of
from .source import FULL_SCALE, Source, bands, from_unit, to_unit


class MaskValues(Protocol):
    """A mask that can be read in parts."""

    @property
    def size(self) -> Size: ...

    def read(self, rectangle: Rectangle) -> Tensor:
        """Values of a rectangle inside the mask, (h, w), float32, 0..1, on the CPU."""
        ...


@dataclass(frozen=True)
class TensorMask:
    """A mask in memory: (H, W), floating; values are clamped to 0..1."""

    values: Tensor

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ShapeError(
                f"mask of shape {tuple(self.values.shape)} cannot be read; pass (height, width), "
                "not empty"
            )
        if not self.values.is_floating_point():
            raise ImageError(
                f"mask of {self.values.dtype} values cannot be read; pass floating ones of 0 to 1"
            )

    @property
    def size(self) -> Size:
        return size_of(self.values)

    def read(self, rectangle: Rectangle) -> Tensor:
        """Values of a rectangle, (h, w), float32, 0..1, on the CPU.

        Raises:
            ImageError: one of them is NaN.
        """
        values = self.values[rectangle.slices].to("cpu", torch.float32)
        if bool(values.isnan().any()):
            row, column = (int(i) for i in values.isnan().nonzero()[0])
            raise ImageError(
                f"mask value at row {rectangle.top + row}, column {rectangle.left + column} is "
                "NaN; masks have values from 0 to 1"
            )
        return values.clamp(0.0, 1.0)


@dataclass(frozen=True)
class PictureMask:
    """A picture as a mask: black keeps the content, white is stylized, gray mixes the two.

    The value of a color is the mean of its three channels. Alpha is composited over black: where
    the mask is transparent, the content stays.
    """

    picture: Source

    @property
    def size(self) -> Size:
        return self.picture.size

    def read(self, rectangle: Rectangle) -> Tensor:
        pixels = to_unit(self.picture.read(rectangle).cpu())
        values = pixels[:3].mean(dim=0).clamp(0.0, 1.0)
        return values * pixels[3].clamp(0.0, 1.0) if len(pixels) == 4 else values


@dataclass(frozen=True)
class Mask:
    """A mask and its feather.

    Attributes:
        values: one for each pixel of the content.
        feather: distance from the mask's edge, in px, at which the style has its full strength;
            with 0 and 1 nothing fades.

    Example:
        >>> values = torch.zeros(48, 64)
        >>> values[:, :32] = 1.0
        >>> mask = Mask(TensorMask(values), feather=16)
        >>> mask.coverage(Rectangle(0, 0, 1, 64))[0, 24]
        tensor(0.5000)
    """

    values: MaskValues
    feather: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.feather <= LARGEST_FEATHER:
            raise SettingsError(
                f"mask feather {self.feather} is out of range; use 0 to {LARGEST_FEATHER} px"
            )

    def check_size(self, picture: Size) -> None:
        """Refuse a picture that differs from the mask in size.

        Raises:
            ShapeError: it does.
        """
        check_same_size("mask", self.values.size, picture)

    def coverage(self, rectangle: Rectangle) -> Tensor:
        """How much style each pixel of a rectangle takes, (h, w), float32, 0..1, on the CPU."""
        if self.feather < 2:
            return self.values.read(rectangle)
        window = rectangle.grown(self.feather - 1).clipped(self.values.size)
        values = self.values.read(window)
        inner = rectangle.relative_to(window)
        if bool((values == values[0, 0]).all()):
            return values[inner.slices]
        # In whole px², which float32 holds exactly: 0 stays 0, and 1 stays 1.
        squares = values.square() * self.feather**2
        squares = _lowered(squares, axis=0)[inner.top : inner.bottom]
        squares = _lowered(squares, axis=1)[:, inner.left : inner.right]
        return squares.sqrt_().div_(self.feather)


def check_same_size(name: str, size: Size, picture: Size) -> None:
    """Refuse a mask or a map that differs from its picture in size.

    Args:
        name: what the mask is called; its last word stands in the remedy.
        size: its height and width.
        picture: height and width of the picture.

    Raises:
        ShapeError: they differ.
    """
    if size == picture:
        return
    (height, width), (rows, columns) = picture, size
    raise ShapeError(
        f"{name} of {rows} x {columns} px (height x width) does not fit a picture of "
        f"{height} x {width} px; resize the {name.rsplit(maxsplit=1)[-1]} to {height} x {width} px"
    )


def blend(stored: Tensor, stylized: Tensor, coverage: Tensor) -> Tensor:
    """Content and stylized picture, mixed by a mask.

    Args:
        stored: content pixels as they are stored, (C, h, w).
        stylized: (C, h, w), float32, 0..1, on the same device.
        coverage: (h, w), float32, 0..1, on that device.

    Returns:
        Pixels of the dtype of ``stored``, and with the same bits where the coverage is 0; where it
        is 1, the pixels of ``stylized``.
    """
    content = to_unit(stored)
    mixed = content.lerp(stylized.to(content), coverage.to(content))
    if stored.dtype in FULL_SCALE:
        return from_unit(mixed, stored.dtype)
    # Content may exceed 0..1; outside the mask it stays as it is.
    return torch.where(coverage == 0, stored, mixed.to(stored.dtype))


def blend_in_place(picture: Tensor, content: Source, mask: Mask) -> None:
    """Put the content back into a finished picture outside the mask, band by band.

    Args:
        picture: (C, H, W), floating, on the CPU; it is changed.
        content: a picture of the same size and channels.
        mask: a mask of the same size.
    """
    for band in bands(content.size):
        inside = (..., *band.slices)
        stored = content.read(band).to(picture)
        picture[inside] = blend(stored, picture[inside], mask.coverage(band))


def _lowered(squares: Tensor, *, axis: int) -> Tensor:
    """For each pixel of a line, the minimum over all pixels of value plus squared distance."""
    lowered = squares.clone()
    length = squares.shape[axis]
    span = float(squares.max() - squares.min())
    distance = 1
    while distance < length and distance**2 < span:
        for here, there in ((distance, 0), (0, distance)):
            target = lowered.narrow(axis, here, length - distance)
            others = squares.narrow(axis, there, length - distance)
            torch.minimum(target, others + distance**2, out=target)
        distance += 1
    return lowered
