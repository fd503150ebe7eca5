"""Half precision by trial: used only if it agrees with float32 on the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry import Rectangle, cut, round_up, tile_around
from ..networks.network import Traits
from ..networks.tile_network import TileNetwork
from ..pictures.padding import pad_to_frame, size_of
from ..pictures.source import Source
from ..pictures.thumbnail import make_thumbnail
from .device import has_fast_bfloat16

PROOF_DECIBELS = 45.0
"""Required closeness to float32: an error of about 1.4 in 255."""

PROOF_SIZE = 512
"""Longest side of the picture that precisions are tried on, in px."""

TRIED_EDGES = (48, 144)
"""Edges of the tiles that are compared with a whole window, in px."""

LEAST_PIXELS_ON_CPU = 4_000_000
"""A CPU stylizes smaller pictures in less time than it takes to try two precisions."""


def fastest_proven(
    baked: TileNetwork,
    sample: Source,
    traits: Traits,
    device: torch.device,
    *,
    pixels: int | None = None,
) -> torch.dtype:
    """The fastest dtype that does not visibly change the picture.

    Pictures of 16 bits or floats are computed in float32: no half-precision type keeps 12
    significant bits of a smooth gradient (``benchmarks/RESULTS.md``), so banding would be visible.
    So are local statistics, which amplify the faintest areas most.

    Args:
        baked: the tile network of the picture.
        sample: the picture, or a part of it; the result has its dtype.
        traits: of the backbone.
        device: device to compute on.
        pixels: total number of pixels to compute; that of the sample if None.

    Returns:
        A half-precision type that reaches 45 dB on the sample and, on a CPU, gives the same bits
        for any tile size; otherwise float32.
    """
    if sample.dtype != torch.uint8 or baked.is_local:
        return torch.float32
    height, width = sample.size
    candidates = narrow_types(traits, device, height * width if pixels is None else pixels)
    if not candidates:
        return torch.float32
    thumbnail = make_thumbnail(sample, PROOF_SIZE).to(device)
    window = pad_to_frame(thumbnail, traits.frame_of(size_of(thumbnail)))
    for dtype in candidates:
        keeps = decibels_lost(baked, window, device, dtype) >= PROOF_DECIBELS
        if keeps and (device.type != "cpu" or hides_tiles(baked, window, traits, dtype)):
            return dtype
    return torch.float32


def narrow_types(traits: Traits, device: torch.device, pixels: int) -> Sequence[torch.dtype]:
    """The dtypes that are faster than float32 for that many pixels, in the order of trials.

    bfloat16 is faster if the hardware multiplies it; on a CPU, only if there are many pixels.
    """
    if device.type == "cuda":
        has_bfloat16 = has_fast_bfloat16(device)
        return [t for t in traits.half_precision if t != torch.bfloat16 or has_bfloat16]
    holds = torch.bfloat16 in traits.half_precision
    pays = device.type == "cpu" and pixels >= LEAST_PIXELS_ON_CPU
    return (torch.bfloat16,) if holds and pays and has_fast_bfloat16() else ()


def hides_tiles(baked: TileNetwork, window: Tensor, traits: Traits, dtype: torch.dtype) -> bool:
    """Whether tiles of other sizes give the same bits on this machine's CPU.

    Libraries choose kernels by the size of their inputs, and some of these sum in another order.
    In float32 the difference is invisible in 8 bits; one bit of bfloat16 is not.

    Args:
        baked: the network of the picture.
        window: (1, 3, H, W), float32, treated as a whole frame.
        traits: of the backbone.
        dtype: dtype to compute in.
    """
    network, frame = baked.prepared(torch.device("cpu"), dtype), size_of(window)
    with torch.inference_mode():
        whole = network(window)
        for edge in TRIED_EDGES:
            cores = list(cut(Rectangle.of_size(frame), round_up(edge, traits.stride)))
            # At a corner of the frame, and in its middle.
            for core in (cores[0], cores[len(cores) // 2]):
                tile = tile_around(core, traits.halo, frame)
                part = window[(..., *tile.window.slices)]
                stylized = network(part, at_border=tile.touches_border(frame))
                inner = stylized[(..., *tile.core_in_window.slices)]
                if not torch.equal(inner, whole[(..., *core.slices)]):
                    return False
    return True


def decibels_lost(
    baked: TileNetwork, window: Tensor, device: torch.device, dtype: torch.dtype
) -> float:
    """Peak signal-to-noise ratio of ``dtype`` against float32, in dB; infinite if equal."""
    with torch.inference_mode():
        full = baked.prepared(device)(window).clamp(0, 1)
        half = baked.prepared(device, dtype)(window).clamp(0, 1)
        error = float((full - half).square().mean())
    if math.isnan(error):
        return -math.inf
    return -10 * math.log10(error) if error > 0 else math.inf
