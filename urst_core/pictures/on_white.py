"""Pictures without their alpha: styles have none."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .source import Source, close_picture, from_unit, to_unit


@dataclass(frozen=True)
class OnWhite:
    """A picture with alpha, composited over white: RGB, in the picture's own dtype.

    Example:
        >>> from urst_core.pictures.source import TensorSource
        >>> clear = TensorSource(torch.zeros(4, 2, 2, dtype=torch.uint8))
        >>> OnWhite(clear).read(Rectangle(0, 0, 1, 1)).flatten().tolist()
        [255, 255, 255]
    """

    picture: Source

    @property
    def size(self) -> Size:
        return self.picture.size

    @property
    def channels(self) -> int:
        return 3

    @property
    def dtype(self) -> torch.dtype:
        return self.picture.dtype

    @property
    def temporary_bytes(self) -> int:
        """What unpacking the picture takes in the folder for temporary files."""
        return getattr(self.picture, "temporary_bytes", 0)

    def close(self) -> None:
        """Close the picture, if it can be."""
        close_picture(self.picture)

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (3, h, w)."""
        colors, alpha = to_unit(self.picture.read(rectangle)).split((3, 1))
        return from_unit(colors * alpha + (1 - alpha), self.dtype)


def on_white(picture: Source) -> Source:
    """The picture itself where it has no alpha, else composited over white."""
    return OnWhite(picture) if picture.channels == 4 else picture
