"""A picture enlarged or shrunk to another size, in parts: for prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .metadata import PictureMetadata, metadata_of
from .resampling import Resampling
from .source import Source, bands, close_picture, from_unit, to_unit


@dataclass(frozen=True)
class Resized:
    """A part of a picture at another size; any window gives the same pixels.

    Attributes:
        picture: the picture.
        part: what is used of it.
        size: height and width of the result.

    Example:
        >>> from urst_core.pictures.source import TensorSource
        >>> photo = TensorSource(torch.rand(3, 40, 60))
        >>> large = Resized(photo, Rectangle(0, 5, 40, 55), (400, 500))
        >>> large.read(Rectangle(390, 0, 400, 20)).shape
        torch.Size([3, 10, 20])
    """

    picture: Source
    part: Rectangle
    size: Size

    @property
    def channels(self) -> int:
        return self.picture.channels

    @property
    def dtype(self) -> torch.dtype:
        return self.picture.dtype

    @property
    def metadata(self) -> PictureMetadata:
        return metadata_of(self.picture)

    @property
    def path(self) -> Path | None:
        """The file that the picture is read from, if any."""
        path = getattr(self.picture, "path", None)
        return path if isinstance(path, Path) else None

    @property
    def temporary_bytes(self) -> int:
        """What unpacking the picture takes in the folder for temporary files."""
        return getattr(self.picture, "temporary_bytes", 0)

    def unpack(self, tell: Callable[[float], None]) -> None:
        """Unpack the picture, if it cannot be read in parts."""
        unpack = getattr(self.picture, "unpack", None)
        if unpack is not None:
            unpack(tell)

    def close(self) -> None:
        """Close the picture, if it can be."""
        close_picture(self.picture)

    @cached_property
    def _resampling(self) -> Resampling:
        height, width = self.size
        scales = Fraction(self.part.height, height), Fraction(self.part.width, width)
        return Resampling.between(self.part.size, scales)

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w), in the picture's dtype."""
        pixels = torch.empty((self.channels, *rectangle.size), dtype=self.dtype)
        for band in bands(rectangle.size):
            target = band.shifted(rectangle.top, rectangle.left)
            needed = self._resampling.needs(target)
            stored = self.picture.read(needed.shifted(self.part.top, self.part.left))
            resized = self._resampling.apply(to_unit(stored), needed, target)
            pixels[(..., *band.slices)] = from_unit(resized, self.dtype)
        return pixels
