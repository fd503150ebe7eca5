"""Enlarging and shrinking by windows: a pixel's value does not depend on the window around it.

A resampling is separable: rows, then columns, or the other way. Along one axis, output pixel i is
centered at (i + 1/2) * scale of the input (whole to whole: both pictures cover the same area), and
is a weighted mean of the input pixels within the kernel's reach of there::

    input    │  .  │  .  │  .  │  .  │  .  │     scale 1/2: each output pixel from four of these
    output   │. │. │. │. │. │. │. │. │. │. │
                       └── center of the sixth

Weights follow from absolute positions, in float64. Taps beyond the picture's border are left out,
and the others brought back to a sum of 1. Products are added one after the other, by operations
on single elements, so that every window and every tile gives the same bits: a matrix product, whose
order of adding depends on its size, would not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .row_sums import RowSums, are_quick

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kernel:
    """A weight for each distance, in px of the coarser picture; 0 from ``reach`` on."""

    reach: float
    weights: Callable[[Floats], Floats]


def _catmull_rom(distances: Floats) -> Floats:
    """The cubic of Keys (1981) with a = -1/2: exact for parabolas, sharp, hardly any ringing."""
    x = np.abs(distances)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _triangle(distances: Floats) -> Floats:
    return np.maximum(0.0, 1.0 - np.abs(distances))


CUBIC = Kernel(2.0, _catmull_rom)

TRIANGLE = Kernel(1.0, _triangle)

BINOMIAL = np.array([math.comb(4, k) for k in range(5)]) / 2**4
"""Weights of the five px around each that :class:`Smooth` takes."""

EVEN_SCALES = Fraction(1, 2), Fraction(1), Fraction(2)
"""Scales at which neighboring outputs read evenly spaced inputs."""

TAPS_KEPT = 512
"""How many runs of weights are kept of each axis."""


@dataclass(frozen=True)
class Taps:
    """The weights of a run of output pixels, which many windows share.

    Attributes:
        first: the first input pixel of each, which may be beyond the border, (n,).
        weights: of the input pixels from there on, (taps, n); 0 beyond the border.
    """

    first: Integers
    weights: Floats
    _columns: dict[tuple[int, torch.dtype, torch.device], list[list[Tensor]]] = field(
        default_factory=dict, repr=False
    )
    _sums: dict[tuple[int, int, int], RowSums] = field(default_factory=dict, repr=False)

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first input pixel with a weight, and the one behind the last, or beyond borders."""
        used = np.flatnonzero(self.weights.any(1))
        return int(self.first.min()) + int(used[0]), int(self.first.max()) + int(used[-1]) + 1

    @cached_property
    def spacing(self) -> tuple[int, int] | None:
        """Of first taps, if it is even: every how many outputs by how many inputs."""
        for phases, step in ((1, 1), (2, 1), (1, 2)):
            if all(bool((np.diff(self.first[p::phases]) == step).all()) for p in range(phases)):
                return phases, step
        return None

    def row_sums(self, pixels: Tensor, start: int) -> RowSums:
        """The sums of the rows of a picture.

        Args:
            pixels: the picture, (C, h, w).
            start: number of its first row.
        """
        size = pixels.shape[0], pixels.shape[1]
        key = *size, start
        if key not in self._sums:
            rows = (self.first - start)[:, None] + np.arange(len(self.weights))
            rows = rows.clip(0, size[1] - 1)
            self._sums[key] = RowSums.of(rows, self.weights.T, size)
        return self._sums[key]

    def phase_weights(self, dim: int, like: Tensor) -> list[list[Tensor]]:
        """The weights of each phase of :attr:`spacing` and tap, shaped to be multiplied with.

        Args:
            dim: 1 (rows) or 2 (columns).
            like: of the dtype and device.
        """
        key = dim, like.dtype, like.device
        if key not in self._columns:
            weights = torch.from_numpy(self.weights).to(like)
            shape = (1, -1, 1) if dim == 1 else (1, 1, -1)
            phases = self.spacing[0] if self.spacing else 1
            self._columns[key] = [
                [tap.view(shape) for tap in weights[:, phase::phases].contiguous()]
                for phase in range(phases)
            ]
        return self._columns[key]


class Axis(Protocol):
    """A linear map along one axis whose outputs each depend on a few inputs."""

    @property
    def length(self) -> int:
        """Of the input, in px."""
        ...

    @property
    def is_even(self) -> bool:
        """Whether the input pixels of neighboring outputs are evenly spaced, borders aside."""
        ...

    def taps(self, start: int, stop: int) -> Taps:
        """The weights of the output pixels from ``start`` to ``stop``."""
        ...


