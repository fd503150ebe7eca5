"""The tile size that fits in a device's free memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ..geometry import Size, round_up, windows_area
from .device import free_bytes

if TYPE_CHECKING:
    from ..networks.network import Traits

LARGEST_TILE = 2048
"""Larger tiles have no advantage: the halo is only a few percent, and the kernels are busy."""

TOLERANCE = 1.01
"""Smaller tiles, which take less memory, may read this many times the fewest pixels."""

MEMORY_SHARE = 0.5
"""Share of the free memory that one tile pass may take."""


def choose_tile_size(
    frame: Size,
    traits: Traits,
    dtype: torch.dtype,
    device: torch.device,
    *,
    available_bytes: int | None = None,
    margin: int = 0,
) -> int:
    """Choose the edge of cores that fits in memory and reads few pixels twice.

    Args:
        frame: height and width of the padded image.
        traits: of the backbone.
        dtype: dtype that the tile network computes in.
        device: device that it computes on.
        available_bytes: memory to plan with; the device's free memory if None.
        margin: additional halo of windows, in px.

    Returns:
        A multiple of the stride; the smallest possible one if memory is short.
    """
    if available_bytes is None:
        available_bytes = free_bytes(device)
    most = largest_fitting(traits, dtype, available_bytes, margin=margin)
    return cheapest_edge(frame, traits, most=most, margin=margin)


def largest_fitting(
    traits: Traits, dtype: torch.dtype, available_bytes: int, *, margin: int = 0
) -> int:
    """The largest edge of cores, in px, whose windows fit in memory; 0 or less if none does.

    Args:
        traits, dtype, available_bytes, margin: as for :func:`choose_tile_size`.
    """
    bytes_per_pixel = traits.bytes_per_pixel * dtype.itemsize / 4
    # An overcommitted device reports a negative amount.
    window = math.isqrt(max(0, int(available_bytes * MEMORY_SHARE / bytes_per_pixel)))
    return window - 2 * (traits.halo + margin)


def cheapest_edge(frame: Size, traits: Traits, *, most: int, margin: int = 0) -> int:
    """The smallest edge of cores that reads hardly more pixels twice than the best one.

    A frame a little larger than a few tiles takes one more in each row and column: as many as there
    would be of smaller ones, which take less memory.

    Args:
        frame, traits, margin: as for :func:`choose_tile_size`.
        most: the largest edge that fits in memory.

    Returns:
        A multiple of the stride; the smallest possible one if ``most`` is smaller.
    """
    step = math.lcm(traits.stride, 32)
    most = max(step, min(most, LARGEST_TILE, round_up(max(frame), step)) // step * step)
    least = max(step, round_up(most // 2, step))
    halo = traits.halo + margin
    areas = {edge: windows_area(frame, edge, halo) for edge in range(least, most + 1, step)}
    limit = TOLERANCE * min(areas.values())
    return min(edge for edge, area in areas.items() if area <= limit)
