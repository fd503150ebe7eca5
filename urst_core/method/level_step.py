"""Resampling between two neighboring levels of larger strokes; see :mod:`.strokes`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from torch import Tensor

from ..geometry import Rectangle, Size
from ..pictures.resampling import Chain, Resample, Resampling, Smooth
from .back_projection import BackProjection

GAIN = 1.3
"""By which each level's own band is emphasized, since merging makes strokes softer."""

OVERLAP = 0.8
"""Share of the finest octave below that a level repaints, at twice the coarsest level's size."""

LAST_DRIFT = 4.0
"""From this many times the coarsest size on, what a level repaints is too fine for the preview."""


@dataclass(frozen=True)
class Step:
    """Resampling between two neighboring levels.

    Attributes:
        coarse, fine: height and width of the levels.
        coarsest: height and width of the coarsest level, whose painting is kept whole.
    """

    coarse: Size
    fine: Size
    coarsest: Size

    @cached_property
    def enlarging(self) -> Resampling:
        return Resampling(*self._up)

    @cached_property
    def shrinking(self) -> Resampling:
        return Resampling(*self._down)

    @cached_property
    def both(self) -> Resampling:
        """Enlarging, then shrinking again."""
        return Resampling(*(Chain(up, down) for up, down in zip(self._up, self._down)))

    @cached_property
    def smoothing(self) -> Resampling:
        """B: removes the finest structure of the level below, which is repainted.

        Removes nothing if that is the coarsest level, and most of it from twice its size on.
        """
        share = min(1.0, OVERLAP * self._growth)
        return Resampling(*(Smooth(length, share) for length in self.coarse))

    @property
    def _growth(self) -> float:
        """How much larger the coarse level is than the coarsest: 0 if it is that, 1 if twice."""
        return max(self.coarse) / max(self.coarsest) - 1.0

    @property
    def _up(self) -> list[Resample]:
        return [Resample(self.coarse[axis], self._scale(axis)) for axis in (0, 1)]

    @property
    def _down(self) -> list[Resample]:
        return [Resample(self.fine[axis], 1 / self._scale(axis)) for axis in (0, 1)]

    @property
    def reach(self) -> int:
        """How far around a pixel, in fine px, the merged picture depends on the painted one.

        Five kernels of 2 coarse px in a row, rounding to whole pixels, and the back projection.
        """
        own = math.ceil(10 / min(self._scale(0), self._scale(1)))
        return own + (self.back_projection.reach if self.back_projection else 0)

    @cached_property
    def back_projection(self) -> BackProjection | None:
        """Brings the merged picture back to the coarsest painting, if it can drift away from it."""
        if max(self.coarse) >= LAST_DRIFT * max(self.coarsest):
            return None
        return BackProjection(self.coarsest, self.coarse, self.fine)

    def _scale(self, axis: int) -> Fraction:
        """Coarse px per fine px.

        Exactly one half if the coarse size is half of the fine one, rounded up: half of its last
        pixel is then outside the border.
        """
        coarse, fine = self.coarse[axis], self.fine[axis]
        return Fraction(1, 2) if coarse == -(-fine // 2) else Fraction(coarse, fine)

    def enlarge(self, pixels: Tensor, at: Rectangle, target: Rectangle) -> Tensor:
        return self.enlarging.apply(pixels, at, target)

    def sharpen_and_enlarge(self, pixels: Tensor, target: Rectangle) -> Tensor:
        """E K: enlarge so that shrinking gives nearly the same pixels back.

        Args:
            pixels: the pixels of :meth:`kept`, (C, h, w), floating.
            target: the fine pixels to compute.
        """
        area, wide = self.enlarging.needs(target), self.kept(target)
        inner = pixels[(..., *area.relative_to(wide).slices)]
        sharpened = inner * 2.0 - self.both.apply(pixels, wide, area)
        return self.enlarge(sharpened, area, target)

    def kept(self, target: Rectangle) -> Rectangle:
        """The coarse pixels from which :meth:`sharpen_and_enlarge` computes ``target``."""
        return self.both.needs(self.enlarging.needs(target))

    def below(self, target: Rectangle) -> Rectangle:
        """The coarse pixels from which an input for the fine pixels of ``target`` is computed."""
        return self.smoothing.needs(self.kept(target))

    def join(
        self, content: Tensor, below: Tensor, painting: Tensor, detail: float, target: Rectangle
    ) -> Tensor:
        """Enlarge a painting, and add the content's detail.

        Args:
            content: the fine content in ``target``, (3, h, w), floating.
            below: the coarse content in :meth:`below`, (3, h, w), floating.
            painting: the coarse painting in :meth:`below`, (3, h, w), floating.
            detail: share of the content's detail, 0 to 1.
            target: the fine pixels to compute.
        """
        wide, kept = self.below(target), self.kept(target)
        known = self.smoothing.apply(below, wide, kept)
        difference = painting[(..., *kept.relative_to(wide).slices)].sub(known, alpha=detail)
        return self.sharpen_and_enlarge(difference, target).add_(content, alpha=detail)

    def merge(self, below: Tensor, fine: Tensor, target: Rectangle) -> Tensor:
        """Add the finest band of a painting, emphasized, to the picture below.

        Args:
            below: the picture below in :meth:`below`, (3, h, w), floating.
            fine: the painting, in :meth:`painted_area`, (3, h, w), floating.
            target: the fine pixels to compute.
        """
        wide, painted_area = self.below(target), self.painted_area(target)
        own = fine[(..., *target.relative_to(painted_area).slices)]
        shrunk = self.shrinking.apply(fine, painted_area, wide)
        # E K B p + GAIN * (fine - E K B S fine), with one resampling for both.
        kept = below.sub(shrunk, alpha=GAIN)
        return self._smooth_and_enlarge(kept, target).add_(own, alpha=GAIN)

    def _smooth_and_enlarge(self, pixels: Tensor, target: Rectangle) -> Tensor:
        """E K B: what remains in ``target`` of the pixels of :meth:`below`, enlarged."""
        kept = self.kept(target)
        return self.sharpen_and_enlarge(
            self.smoothing.apply(pixels, self.below(target), kept), target
        )

    def painted_area(self, target: Rectangle) -> Rectangle:
        """The fine pixels that the merged ones of ``target`` depend on."""
        needed = self.shrinking.needs(self.below(target))
        return Rectangle(
            min(needed.top, target.top),
            min(needed.left, target.left),
            max(needed.bottom, target.bottom),
            max(needed.right, target.right),
        )
