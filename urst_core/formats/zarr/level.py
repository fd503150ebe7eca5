"""One array of a Zarr image in the making, which several processes may write at the same time.

┌──────┬──────┬───┐   chunks: ``chunk`` px, which divides ``edge``
│ ┌──┬─┼┬──┐  │   │   cores:  ``edge`` px; so each chunk is in one core only, and
├─┼──┼─┼┼──┼──┼───┤           processes that write different cores never share a chunk
│ └──┴─┼┴──┘  │   │
└──────┴──────┴───┘   at the right and at the bottom both are clipped to the picture
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import OutputError
from ...geometry import Rectangle, Size
from ...pictures.padding import pad_to_frame
from ...pictures.source import FULL_SCALE
from .store import Location, open_node, translate_errors

LARGEST_CHUNK = 512
"""Viewers fetch whole chunks: larger ones make them slow."""

SMALLEST_CHUNK = 128
"""Smaller ones make too many objects; cores with no such divisor are chunks themselves."""


def chunk_of(edge: int) -> int:
    """The largest useful chunk that divides cores of ``edge`` px."""
    divisors = range(min(LARGEST_CHUNK, edge), SMALLEST_CHUNK - 1, -1)
    return next((chunk for chunk in divisors if edge % chunk == 0), edge)


@dataclass(frozen=True)
class ZarrLevel:
    """One array of an image in the making, (C, H, W), opened by whoever writes to it.

    Different processes may write different cores of it at the same time. Writing one again, after
    its process died in the middle say, replaces whole chunks and so repairs it.
    """

    array: Any
    location: Location

    @classmethod
    def open(cls, location: Location, number: int = 0) -> ZarrLevel:
        """Open level ``number`` of a store that a :class:`ZarrCanvas` began.

        Raises:
            ImageError: there is no such store, or it cannot be reached.
        """
        return cls(open_node(location, "r+")[str(number)], location)

    @property
    def size(self) -> Size:
        return self.array.shape[1], self.array.shape[2]

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of whole chunks.

        Raises:
            OutputError: the rectangle covers a chunk in part, or storage is full or out of reach.
        """
        chunk = self.array.chunks[1]
        height, width = self.size
        starts = (rectangle.top, rectangle.left)
        ends = ((rectangle.bottom, height), (rectangle.right, width))
        if any(s % chunk for s in starts) or any(e % chunk and e != last for e, last in ends):
            raise OutputError(
                f"rectangle {rectangle.top}, {rectangle.left}, {rectangle.bottom}, "
                f"{rectangle.right} covers chunks of {chunk} px in part, which another process may "
                "be writing; write cores of a multiple of it"
            )
        self.write_anywhere(rectangle, pixels)

    def write_anywhere(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of a rectangle; chunks that it covers in part are read and rewritten.

        Only for one process and one thread at a time.

        Raises:
            OutputError: storage is full or out of reach.
        """
        with translate_errors(
            f"writing {self.location} failed", "free space, or check the storage", OutputError
        ):
            self.array[(slice(None), *rectangle.slices)] = pixels.numpy()

    def shrink_into(self, coarser: ZarrLevel, rectangle: Rectangle) -> None:
        """Fill a rectangle of the level above with the means of 2 x 2 pixels of this one."""
        finer = Rectangle(
            2 * rectangle.top, 2 * rectangle.left, 2 * rectangle.bottom, 2 * rectangle.right
        ).clipped(self.size)
        with translate_errors(
            f"reading {self.location} back failed", "check the storage", OutputError
        ):
            values = torch.from_numpy(np.asarray(self.array[(slice(None), *finer.slices)]))
        coarser.write(rectangle, halved(values))


def halved(pixels: Tensor) -> Tensor:
    """Means of 2 x 2 pixels of (C, h, w); a last odd row or column counts twice.

    Integers are rounded to nearest, halves up.
    """
    height, width = pixels.shape[1:]
    even = (height + height % 2, width + width % 2)
    wide = pixels.to(torch.int32 if pixels.dtype in FULL_SCALE else torch.float64)
    wide = pad_to_frame(wide.unsqueeze(0), even)[0]
    rows = wide[:, 0::2] + wide[:, 1::2]
    total = rows[:, :, 0::2] + rows[:, :, 1::2]
    mean = (total + 2) // 4 if pixels.dtype in FULL_SCALE else total / 4
    return mean.to(pixels.dtype)