@dataclass(frozen=True)
class Resample:
    """An :class:`Axis` that enlarges or shrinks.

    Attributes:
        length: of the input, in px.
        scale: input px for one output px.
        kernel: is widened where the picture shrinks.
    """

    length: int
    scale: Fraction
    kernel: Kernel = CUBIC

    @property
    def is_even(self) -> bool:
        return self.scale in EVEN_SCALES

    def taps(self, start: int, stop: int) -> Taps:
        width = max(1.0, float(self.scale))
        reach = self.kernel.reach * width
        doubled = (2 * np.arange(start, stop, dtype=np.int64) + 1) * self.scale.numerator
        centers = doubled / (2 * self.scale.denominator)
        # The first pixel whose own center, 1/2 beyond its number, is within the reach.
        first = np.floor(centers - reach - 0.5).astype(np.int64) + 1
        places = first + np.arange(math.ceil(2 * reach))[:, None]
        weights = self.kernel.weights((places + 0.5 - centers) / width)
        weights[(places < 0) | (places >= self.length)] = 0.0
        # Not sum(), which adds in another order where there is one output pixel only.
        return Taps(first, weights / np.cumsum(weights, 0)[-1])


@dataclass(frozen=True)
class Smooth:
    """An :class:`Axis` that weakens the finest structure: a binomial of five px.

    Attributes:
        length: of the input and of the output, in px.
        share: of the smoothed pixels in what comes out, the others staying as they are; 0 to 1.
    """

    length: int
    share: float = 1.0

    @property
    def is_even(self) -> bool:
        return True

    def taps(self, start: int, stop: int) -> Taps:
        first = np.arange(start, stop, dtype=np.int64) - len(BINOMIAL) // 2
        places = first + np.arange(len(BINOMIAL))[:, None]
        weights = np.where((places < 0) | (places >= self.length), 0.0, BINOMIAL[:, None])
        weights = weights / weights.sum(0) * self.share
        weights[len(BINOMIAL) // 2] += 1.0 - self.share
        return Taps(first, weights)


@dataclass(frozen=True)
class Chain:
    """An :class:`Axis` that does two in one, without the pixels between them."""

    before: Resample
    after: Resample

    @property
    def length(self) -> int:
        return self.before.length

    @property
    def is_even(self) -> bool:
        return self.before.is_even and self.after.is_even

    def taps(self, start: int, stop: int) -> Taps:
        after = self.after.taps(start, stop)
        low, high = int(after.first[0]), int(after.first[-1]) + len(after.weights)
        low, high = max(0, low), min(self.after.length, high)
        before = self.before.taps(low, high)
        # Which pixel between the two each tap of the second reads; weightless ones read any.
        places = after.first + np.arange(len(after.weights))[:, None]
        between = np.clip(places, low, high - 1) - low
        starts = before.first[between]
        first = starts.min(0)
        count = int((starts - first).max()) + len(before.weights)
        weights = np.zeros((count, stop - start))
        columns = np.broadcast_to(np.arange(stop - start), starts.shape)
        for tap, shares in enumerate(before.weights):
            np.add.at(weights, (starts - first + tap, columns), after.weights * shares[between])
        return Taps(first, weights)


@dataclass(frozen=True)
class Resampling:
    """Rows and columns of a picture, resampled one after the other."""

    rows: Axis
    columns: Axis

    @classmethod
    def between(cls, before: Size, scale: tuple[Fraction, Fraction]) -> Resampling:
        """Of a picture of a size, with so many of its pixels for one that comes out."""
        return cls(Resample(before[0], scale[0]), Resample(before[1], scale[1]))

    @cached_property
    def _row_taps(self) -> Callable[[int, int], Taps]:
        return lru_cache(TAPS_KEPT)(self.rows.taps)

    @cached_property
    def _column_taps(self) -> Callable[[int, int], Taps]:
        return lru_cache(TAPS_KEPT)(self.columns.taps)

    @property
    def _enlarges(self) -> bool:
        return isinstance(self.rows, Resample) and self.rows.scale < 1

    def needs(self, target: Rectangle) -> Rectangle:
        """The input pixels, inside the picture, that the output pixels of ``target`` depend on."""
        top, bottom = self._row_taps(target.top, target.bottom).span
        left, right = self._column_taps(target.left, target.right).span
        return Rectangle(top, left, bottom, right).clipped((self.rows.length, self.columns.length))

    def apply(self, pixels: Tensor, at: Rectangle, target: Rectangle) -> Tensor:
        """Resample a window.

        Args:
            pixels: (C, h, w), floating, on any device.
            at: their rectangle in the input: that of :meth:`needs`, or a larger one.
            target: the output pixels to compute.

        Returns:
            (C, *target.size), of the type and on the device of ``pixels``.
        """
        rows = self._row_taps(target.top, target.bottom)
        columns = self._column_taps(target.left, target.right)
        # Rows are quick to take from memory, columns are not: these where the picture is small.
        if self._enlarges:
            return self._summed_rows(self._summed_columns(pixels, at.left, columns), at.top, rows)
        return self._summed_columns(self._summed_rows(pixels, at.top, rows), at.left, columns)

    def _summed_rows(self, pixels: Tensor, start: int, taps: Taps) -> Tensor:
        if are_quick(pixels):
            return taps.row_sums(pixels, start).apply(pixels)
        return _weighted_sum(pixels, 1, start, taps)

    def _summed_columns(self, pixels: Tensor, start: int, taps: Taps) -> Tensor:
        # Not by the taps, which may happen to be even in a small window: sums differ in their bits.
        if are_quick(pixels) and not self.columns.is_even:
            return _sum_of_columns(pixels, start, taps)
        return _weighted_sum(pixels, 2, start, taps)


def _weighted_sum(pixels: Tensor, dim: int, start: int, taps: Taps) -> Tensor:
    """Each output pixel's weighted sum, tap by tap.

    Args:
        pixels: (C, h, w).
        dim: 1 (rows) or 2 (columns).
        start: number of the first input pixel there is.
        taps: of the output pixels.
    """
    if taps.spacing is not None:
        return _sum_of_slices(pixels, dim, start, taps, taps.spacing)
    places, last = taps.first - start, pixels.shape[dim] - 1
    (weights,) = taps.phase_weights(dim, pixels)
    return _sum(weights, lambda t: _selected(pixels, dim, np.clip(places + t, 0, last)))


def _sum_of_columns(pixels: Tensor, start: int, taps: Taps) -> Tensor:
    """As :func:`_weighted_sum`, of columns, all taps in one go."""
    channels, height, _ = pixels.shape
    # As one matrix, which is quicker to transpose than several.
    columns = pixels.reshape(channels * height, -1).t().unsqueeze(0)
    total = taps.row_sums(columns, start).apply(columns)[0]
    return total.t().contiguous().view(channels, height, -1)


def _sum_of_slices(
    pixels: Tensor, dim: int, start: int, taps: Taps, spacing: tuple[int, int]
) -> Tensor:
    """As :func:`_weighted_sum`, where first taps are evenly spaced."""
    phases, step = spacing
    begin, end = int(taps.first[0]) - start, int(taps.first[-1]) - start + len(taps.weights)
    # Pixels beyond have no weight; but slices must find something there.
    low = min(begin, int(taps.first[-1]) - start)
    high = max(end, begin + len(taps.weights))
    missing = max(0, -low), max(0, high - pixels.shape[dim])
    padded = _repeat_edges(pixels, dim, *missing)
    # Every second column is slow to read: it is brought together once, not for each tap.
    lines = [_along(padded, dim, slice(s, None, step)).contiguous() for s in range(step)]
    weights, count = taps.phase_weights(dim, pixels), len(taps.first)

    def of_phase(phase: int) -> Tensor:
        first, length = int(taps.first[phase]) - start + missing[0], -(-(count - phase) // phases)
        return _sum(
            weights[phase],
            lambda tap: lines[(first + tap) % step].narrow(dim, (first + tap) // step, length),
        )

    if phases == 1 or count == 1:
        return of_phase(0)
    size = list(pixels.shape)
    size[dim] = count
    total = pixels.new_empty(size)
    for phase in range(phases):
        _along(total, dim, slice(phase, None, phases)).copy_(of_phase(phase))
    return total


def _sum(weights: list[Tensor], values: Callable[[int], Tensor]) -> Tensor:
    """``weights[t] * values(t)``, added up over the taps in their order."""
    total = values(0) * weights[0]
    for tap in range(1, len(weights)):
        total.addcmul_(values(tap), weights[tap])
    return total


def _selected(pixels: Tensor, dim: int, places: Integers) -> Tensor:
    """Rows (``dim`` 1) or columns (2) of a picture, by their numbers."""
    if pixels.device.type == "cpu":
        # Whole rows at once, where index_select copies element by element.
        return torch.from_numpy(pixels.numpy().take(places, dim))
    return pixels.index_select(dim, torch.from_numpy(places).to(pixels.device))


def _along(pixels: Tensor, dim: int, part: slice) -> Tensor:
    return pixels[:, part] if dim == 1 else pixels[:, :, part]


def _repeat_edges(pixels: Tensor, dim: int, before: int, after: int) -> Tensor:
    if not (before or after):
        return pixels
    last = pixels.shape[dim] - 1
    parts = [pixels.narrow(dim, 0, 1)] * before + [pixels]
    return torch.cat(parts + [pixels.narrow(dim, last, 1)] * after, dim)
