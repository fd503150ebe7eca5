"""Turns automatic mixed precision off where it would change dtypes that must stay."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Run operations in the dtype of their operands, even inside autocast."""
    # Before version 2.5, PyTorch's autocast does not accept MPS, even to be disabled.
    is_available = getattr(torch.amp, "is_autocast_available", ("cpu", "cuda").__contains__)
    kind = device.type
    return torch.autocast(kind, enabled=False) if is_available(kind) else nullcontext()
