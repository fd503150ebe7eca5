"""Blocks of a picture, in which a processor computes what it does with single pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

from ..geometry import Rectangle
from .device import single_threads

BLOCK = (576, 576)
"""Largest height and width of blocks, in px."""

MOST_AT_ONCE = 8
"""Blocks that are computed at the same time at most; each takes some 30 MB."""


def each_block(area: Rectangle, device: torch.device, compute: Callable[[Rectangle], None]) -> None:
    """Call ``compute`` with each of the :func:`blocks`, in any order.

    A CPU computes several blocks at the same time, each with a single thread: to share the few
    pixels of every operation among its threads would take longer than to compute them.

    Args:
        area: the area.
        device: device that computes.
        compute: stores the result of a block; called from several threads. Its errors are raised.
    """
    parts = [*blocks(area, device)]
    at_once = min(torch.get_num_threads(), MOST_AT_ONCE) if device.type == "cpu" else 1
    if min(at_once, len(parts)) < 2:
        for part in parts:
            compute(part)
        return
    is_inference = torch.is_inference_mode_enabled()

    def compute_here(part: Rectangle) -> None:
        with torch.inference_mode(is_inference):
            compute(part)

    for _ in _threads(at_once).map(compute_here, parts):
        pass


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return single_threads(count, "urst-blocks")


def blocks(area: Rectangle, device: torch.device) -> Iterator[Rectangle]:
    """The parts of an area that are computed each by itself.

    On a CPU, a block fits in the caches; with whole windows every addition would wait for memory.
    All blocks of an area have nearly the same size, as large as may be, since each of them also
    reads pixels around it. Other devices need large areas to be busy.
    """
    if device.type != "cpu":
        yield area
        return
    columns = [*_parts(area.left, area.right, BLOCK[1])]
    for top, bottom in _parts(area.top, area.bottom, BLOCK[0]):
        for left, right in columns:
            yield Rectangle(top, left, bottom, right)


def _parts(start: int, stop: int, most: int) -> Iterator[tuple[int, int]]:
    """Start and stop of the fewest parts of a length, of at most so many px each."""
    count = max(1, math.ceil((stop - start) / most))
    edges = [start + (stop - start) * number // count for number in range(count + 1)]
    return pairwise(edges)
