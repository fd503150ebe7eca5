"""Automatic mixed precision, left where it would narrow or widen what should stay."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Operations in the dtype of their operands, also inside autocast."""
    # Before version 2.5 PyTorch has no autocast on MPS, not even to leave it.
    is_available = getattr(torch.amp, "is_autocast_available", ("cpu", "cuda").__contains__)
    kind = device.type
    return torch.autocast(kind, enabled=False) if is_available(kind) else nullcontext()
