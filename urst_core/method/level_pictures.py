"""Contents and paintings of the levels of larger strokes, and their progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from ..networks.network import Traits
from ..pictures.resampling import Resampling
from ..pictures.source import Canvas, Source, TensorCanvas, bands, from_unit, to_unit
from ..pictures.thumbnail import make_thumbnail
from ..progress import CONTENTS_STAGE, TILES_STAGE, Listener, Progress, ignore
from ..tiling.blocks import each_block
from ..tiling.exact_statistics import stage_of_site
from .level_step import Step

LEVEL_DTYPE = torch.uint16
"""Type of the pictures between levels."""

COARSEST_DTYPE = torch.float32
"""Type of the pictures of the coarsest level, which equals the stylized thumbnail bit for bit."""


class Picture(Source, Canvas, Protocol):
    """A picture that can be written and read again: that of a level, for the next one."""


@dataclass(frozen=True)
class LevelPicture:
    """Size, channels and dtype of a picture between levels."""

    size: Size
    channels: int = 3
    dtype: torch.dtype = LEVEL_DTYPE

    @property
    def bytes(self) -> int:
        """Size of its pixels, in bytes."""
        return Rectangle.of_size(self.size).area * self.channels * self.dtype.itemsize


def level_pictures(sizes: Sequence[Size]) -> list[LevelPicture]:
    """Size, channels and dtype of the levels below the last one.

    Args:
        sizes: sizes of all levels, coarsest first.
    """
    dtypes = [COARSEST_DTYPE, *[LEVEL_DTYPE] * len(sizes)]
    return [LevelPicture(size, dtype=dtype) for size, dtype in zip(sizes[:-1], dtypes)]


def level_canvas(like: LevelPicture) -> TensorCanvas:
    """Allocate a picture between levels in memory."""
    return TensorCanvas(like.size, dtype=like.dtype)


def level_contents(
    content: Source,
    sizes: Sequence[Size],
    new_picture: Callable[[LevelPicture], Picture],
    listener: Listener = ignore,
) -> list[Source]:
    """Make the contents of all levels, the coarsest first: the thumbnail, then larger ones.

    Args:
        content: the picture, which is the content of the last level.
        sizes: from :func:`level_sizes`.
        new_picture: allocates a picture.
        listener: called with the progress; if it raises, the work ends.
    """
    contents = [content]
    for number, like in reversed([*enumerate(level_pictures(sizes))]):
        smaller = new_picture(like)
        make = shrink_content if number else make_coarsest
        make(contents[0] if number else content, smaller, listener)
        contents.insert(0, smaller)
    return contents


def make_coarsest(content: Source, thumbnail: Picture, listener: Listener = ignore) -> None:
    """Make the content of level 0, the same thumbnail that statistics are measured on."""
    area = Rectangle.of_size(content.size).area

    def tell(share: float) -> None:
        listener(Progress(CONTENTS_STAGE, 0, 0, round(share * area), area))

    pixels = make_thumbnail(content, max(thumbnail.size), tell=tell)[0]
    thumbnail.write(Rectangle.of_size(thumbnail.size), from_unit(pixels, thumbnail.dtype))


def shrink_content(content: Source, smaller: Picture, listener: Listener = ignore) -> None:
    """Make the content of the next lower level, band by band."""
    shrinking = Step(smaller.size, content.size, smaller.size).shrinking
    total = Rectangle.of_size(content.size).area
    listener(Progress(CONTENTS_STAGE, 0, 0, 0, total))
    for band in bands(smaller.size):
        needed = shrinking.needs(band)
        pixels = content.read(needed)[:3]
        smaller.write(band, _shrunk(pixels, needed, shrinking, band, smaller.dtype))
        listener(Progress(CONTENTS_STAGE, 0, 0, total * band.bottom // smaller.size[0], total))


def _shrunk(
    pixels: Tensor, at: Rectangle, shrinking: Resampling, band: Rectangle, dtype: torch.dtype
) -> Tensor:
    """Stored pixels, with the rectangle ``at`` → a band of the smaller picture."""
    shrunk = torch.empty((3, *band.size), dtype=dtype)

    def shrink(block: Rectangle) -> None:
        area = shrinking.needs(block)
        values = shrinking.apply(to_unit(pixels[(..., *area.relative_to(at).slices)]), area, block)
        shrunk[(..., *block.relative_to(band).slices)] = from_unit(values, dtype)

    each_block(band, pixels.device, shrink)
    return shrunk


class LevelPixels:
    """Counts the pixels of all levels, and of all passes over them, as one stage.

    Args:
        sizes: sizes of the levels, coarsest first.
        traits: traits of the backbone, which determine the padding.
        listener: called with the progress of all levels.
        sites: names of the sites of exact statistics, each of which takes a pass.
    """

    def __init__(
        self, sizes: Sequence[Size], traits: Traits, listener: Listener, sites: Sequence[str] = ()
    ) -> None:
        self._sizes, self._listener = sizes, listener
        self._areas = [Rectangle.of_size(traits.frame_of(size)).area for size in sizes]
        self._stages = [*map(stage_of_site, sites), TILES_STAGE]
        self._total = sum(self._areas) * len(self._stages)
        self._last = Progress(TILES_STAGE, 0, 0, 0, self._total)
        self._tiles_before = [0] * (len(sizes) * len(self._stages) + 1)

    @property
    def total(self) -> int:
        """Pixels of all levels' frames."""
        return sum(self._areas)

    def listener(self, number: int) -> Listener:
        """Return a listener for one level."""

        def tell(progress: Progress) -> None:
            self._listener(self._counted(number, progress))

        return tell

    def _counted(self, number: int, progress: Progress) -> Progress:
        if progress.stage not in self._stages:
            # Too short to be counted, or to start another bar.
            return self._last
        areas, count = self._areas, len(self._stages)
        pass_ = self._stages.index(progress.stage)
        index = number * count + pass_
        before = self._tiles_before
        before[index + 1] = before[index] + progress.tiles_total
        left = (count - 1 - pass_) * areas[number] + count * sum(areas[number + 1 :])
        done = sum(areas[:number]) * count + pass_ * areas[number]
        counted = replace(
            progress,
            stage=TILES_STAGE,
            tiles_done=before[index] + progress.tiles_done,
            # The approximate pixels of the other passes, by their areas.
            tiles_total=before[index + 1] + -(-progress.tiles_total * left // areas[number]),
            pixels_done=done + progress.pixels_done,
            pixels_total=self._total,
            frame=self._sizes[number] if number + 1 < len(self._sizes) else None,
        )
        # Without the pixels, which would be kept until the next tile is done.
        self._last = replace(counted, core=None, pixels=None)
        return counted
