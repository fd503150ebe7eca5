"""Whole pictures, band by band: on their way between a file and memory they are held once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import DeviceError
from ..geometry import Rectangle, Size
from ..tiling.device import free_bytes
from ..tiling.loop import Listener, Progress, ignore
from .source import Source

BAND_PIXELS = 2_000_000
"""How many pixels are on their way at a time: some 50 MB with everything made of them."""


def bands(size: Size) -> Iterator[Rectangle]:
    """Whole rows, from the top, of about ``BAND_PIXELS`` a band."""
    height, width = size
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield Rectangle(top, 0, min(top + rows, height), width)


def read_bands(
    source: Source, stage: str, listener: Listener = ignore
) -> Iterator[tuple[Rectangle, Tensor]]:
    """Read a whole picture, band by band.

    Args:
        source: the picture.
        stage: what the bands are for, for the listener.
        listener: told before the first band, and after the caller is done with each; what it
            raises ends the reading.

    Yields:
        The band's place and its pixels as they are stored, (C, h, w).
    """
    rectangles = list(bands(source.size))
    total = source.size[0] * source.size[1]
    done = 0
    listener(Progress(stage, 0, len(rectangles), 0, total))
    for index, rectangle in enumerate(rectangles, start=1):
        yield rectangle, source.read(rectangle)
        done += rectangle.area
        listener(Progress(stage, index, len(rectangles), done, total, rectangle))


def check_host_memory(needed_bytes: int, what: str, *, remedy: str) -> None:
    """Refuse, in time, what the machine's memory cannot hold: later the system ends the process.

    Args:
        needed_bytes: what will be held at once.
        what: whose they are, for the message.
        remedy: what else to do than to close programs.

    Raises:
        DeviceError: less is free.
    """
    free = free_bytes(torch.device("cpu"))
    if needed_bytes > free:
        raise DeviceError(
            f"{what} needs {needed_bytes / 1e9:.2f} GB of memory, {free / 1e9:.2f} GB are free; "
            f"close other programs, or {remedy}"
        )
