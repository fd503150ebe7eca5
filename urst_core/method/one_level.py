"""One level of larger strokes at a time, for other tools between the steps.

:func:`~urst_core.method.pipeline.stylize` paints all levels of :mod:`urst_core.method.strokes` in
one call. Here each step is a call of its own, on whole pictures, and gives the same pixels::

    level = OneLevel.coarsest(image, settings)                    the thumbnail
    painting = (stylize the result of level.join)
    while not level.is_last:
        level = level.above(painting, settings)                   twice as large
        painting = level.merge(stylize the result of level.join)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..errors import ShapeError, StatsError
from ..geometry import Rectangle, Size
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.style import AnyStyle, StyleCode
from ..pictures.padding import read_stored
from ..pictures.resized import Resized
from ..pictures.source import Canvas, Source, TensorSource, bands, from_unit, to_unit
from ..progress import Listener, Progress, ignore
from ..tiling.settings import Settings
from .level_pictures import LEVEL_DTYPE, level_canvas, level_contents
from .run import Run
from .strokes import Below, JoinedSource, Level, WithoutBrushwork, level_sizes, measured_size

SHAPE_TOLERANCE = 0.05
"""Tolerance of an enlarged painting's aspect ratio, since sizes are rounded."""


@dataclass(frozen=True)
class LevelStats(FrozenStats):
    """Statistics of one level, with which tiles do not mix in the unchanged content.

    Attributes:
        content_share: share of the content in the result, mixed in only once, on the last level.
    """

    content_share: float = 0.0


