"""How many equal windows go through a network at once.

A small window does not keep a GPU busy. On a CPU batches are never faster, since a window's bands
are as large as its caches (``benchmarks/NOTES.md``).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from ..geometry import Size
from ..networks.network import Traits
from ..networks.tile_network import TileNetwork
from .device import free_bytes, is_out_of_memory, release_memory, wait_for
from .loop import TileLoop
from .tile_size import LARGEST_TILE, MEMORY_SHARE

LARGEST_BATCH = 8

LEAST_BATCHES = 60
"""Minimum number of batches in a picture: trying sizes up to n computes fewer than 6 n windows, a
tenth of so many."""

LEAST_GAIN = 1.05
"""How many times as fast as the size before a larger batch must be."""

Trial = Callable[[int], tuple[Tensor, float]]
"""Computes that many equal windows; returns the last result, (3, H, W), and the seconds of all."""


def largest_batch(
    frame: Size,
    edge: int,
    halo: int,
    traits: Traits,
    dtype: torch.dtype,
    device: torch.device,
    *,
    available_bytes: int | None = None,
) -> int:
    """The largest batch to be tried: a power of two, 1 on a CPU.

    Args:
        frame: height and width of the padded picture.
        edge, halo: of the tiles.
        traits: of the backbone.
        dtype, device: of the tile network.
        available_bytes: memory to plan with; the device's free memory if None.
    """
    tiles = -(-frame[0] // edge) * -(-frame[1] // edge)
    if device.type == "cpu" or tiles < 2 * LEAST_BATCHES:
        return 1
    window = edge + 2 * halo
    if available_bytes is None:
        available_bytes = free_bytes(device)
    window_bytes = window**2 * traits.bytes_per_pixel * dtype.itemsize / 4
    most = min(
        LARGEST_BATCH,
        tiles // LEAST_BATCHES,
        LARGEST_TILE**2 // window**2,
        int(max(0, available_bytes) * MEMORY_SHARE / window_bytes),
    )
    return 1 << max(0, most.bit_length() - 1)


def choose_batch(network: TileNetwork, tiles: TileLoop, *, trial: Trial | None = None) -> int:
    """Try batches of 2, 4, ... windows, as long as each is faster and gives the same bits.

    Args:
        network: prepared for the device.
        tiles: of the picture.
        trial: for tests; by default the network computes random windows.

    Returns:
        The number of tiles to compute together, a power of two.
    """
    most = largest_batch(
        tiles.frame, tiles.edge, tiles.halo, tiles.traits, network.compute_dtype, tiles.device
    )
    if most == 1 or network.is_local:
        return 1
    trial = trial or trial_on(network, tiles)
    alone, seconds = trial(1)
    batch = 1
    try:
        while batch < most:
            together, of_all = trial(2 * batch)
            faster = seconds >= LEAST_GAIN * of_all / (2 * batch)
            if not faster or not torch.equal(together, alone):
                break
            batch, seconds = 2 * batch, of_all / (2 * batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        release_memory(tiles.device)
    return batch


def trial_on(network: TileNetwork, tiles: TileLoop, *, rounds: int = 2) -> Trial:
    """A trial that computes the same random window again and again; the best round counts."""
    edge = tiles.edge + 2 * tiles.halo
    generator = torch.Generator().manual_seed(0)
    window = torch.rand((1, 3, edge, edge), generator=generator).to(tiles.device)

    @torch.inference_mode()
    def trial(count: int) -> tuple[Tensor, float]:
        windows = window.expand(count, -1, -1, -1)
        result = network(windows, at_border=False)  # chooses kernels
        best = float("inf")
        for _ in range(rounds):
            wait_for(tiles.device)
            started = time.perf_counter()
            result = network(windows, at_border=False)
            wait_for(tiles.device)
            best = min(best, time.perf_counter() - started)
        return result[-1], best

    return trial
