"""Half precision by proof: used only where it agrees with float32 on the picture at hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .backbone import TileNetwork, Traits, pad_to_frame, size_of
from .canvas import Source, make_thumbnail

PROOF_DECIBELS = 45.0
"""How close half precision must come to float32: an error of about 1.4 in 255."""

PROOF_SIZE = 512
"""Longest side of the picture that is tried, in px."""


def fastest_proven(
    baked: TileNetwork, content: Source, traits: Traits, device: torch.device
) -> torch.dtype:
    """The fastest type to compute in that keeps this picture.

    Only CUDA devices gain from half precision without losing much of the picture; elsewhere it
    is float32.
    """
    if device.type != "cuda":
        return torch.float32
    thumbnail = make_thumbnail(content, PROOF_SIZE).to(device)
    window = pad_to_frame(thumbnail, traits.frame_of(size_of(thumbnail)))
    for dtype in traits.half_precision:
        if decibels_lost(baked, window, device, dtype) >= PROOF_DECIBELS:
            return dtype
    return torch.float32


def decibels_lost(
    baked: TileNetwork, window: Tensor, device: torch.device, dtype: torch.dtype
) -> float:
    """Peak signal-to-noise ratio of ``dtype`` against float32, in dB; infinite where equal."""
    with torch.inference_mode():
        full = baked.prepared(device)(window).clamp(0, 1)
        half = baked.prepared(device, dtype)(window).clamp(0, 1)
        error = float((full - half).square().mean())
    if math.isnan(error):
        return -math.inf
    return -10 * math.log10(error) if error > 0 else math.inf