@dataclass(frozen=True)
class OneLevel:
    """One level of a picture, and everything that the next one needs; immutable.

    Attributes:
        contents: contents of all levels, coarsest first; the last one is the picture itself.
        level: joins and merges.
        is_complete: whether the painting below is already as large as the picture, so that it is
            the result and nothing is added.
    """

    contents: tuple[Source, ...]
    level: Level
    is_complete: bool = False

    def __repr__(self) -> str:
        """In one line, without the pictures."""
        height, width = self.contents[self.level.number].size
        return f"OneLevel({self.level.number + 1} of {len(self.contents)}, {width} x {height} px)"

    @classmethod
    def coarsest(cls, image: Source, settings: Settings, listener: Listener = ignore) -> OneLevel:
        """The first level, whose content is painted directly.

        Args:
            image: the picture, with or without alpha.
            settings: strokes and thumbnail size determine the levels.
            listener: called while contents are made; if it raises, the work ends.

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
        """This level's content."""
        return self.contents[min(self.level.number, len(self.contents) - 1)]

    @property
    def is_coarsest(self) -> bool:
        return self.level.number == 0

    @property
    def is_last(self) -> bool:
        return self.level.number >= len(self.contents) - 1

    @property
    def is_mixed_here(self) -> bool:
        """Whether merging this level mixes in the content if the strength is below 1."""
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
            painting: the painting of this level, in its size.
            settings: detail, brushwork and seed of the next level.
            enlarged: the painting, enlarged to any size by other means; resampled here if None.

        Raises:
            SettingsError: detail, brushwork or seed are out of range.
            ShapeError: the painting has another size, or the enlarged one another shape.
            ImageError: one of them has NaN or infinite values.
        """
        settings.check_strokes()
        _check_painting(painting, self.content.size)
        pixels, number = _whole(painting), self.level.number + 1
        if self.is_last:
            below = Below(self.image, TensorSource(pixels))
            return replace(self, level=Level(number, self.image.size, below), is_complete=True)
        if self.level.number:
            # Kept in 16 bits, as in a single call for all levels; otherwise the pixels would
            # differ. There, too, the coarsest level is kept in floats.
            pixels = from_unit(pixels, LEVEL_DTYPE)
        size = self.contents[number].size
        level = Level(
            number,
            size,
            Below(self.content, TensorSource(pixels)),
            detail=settings.detail,
            brushwork=settings.brushwork,
            seed=settings.seed,
            coarsest=self.contents[0].size,
            enlarged=None if enlarged is None else _fitted(enlarged, size),
        )
        return replace(self, level=level)

    def join(self, canvas: Canvas, listener: Listener = ignore) -> None:
        """Write the network's input: the painting below, with this level's detail.

        Args:
            canvas: of the level's size, 3 channels, floating.
            listener: called after each band of rows; if it raises, the work ends.
        """
        below = self.level.below
        if self.is_complete and below is not None:
            read = _resized(below.picture, self.level.size).read
        else:
            read = JoinedSource(self.content, self.level).read
        _write_bands(self.level.size, read, canvas, "joining", listener)

    def merge(
        self, painted: Source, canvas: Canvas, stats: FrozenStats, listener: Listener = ignore
    ) -> None:
        """Write the level's painting: the one below with the finest strokes of the new one.

        Args:
            painted: the network's result for the joined picture.
            canvas: of the level's size, floating; with the picture's channels on the last level,
                to which alpha is copied, otherwise 3.
            stats: the statistics with which it was painted.
            listener: called after each band of rows; if it raises, the work ends.

        Raises:
            ShapeError: the painted picture has another size than the level; or this is the
                coarsest level, which has nothing below.
            StatsError: the statistics have a strength below 1, and were not measured for a level.
        """
        share = _content_share(stats) if self.is_mixed_here else 0.0
        if self.level.below is None:
            raise ShapeError(
                "the smallest level has no painting below to merge into; its painting is already "
                "complete"
            )
        if painted.size != self.level.size:
            raise ShapeError(
                f"strokes of {_pixels(painted.size)} do not fit a level of "
                f"{_pixels(self.level.size)}; paint the joined picture of this level"
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
    styles: Sequence[AnyStyle] | StyleCode,
    backbone: Backbone,
    settings: Settings,
    *,
    style_weights: Sequence[float] | None = None,
    listener: Listener = ignore,
) -> LevelStats:
    """Measure the statistics of one level, with the style code for the whole picture.

    Args:
        level: the level.
        joined: the result of :meth:`OneLevel.join`.
        styles, backbone, settings, style_weights: as for
            :func:`urst_core.method.pipeline.stylize`.
        listener: called with the progress.

    Raises:
        URSTError: as in :func:`urst_core.method.pipeline.stylize`.
    """
    whole = Run.of(level.image, backbone, settings, listener=listener)
    code = whole.code_for_levels(styles, style_weights)
    # As in level_run: the code is already blended, and the content mixed in once, at the end.
    if settings.stats != "exact" and level.level.brushwork:
        joined = WithoutBrushwork(joined, level.content, level.level)
    size = measured_size(settings.thumbnail_size, level.contents[0].size)
    run = replace(
        whole, content=joined, settings=replace(settings, strength=1.0, thumbnail_size=size)
    )
    stats = run.measure(code)
    values = {field.name: getattr(stats, field.name) for field in fields(stats)}
    return LevelStats(**values, content_share=backbone.content_share(settings.strength))


def _content_share(stats: FrozenStats) -> float:
    if isinstance(stats, LevelStats):
        return stats.content_share
    if stats.strength < 1.0:
        raise StatsError(
            f"statistics of strength {stats.strength:g} were measured for a whole picture, and "
            "would mix the content into every level; measure them with the level"
        )
    return 0.0


def _check_painting(painting: Source, size: Size) -> None:
    if painting.size != size:
        raise ShapeError(
            f"painting of {_pixels(painting.size)} does not fit a level of {_pixels(size)}; "
            "pass the painting of that level, and an enlarged one as enlarged"
        )


def _fitted(enlarged: Source, size: Size) -> Source:
    (height, width), (rows, columns) = enlarged.size, size
    if abs(height * columns / (width * rows) - 1) > SHAPE_TOLERANCE:
        raise ShapeError(
            f"enlarged painting of {_pixels(enlarged.size)} has another shape than its level of "
            f"{_pixels(size)}; enlarge the whole painting"
        )
    whole = TensorSource(_whole(enlarged))
    return whole if enlarged.size == size else _resized(whole, size)


def _resized(picture: Source, size: Size) -> Resized:
    return Resized(picture, Rectangle.of_size(picture.size), size)


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
