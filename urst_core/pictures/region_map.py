"""Region maps: how much of which style each pixel of a picture takes.

A map gives every pixel a share of each style, 0 to 1; what is missing to a sum of 1 is content::

      colors    a picture; each color is a region        borders cross-fade over the feather
      masks     one for each style, the last on top      each has its own feather
      gray      black is the first of a row of styles, white the last, grays are mixtures

Every kind gives the same shares for a tile as for the whole picture, bit for bit: colors are
counted in whole pixels, and the others look at single pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..choices import MOST_REGIONS
from ..errors import ImageError, SettingsError
from ..geometry import Rectangle, Size, cut
from .mask import Mask, MaskValues
from .sampled import SampledPicture, SampledValues
from .source import Source, bands, from_unit, to_unit

Color = tuple[int, int, int]
"""Red, green and blue, 0..255."""

BLACK: Color = (0, 0, 0)

LARGEST_REGION_FEATHER = 1024
"""In px: each tile reads that much more of the map."""

PART = 256
"""Edge, in px, of the parts in which maps are read: in most, all pixels are of one region."""


class RegionMap(Protocol):
    """The shares of several styles in each pixel."""

    @property
    def size(self) -> Size: ...

    @property
    def count(self) -> int:
        """Number of styles."""
        ...

    def read(self, rectangle: Rectangle) -> Tensor:
        """Shares in a rectangle inside the map, (count, h, w), float32, 0..1, on the CPU."""
        ...

    def shrunk(self, size: Size) -> RegionMap:
        """The map of a smaller copy of the picture."""
        ...


@dataclass(frozen=True)
class ColorMap:
    """The number of the region of each pixel, from its color.

    Pixels that are transparent, and black ones if black is not listed, belong to none.

    Attributes:
        picture: the map; deeper colors are rounded to 8 bits.
        colors: of the regions.

    Raises:
        SettingsError: there are no colors, too many, or one twice.
    """

    picture: Source
    colors: Sequence[Color]

    def __post_init__(self) -> None:
        count = len(self.colors)
        if not 1 <= count <= MOST_REGIONS:
            raise SettingsError(f"{count} regions cannot be painted; use 1 to {MOST_REGIONS}")
        twice = [color for color in self.colors if list(self.colors).count(color) > 1]
        if twice:
            raise SettingsError(f"region {color_name(twice[0])} is listed twice; list it once")

    @property
    def size(self) -> Size:
        return self.picture.size

    def read(self, rectangle: Rectangle) -> Tensor:
        """Numbers of regions, (h, w), uint8, on the CPU; ``len(colors)`` for none.

        Raises:
            ImageError: a color has no region.
        """
        pixels = self.picture.read(rectangle).cpu()
        if pixels.dtype != torch.uint8:
            pixels = from_unit(to_unit(pixels), torch.uint8)
        numbers = torch.empty(rectangle.size, dtype=torch.uint8)
        for part in cut(Rectangle.of_size(rectangle.size), PART):
            colors = pixels[(..., *part.slices)]
            is_one_color = bool((colors == colors[:, :1, :1]).all())
            place = part.shifted(rectangle.top, rectangle.left)
            numbers[part.slices] = self._numbers(
                colors[:, :1, :1] if is_one_color else colors, place
            )
        return numbers

    def _numbers(self, pixels: Tensor, place: Rectangle) -> Tensor:
        """The regions of 8-bit pixels, (h, w), whose top left corner is at a place in the map."""
        red, green, blue, *alpha = pixels.int()
        codes = (red * 256 + green) * 256 + blue
        none, unknown = len(self.colors), len(self.colors) + 1
        region = torch.full(codes.shape, unknown, dtype=torch.uint8)
        known = self.colors if BLACK in self.colors else (*self.colors, BLACK)
        for number, color in enumerate(known):
            region.masked_fill_(codes == _code_of(color), number)
        if alpha:
            region.masked_fill_(alpha[0] == 0, none)
        if int(region.max()) == unknown:
            raise self._unknown(codes, region == unknown, place)
        return region

    def shrunk(self, size: Size) -> ColorMap:
        """The map of a smaller copy of the picture."""
        return replace(self, picture=SampledPicture(self.picture, size))

    def check_used(self) -> None:
        """Read the whole map, to refuse unknown colors and regions without pixels.

        Raises:
            ImageError: a color has no region.
            SettingsError: a region has no pixel.
        """
        counts = torch.zeros(len(self.colors) + 1, dtype=torch.int64)
        for band in bands(self.size):
            counts += self.read(band).flatten().bincount(minlength=len(counts))
        for color, pixels in zip(self.colors, counts.tolist()):
            if not pixels:
                raise SettingsError(
                    f"no pixel of the region map is {color_name(color)}",
                    "check the color",
                    "leave that region out",
                )

    def _unknown(self, codes: Tensor, is_unknown: Tensor, inside: Rectangle) -> ImageError:
        row, column = (int(place) for place in is_unknown.nonzero()[0])
        code = int(codes[row, column])
        name = color_name((code >> 16, code >> 8 & 255, code & 255))
        return ImageError(
            f"pixel at row {inside.top + row}, column {inside.left + column} of the region map is "
            f"{name}, which is not the color of a region",
            "give it a style",
            "paint it black, to keep the content",
            "draw the map without smooth edges, and save it as PNG",
        )


@dataclass(frozen=True)
class ColorRegions:
    """A :class:`RegionMap` from a picture in which each color is a region.

    Attributes:
        numbers: the region of each pixel.
        feather: width, in px, over which neighboring regions cross-fade.

    Raises:
        SettingsError: the feather is out of range.

    Example:
        >>> from urst_core.pictures.source import TensorSource
        >>> picture = torch.zeros(3, 4, 8, dtype=torch.uint8)
        >>> picture[0, :, :4] = 255
        >>> picture[2, :, 4:] = 255
        >>> regions = ColorRegions.of(TensorSource(picture), [(255, 0, 0), (0, 0, 255)], feather=4)
        >>> regions.read(Rectangle(0, 0, 1, 8))[0, 0].mul(5).round().int().tolist()
        [5, 5, 4, 3, 2, 1, 0, 0]
    """

    numbers: ColorMap
    feather: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.feather <= LARGEST_REGION_FEATHER:
            raise SettingsError(
                f"region feather {self.feather} is out of range; "
                f"use 0 to {LARGEST_REGION_FEATHER} px"
            )

    @classmethod
    def of(cls, picture: Source, colors: Sequence[Color], feather: int = 0) -> ColorRegions:
        return cls(ColorMap(picture, tuple(colors)), feather)

    @property
    def size(self) -> Size:
        return self.numbers.size

    @property
    def count(self) -> int:
        return len(self.numbers.colors)

    def read(self, rectangle: Rectangle) -> Tensor:
        radius = self.feather // 2
        window = rectangle.grown(radius).clipped(self.size)
        numbers = self.numbers.read(window)
        shares = torch.zeros(self.count, *rectangle.size)
        for part in cut(rectangle, PART):
            around = part.grown(radius).clipped(self.size)
            here = shares[(..., *part.relative_to(rectangle).slices)]
            self._count_around(numbers[around.relative_to(window).slices], around, part, here)
        return shares

    def _count_around(
        self, numbers: Tensor, window: Rectangle, part: Rectangle, shares: Tensor
    ) -> None:
        """Write the shares of a part, (count, h, w), from the regions in the window around it."""
        radius, first = self.feather // 2, int(numbers[0, 0])
        if bool((numbers == first).all()):
            shares[first : first + 1] = 1.0  # none, if it is no region
            return
        areas = self._areas(part, radius)
        for number in range(self.count):
            is_inside = numbers == number
            if bool(is_inside.any()):
                down = _box_sum(is_inside, 0, part.top - window.top, part.height, radius)
                sums = _box_sum(down, 1, part.left - window.left, part.width, radius)
                shares[number] = sums / areas

    def shrunk(self, size: Size) -> ColorRegions:
        feather = round(self.feather * size[0] / self.size[0])
        return replace(self, numbers=self.numbers.shrunk(size), feather=feather)

    def _areas(self, rectangle: Rectangle, radius: int) -> Tensor:
        """Number of pixels that are counted for each pixel of a rectangle, (h, w)."""
        height, width = self.size
        rows = torch.arange(rectangle.top, rectangle.bottom)
        columns = torch.arange(rectangle.left, rectangle.right)
        down = (rows + radius + 1).clamp(max=height) - (rows - radius).clamp(min=0)
        across = (columns + radius + 1).clamp(max=width) - (columns - radius).clamp(min=0)
        return (down[:, None] * across).int()


def _box_sum(values: Tensor, dim: int, first: int, length: int, radius: int) -> Tensor:
    """Sums over ``radius`` px around each of ``length`` px, as far as there are any."""
    sums = F.pad(values.cumsum(dim, dtype=torch.int32), (0, 0, 1, 0) if dim == 0 else (1, 0))
    places = torch.arange(first, first + length)
    after = (places + radius + 1).clamp(max=values.shape[dim])
    return sums.index_select(dim, after) - sums.index_select(dim, (places - radius).clamp(min=0))


@dataclass(frozen=True)
class MaskRegions:
    """A :class:`RegionMap` from one mask for each style.

    Where masks overlap, the last is on top.

    Attributes:
        masks: of one size.

    Raises:
        SettingsError: their sizes differ, or there are none.
    """

    masks: Sequence[Mask]

    def __post_init__(self) -> None:
        sizes = list(dict.fromkeys(mask.values.size for mask in self.masks))
        if len(sizes) != 1:
            told = ", ".join(f"{height} x {width}" for height, width in sizes) or "none"
            raise SettingsError(
                f"masks of several sizes cannot be one map: {told} px (height x width)"
            )

    @property
    def size(self) -> Size:
        return self.masks[0].values.size

    @property
    def count(self) -> int:
        return len(self.masks)

    def read(self, rectangle: Rectangle) -> Tensor:
        shares = torch.stack([mask.coverage(rectangle) for mask in self.masks])
        left = torch.ones(rectangle.size)
        for number in reversed(range(self.count)):
            shares[number] *= left
            left = left - shares[number]
        return shares

    def shrunk(self, size: Size) -> MaskRegions:
        scale = size[0] / self.size[0]
        return MaskRegions(
            [Mask(SampledValues(m.values, size), round(m.feather * scale)) for m in self.masks]
        )


@dataclass(frozen=True)
class GrayRegions:
    """A :class:`RegionMap` from gray values: each takes the two nearest of a row of styles.

    Attributes:
        values: 0 is the first style, 1 the last.
        count: number of styles, at least 2.
    """

    values: MaskValues
    count: int

    @property
    def size(self) -> Size:
        return self.values.size

    def read(self, rectangle: Rectangle) -> Tensor:
        position = self.values.read(rectangle) * (self.count - 1)
        styles = torch.arange(self.count)[:, None, None]
        return (1.0 - (position - styles).abs()).clamp(min=0.0)

    def shrunk(self, size: Size) -> GrayRegions:
        return replace(self, values=SampledValues(self.values, size))


def _code_of(color: Color) -> int:
    """A color as one number."""
    red, green, blue = color
    return (red * 256 + green) * 256 + blue


def color_name(color: Color) -> str:
    """A color as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)
