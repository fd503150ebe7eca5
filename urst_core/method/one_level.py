"""One level of larger strokes at a time, so that other tools may work between the steps.

:func:`~urst_core.method.pipeline.stylize` paints the levels of :mod:`urst_core.method.strokes` in
one go. Here each step is a call of its own, on whole pictures, and gives the same pixels::

    level = OneLevel.coarsest(image, settings)                    the thumbnail
    painting = (stylize what level.join makes)
    while not level.is_last:
        level = level.above(painting, settings)                   twice as large
        painting = level.merge(stylize what level.join makes)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction

import torch
from torch import Tensor

from ..errors import ShapeError, StatsError
from ..geometry import Rectangle, Size
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.style import StyleCode
from ..pictures.padding import read_stored
from ..pictures.resampling import Resampling
from ..pictures.source import Canvas, Source, TensorSource, bands, from_unit, to_unit
from ..progress import Listener, Progress, ignore
from ..tiling.settings import Settings
from .pipeline import Run
from .strokes import (
    LEVEL_DTYPE,
    Below,
    JoinedSource,
    Level,
    level_canvas,
    level_contents,
    level_sizes,
)

SHAPE_TOLERANCE = 0.05
"""How much an enlarged painting's ratio of sides may differ: sizes are rounded on the way."""


@dataclass(frozen=True)
class LevelStats(FrozenStats):
    """Statistics of one level, whose tiles leave the untouched content out.

    Attributes:
        content_share: share of it in the result, which the last level mixes in, once.
    """

    content_share: float = 0.0


@dataclass(frozen=True)
class ResampledSource:
    """A picture in another size.

    Attributes:
        picture: of any size.
        size: height and width that it is read in.
    """

    picture: Source
    size: Size
    channels: int = 3
    dtype: torch.dtype = torch.float32

    def read(self, rectangle: Rectangle) -> Tensor:
        (height, width), (rows, columns) = self.picture.size, self.size
        scale = Fraction(height, rows), Fraction(width, columns)
        resampling = Resampling.between(self.picture.size, scale)
        needed = resampling.needs(rectangle)
        pixels = to_unit(self.picture.read(needed)[:3])
        return resampling.apply(pixels, needed, rectangle).clamp(0.0, 1.0)


@dataclass(frozen=True)
class OneLevel:
    """One level of a picture, and what the next one needs; never changed.

    Attributes:
        contents: of all levels, coarsest first; the last one is the picture itself.
        level: joins and merges.
        is_complete: the painting below is as large as the picture already: it is the result, and
            nothing is added.
    """

    contents: tuple[Source, ...]
    level: Level
    is_complete: bool = False

    @classmethod
    def coarsest(cls, image: Source, settings: Settings, listener: Listener = ignore) -> OneLevel:
        """The first level, which is to be painted as it is.

        Args:
            image: the picture, with or without alpha.
            settings: their strokes and thumbnail size decide which levels there are.
            listener: told of the contents that are made; what it raises ends the work.

        Raises:
            SettingsError: the strokes are out of range.
            ImageError: the picture has NaN or infinite values.

        Example:
            >>> image = TensorSource(torch.rand(3, 100, 200))
            >>> level = OneLevel.coarsest(image, Settings(thumbnail_size=64))
            >>> [content.size for content in level.contents]
            [(32, 64), (50, 100), (100, 200)]
        """
        settings.check_strokes()
        sizes = level_sizes(image.size, settings)
        contents = level_contents(image, sizes, level_canvas, listener)
        return cls(tuple(contents), Level(0, sizes[0]))

    @property
    def image(self) -> Source:
        """The whole picture."""
        return self.contents[-1]

    @property
    def content(self) -> Source:
        """This level's."""
        return self.contents[min(self.level.number, len(self.contents) - 1)]

    @property
    def is_coarsest(self) -> bool:
        return self.level.number == 0

    @property
    def is_last(self) -> bool:
        return self.level.number >= len(self.contents) - 1

    @property
    def is_mixed_here(self) -> bool:
        """Whether a strength below 1 mixes in the content when this level is merged."""
        return self.level.number == max(1, len(self.contents) - 1)

    def above(
        self,
        painting: Source,
        settings: Settings,
        *,
        enlarged: Source | None = None,
    ) -> OneLevel:
        """The next larger level.

        Args:
            painting: of this level, and of its size.
            settings: their detail, brushwork and seed are this level's.
            enlarged: the painting, enlarged by other means to any size; else it is done here.

        Raises:
            SettingsError: detail, brushwork or seed are out of range.
            ShapeError: the painting has another size, or the enlarged one another shape.
            ImageError: one of them has NaN or infinite values.
        """
        settings.check_strokes()
        _check_painting(painting, self.content.size)
        number = self.level.number + 1
        if self.is_last:
            below = Below(self.image, painting)
            return replace(self, level=Level(number, self.image.size, below), is_complete=True)
        if self.level.number:
            # Kept in 16 bits, as when one call paints all levels: else the pixels of both would
            # differ. The coarsest level is kept in floats there, too.
            painting = TensorSource(from_unit(_whole(painting), LEVEL_DTYPE))
        size = self.contents[number].size
        level = Level(
            number,
            size,
            Below(self.content, painting),
            detail=settings.detail,
            brushwork=settings.brushwork,
            seed=settings.seed,
            coarsest=self.contents[0].size if enlarged is None else None,
            enlarged=None if enlarged is None else _fitted(enlarged, size),
        )
        return replace(self, level=level)

    def join(self, canvas: Canvas, listener: Listener = ignore) -> None:
        """Write what the network is given: the painting below, with this level's detail.

        Args:
            canvas: of the level's size, 3 channels, floating.
            listener: told of each band of rows; what it raises ends the work.
        """
        below = self.level.below
        if self.is_complete and below is not None:
            read = ResampledSource(below.picture, self.level.size).read
        else:
            read = JoinedSource(self.content, self.level).read
        _write_bands(self.level.size, read, canvas, "joining", listener)

    def merge(
        self, painted: Source, canvas: Canvas, stats: FrozenStats, listener: Listener = ignore
    ) -> None:
        """Write the level's painting: the one below, with the finest strokes of a new one.

        Args:
            painted: what the network made of the joined picture.
            canvas: of the level's size, floating; with the channels of the picture on the last
                level, whose alpha is carried over, else 3.
            stats: that it was painted with.
            listener: told of each band of rows; what it raises ends the work.

        Raises:
            ShapeError: the painted picture is not of the level's size; or this is the coarsest
                level, which has nothing below.
            StatsError: the statistics are of a strength below 1, and not of a level.
        """
        share = _content_share(stats) if self.is_mixed_here else 0.0
        if self.level.below is None:
            raise ShapeError(
                "the smallest level has no painting below to merge into; what was painted for it "
                "is complete as it is"
            )
        if painted.size != self.level.size:
            raise ShapeError(
                f"strokes of {_pixels(painted.size)} do not fit a level of "
                f"{_pixels(self.level.size)}; paint the picture that was joined for this level"
            )
        level = replace(self.level, content_share=share)
        has_alpha = self.is_last and self.image.channels == 4

        def read(core: Rectangle) -> Tensor:
            merged = self._merged(level, painted, core)
            return torch.cat([merged, self.image.read(core)[3:]]) if has_alpha else merged

        _write_bands(level.size, read, canvas, "merging", listener)

    def _merged(self, level: Level, painted: Source, core: Rectangle) -> Tensor:
        if self.is_complete:
            assert level.below is not None
            picture = to_unit(level.below.picture.read(core)[:3])
            return picture.lerp(to_unit(self.image.read(core)[:3]), level.content_share)
        area = core.grown(level.margin(1)).clipped(level.size)
        pixels, content = read_stored(painted, area)[:3], self.content.read(area)[:3]
        merged = level.merge(pixels, content, level.read_below(area), area, core)
        return merged.clamp(0.0, 1.0)


