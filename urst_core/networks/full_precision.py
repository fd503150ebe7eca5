"""Float32 that is float32: no TF32, no shortened sums, whatever the process has switched on."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

SHORTENED_SUMS = (
    "allow_fp16_accumulation",
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
)
"""Settings of CUDA's matrix products."""

_lock = threading.Lock()
_entered = 0
_earlier: list[tuple[Any, str, Any]] = []


@contextmanager
def full_precision() -> Generator[None, None, None]:
    """Compute exactly as the tensors' type says; also a decorator.

    On NVIDIA GPUs PyTorch convolves float32 with 10 bits of mantissa (TF32) unless told otherwise,
    and a program around the engine may have chosen sums in half precision, or bfloat16 for float32
    products on the CPU. A tile would differ from the whole picture then, by the algorithm that its
    size gets. The settings belong to the process: the last thread that leaves restores them.

    Example:
        >>> with full_precision():
        ...     torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        False
    """
    global _entered  # noqa: PLW0603 - the settings are global, too
    with _lock:
        if not _entered:
            _earlier[:] = [(place, name, getattr(place, name)) for place, name, _ in _exact()]
            for place, name, value in _exact():
                setattr(place, name, value)
        _entered += 1
    try:
        yield
    finally:
        with _lock:
            _entered -= 1
            if not _entered:
                for place, name, value in _earlier:
                    setattr(place, name, value)


def _exact() -> Generator[tuple[Any, str, Any], None, None]:
    """Modules of PyTorch, names of settings, and the values that change nothing."""
    backends: Any = torch.backends  # typed in part
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        # PyTorch 2.9 and later. The older names would fail if the newer were ever set.
        for place in (
            backends.cudnn.conv,
            backends.cuda.matmul,
            backends.mkldnn.conv,
            backends.mkldnn.matmul,
        ):
            yield place, "fp32_precision", "ieee"
    else:
        yield backends.cudnn, "allow_tf32", False
        yield backends.cuda.matmul, "allow_tf32", False
    for name in SHORTENED_SUMS:
        if hasattr(backends.cuda.matmul, name):
            yield backends.cuda.matmul, name, False
