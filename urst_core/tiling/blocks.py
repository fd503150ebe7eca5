"""Blocks of a picture, in which a processor computes what it does with single pixels."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..geometry import Rectangle

BLOCK = (256, 512)
"""Height and width of blocks, in px."""


def blocks(area: Rectangle, device: torch.device) -> Iterator[Rectangle]:
    """The parts of an area that are computed one after the other.

    On a CPU, a block fits in the caches; with whole windows every addition would wait for memory.
    Blocks begin at multiples of their size, so that weights are computed once for many of them.
    Other devices need large areas to be busy.
    """
    if device.type != "cpu":
        yield area
        return
    height, width = BLOCK
    for top in range(area.top // height * height, area.bottom, height):
        for left in range(area.left // width * width, area.right, width):
            yield Rectangle(top, left, top + height, left + width).clipped_to(area)
