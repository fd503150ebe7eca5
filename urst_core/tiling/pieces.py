"""The pieces of a core that a network paints, so that it computes little else.

A network's result for a piece needs a halo around it, so many small pieces can take longer than a
large one around them all. Painted blocks are therefore halved again and again, and a half is only
kept if its pieces, with their halos, are smaller than the whole::

      . . . . . # # #         . . . . . ┌───┐
      . . . . # # # #    ──►  . . . . ┌─┴───┤
      # # # # # # # #         ├───────┴─────┤
      # # # # # # # #         └─────────────┘
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle

BLOCK = 64
"""Edge, in px, of the squares that pieces consist of.

All strides divide it, and fewer sizes of windows mean fewer kernels to choose.
"""


def painted_pieces(
    painted: Tensor, core: Rectangle, needed: Callable[[Rectangle], Rectangle]
) -> list[Rectangle]:
    """Cut the painted part of a core into pieces that do not overlap.

    Args:
        painted: how much of each pixel is painted, (h, w), somewhere above 0. It may be smaller
            than the core at the bottom and on the right, where there is only padding.
        core: in px, in the frame.
        needed: what a network must compute for a piece.
    """
    is_painted = (painted > 0)[None].float()
    blocks = F.max_pool2d(is_painted, BLOCK, ceil_mode=True)[0].bool()

    def in_frame(area: Rectangle) -> Rectangle:
        bottom, right = (
            length if last == count else last * BLOCK
            for last, count, length in zip((area.bottom, area.right), blocks.shape, core.size)
        )
        piece = Rectangle(area.top * BLOCK, area.left * BLOCK, bottom, right)
        return piece.shifted(core.top, core.left)

    def cost(area: Rectangle) -> int:
        return needed(in_frame(area)).area

    _, pieces = _cheapest(blocks, Rectangle.of_size((blocks.shape[0], blocks.shape[1])), cost)
    return [in_frame(piece) for piece in pieces]


def _cheapest(
    blocks: Tensor, area: Rectangle, cost: Callable[[Rectangle], int]
) -> tuple[int, list[Rectangle]]:
    """The cost of an area's painted blocks, and the pieces that cost the least."""
    box = _box(blocks, area)
    if box is None:
        return 0, []
    whole = cost(box)
    if max(box.size) == 1 or bool(blocks[box.slices].all()):
        return whole, [box]
    halves = [_cheapest(blocks, half, cost) for half in _halves(box)]
    apart = sum(each for each, _ in halves)
    if apart < whole:
        return apart, [piece for _, pieces in halves for piece in pieces]
    return whole, [box]


def _box(blocks: Tensor, area: Rectangle) -> Rectangle | None:
    """The smallest rectangle with all painted blocks of an area; None if there are none."""
    inside = blocks[area.slices]
    rows, columns = inside.any(dim=1).nonzero(), inside.any(dim=0).nonzero()
    if not len(rows):
        return None
    box = Rectangle(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return box.shifted(area.top, area.left)


def _halves(area: Rectangle) -> tuple[Rectangle, Rectangle]:
    """Both halves of an area, cut across its longer side."""
    top, left, bottom, right = area.top, area.left, area.bottom, area.right
    if area.height >= area.width:
        middle = (top + bottom) // 2
        return Rectangle(top, left, middle, right), Rectangle(middle, left, bottom, right)
    middle = (left + right) // 2
    return Rectangle(top, left, bottom, middle), Rectangle(top, middle, bottom, right)