def measure_level(
    level: OneLevel,
    joined: Source,
    styles: Sequence[Source | str] | StyleCode,
    backbone: Backbone,
    settings: Settings,
    *,
    style_weights: Sequence[float] | None = None,
    listener: Listener = ignore,
) -> LevelStats:
    """The statistics of one level; the style is blended as for the whole picture.

    Args:
        level: for its picture.
        joined: of :meth:`OneLevel.join`.
        styles, backbone, settings, style_weights: as for
            :func:`urst_core.method.pipeline.stylize`.
        listener: told of each step.

    Raises:
        URSTError: as in :func:`urst_core.method.pipeline.stylize`.
    """
    whole = Run.of(level.image, backbone, settings, listener=listener)
    code = whole.code_for_levels(styles, style_weights)
    # As in Run.at_level: the code is blended already, and the content mixed in once, at the end.
    run = replace(whole, content=joined, settings=replace(settings, strength=1.0))
    stats = run.measure(code)
    values = {field.name: getattr(stats, field.name) for field in fields(stats)}
    return LevelStats(**values, content_share=backbone.content_share(settings.strength))


def _content_share(stats: FrozenStats) -> float:
    if isinstance(stats, LevelStats):
        return stats.content_share
    if stats.strength < 1.0:
        raise StatsError(
            f"statistics of strength {stats.strength:g} are those of a whole picture, and would "
            "mix the content into every level; connect level where they are measured"
        )
    return 0.0


def _check_painting(painting: Source, size: Size) -> None:
    if painting.size != size:
        raise ShapeError(
            f"painting of {_pixels(painting.size)} does not fit a level of {_pixels(size)}; "
            "connect what was painted for that level, and an enlargement of it to enlarged"
        )


def _fitted(enlarged: Source, size: Size) -> Source:
    (height, width), (rows, columns) = enlarged.size, size
    if abs(height * columns / (width * rows) - 1) > SHAPE_TOLERANCE:
        raise ShapeError(
            f"enlarged painting of {_pixels(enlarged.size)} has another shape than its level of "
            f"{_pixels(size)}; enlarge the whole painting"
        )
    whole = TensorSource(_whole(enlarged))
    return whole if enlarged.size == size else ResampledSource(whole, size)


def _whole(picture: Source) -> Tensor:
    return to_unit(read_stored(picture, Rectangle.of_size(picture.size))[:3])


def _pixels(size: Size) -> str:
    return f"{size[1]} x {size[0]} px (width x height)"


def _write_bands(
    size: Size,
    read: Callable[[Rectangle], Tensor],
    canvas: Canvas,
    stage: str,
    listener: Listener,
) -> None:
    total, rectangles = Rectangle.of_size(size).area, list(bands(size))
    listener(Progress(stage, 0, len(rectangles), 0, total))
    for number, band in enumerate(rectangles, start=1):
        canvas.write(band, read(band))
        done = total * band.bottom // size[0]
        listener(Progress(stage, number, len(rectangles), done, total))
