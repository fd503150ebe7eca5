"""A check that windows agree with their neighbors where they meet.

Two neighboring windows both contain the pixels on either side of the edge between their cores. If
they are joined in the wrong order, come from different pictures, or were each processed
differently, these pixels differ, and the edge shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ..geometry import Rectangle
from ..pictures.padding import size_of
from .patches import Layout, Scale


@dataclass(frozen=True)
class Seam:
    """The edge between two neighboring windows.

    Attributes:
        first, second: indices of the windows.
        difference: mean absolute difference between them along the edge, on a scale of 0..1.
    """

    first: int
    second: int
    difference: float


def worst_seam(windows: Tensor, layout: Layout) -> Seam | None:
    """The seam at which neighbors differ most; None if no windows overlap.

    Args:
        windows: (N, C, h, w), floating, 0..1, scaled or not, as for
            :func:`~urst_core.method.patches.join_windows`, which checks them.
        layout: the layout that the windows were cut by.
    """
    scale = Scale.between(layout.window, size_of(windows))
    seams = (
        Seam(first, second, _difference(windows, layout, scale, first, second, strip))
        for first, second, strip in _strips(layout, scale)
    )
    return max(seams, key=lambda seam: seam.difference, default=None)


def _strips(layout: Layout, scale: Scale) -> Iterator[tuple[int, int, Rectangle]]:
    """Pairs of neighbors, and the strip along the edge between their cores that both contain.

    The strip is as narrow as it can be with edges on whole pixels: the halo may be narrow, too.
    """
    rows, columns = scale.vertical.denominator, scale.horizontal.denominator
    numbers = {(tile.core.top, tile.core.left): i for i, tile in enumerate(layout.tiles)}
    for number, tile in enumerate(layout.tiles):
        core = tile.core
        right = Rectangle(core.top, core.right - columns, core.bottom, core.right + columns)
        below = Rectangle(core.bottom - rows, core.left, core.bottom + rows, core.right)
        for corner, strip in (
            ((core.top, core.right), right),
            ((core.bottom, core.left), below),
        ):
            other = numbers.get(corner)
            if other is None or not tile.window.contains(strip):
                continue
            if layout.tiles[other].window.contains(strip):
                yield number, other, strip


def _difference(
    windows: Tensor, layout: Layout, scale: Scale, first: int, second: int, strip: Rectangle
) -> float:
    where = scale.rectangle(strip)
    one, other = (
        windows[number][
            (..., *where.relative_to(scale.rectangle(layout.tiles[number].window)).slices)
        ]
        for number in (first, second)
    )
    return float((one.float() - other.float()).abs().mean())
