"""Keeping larger levels like the coarsest painting; see :mod:`.strokes`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from torch import Tensor

from ..geometry import Rectangle, Size
from ..pictures.resampling import TRIANGLE, Resample, Resampling
from ..tiling.blocks import each_block

RELAXATIONS = 2.0, 1.2
"""Factor of the corrections of each step: enlarged and shrunk again, fine ones come out too weak.

The first overdoes coarse ones, and the second takes back what is too much.
"""


@dataclass(frozen=True)
class BackProjection:
    """Corrects a merged picture so that its thumbnail stays that of the picture below.

    Strokes that are just too fine for a thumbnail come back in it as false, larger ones. Two steps
    of iterative back-projection (Irani and Peleg, 1991) take them out, each::

        picture + r * E (T' p - T picture)

    T and T' shrink a level and the one below to the coarsest size, as thumbnails are made; E
    enlarges; r relaxes over.

    Attributes:
        coarsest: height and width of the coarsest level.
        coarse, fine: height and width of the level below, and of the picture.
    """

    coarsest: Size
    coarse: Size
    fine: Size

    @cached_property
    def _of_picture(self) -> Resampling:
        return _thumbnail_of(self.fine, self.coarsest)

    @cached_property
    def _of_below(self) -> Resampling:
        return _thumbnail_of(self.coarse, self.coarsest)

    @cached_property
    def _enlarging(self) -> Resampling:
        return Resampling(*(Resample(self.coarsest[i], 1 / self._factor(i)) for i in (0, 1)))

    @property
    def reach(self) -> int:
        """How far around a pixel the corrections depend on the picture, in px.

        In each step, a kernel of 2 coarsest px and one of 1 px, and rounding to whole pixels.
        """
        of_step = math.ceil(3 * max(self._factor(0), self._factor(1))) + 1
        return of_step * len(RELAXATIONS)

    def _factor(self, axis: int) -> Fraction:
        """Px of the picture per coarsest px."""
        return Fraction(self.fine[axis], self.coarsest[axis])

    def needs(self, target: Rectangle) -> Rectangle:
        """The pixels of the picture that the corrections in ``target`` depend on."""
        return self._areas(target)[0]

    def _areas(self, target: Rectangle) -> list[Rectangle]:
        """The pixels that each step reads; the last ones are ``target``, which nothing reads."""
        areas = [target]
        for _ in RELAXATIONS:
            areas.insert(0, self._of_picture.needs(self._enlarging.needs(areas[0])))
        return areas

    def correct(
        self, picture: Tensor, at: Rectangle, below: Tensor, below_at: Rectangle, target: Rectangle
    ) -> Tensor:
        """Correct a part of a picture, in place.

        Args:
            picture: (3, h, w), 0..1, with the rectangle ``at``: :meth:`needs`, or a larger one.
            below: the picture below, (3, h, w), 0..1, with the rectangle ``below_at``.
            target: the pixels to compute.

        Returns:
            The part ``target`` of the picture, (3, *target.size), 0..1.
        """
        areas = self._areas(target)[1:]
        kept_at = self._enlarging.needs(areas[0])
        kept = self._of_below.apply(below, below_at, kept_at)
        for area, relaxation in zip(areas, RELAXATIONS):
            self._step(picture, at, kept, kept_at, area, relaxation)
            picture[(..., *area.relative_to(at).slices)].clamp_(0.0, 1.0)
        return picture[(..., *target.relative_to(at).slices)]

    def _step(
        self,
        picture: Tensor,
        at: Rectangle,
        kept: Tensor,
        kept_at: Rectangle,
        target: Rectangle,
        relaxation: float,
    ) -> None:
        """Correct ``target`` once, towards the thumbnail ``kept``."""
        area = self._enlarging.needs(target)
        lacking = kept[(..., *area.relative_to(kept_at).slices)]
        lacking = (lacking - self._of_picture.apply(picture, at, area)).mul_(relaxation)

        def add(block: Rectangle) -> None:
            inside = picture[(..., *block.relative_to(at).slices)]
            inside.add_(self._enlarging.apply(lacking, area, block))

        each_block(target, picture.device, add)


def _thumbnail_of(size: Size, coarsest: Size) -> Resampling:
    """The filter of :func:`~urst_core.pictures.thumbnail.make_thumbnail`."""
    scales = [Fraction(size[axis], coarsest[axis]) for axis in (0, 1)]
    return Resampling(*(Resample(size[axis], scales[axis], TRIANGLE) for axis in (0, 1)))
