"""Float32 that is float32: no TF32, no shortened sums, no algorithms chosen by a stopwatch."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch

SHORTENED_SUMS = (
    "allow_fp16_accumulation",
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
)
"""Settings of CUDA's matrix products."""

SPLIT_SUMS = "_split_k"
"""Ending of the settings that PyTorch 2.10 and later set together with the first of a pair."""

_lock = threading.Lock()
_entered = 0
_earlier: list[tuple[Any, str, Any]] = []


@contextmanager
def full_precision() -> Generator[None, None, None]:
    """Compute exactly as the tensors' type says; also a decorator.

    On NVIDIA GPUs PyTorch convolves float32 with 10 bits of mantissa (TF32) unless told otherwise,
    and a program around the engine may have chosen sums in half precision, or bfloat16 for float32
    products on the CPU. A tile would differ from the whole picture then, by the algorithm that its
    size gets. cuDNN's algorithms are deterministic and not chosen by their times, which differ from
    run to run. The settings belong to the process: other threads have them too meanwhile, and the
    last thread that leaves restores them.

    Example:
        >>> with full_precision():
        ...     torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
        False
    """
    global _entered  # noqa: PLW0603 - the settings are global, too
    with _lock:
        if not _entered:
            settings = list(_exact())
            _earlier[:] = [(place, name, earlier) for place, name, earlier, _ in settings]
            for place, name, _, value in settings:
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


def _exact() -> Iterator[tuple[Any, str, Any, Any]]:
    """Modules of PyTorch, names of settings, their values, and those that change nothing."""
    backends: Any = torch.backends  # typed in part
    products, convolutions = backends.cuda.matmul, backends.cudnn
    exact = [(convolutions, "benchmark", False), (convolutions, "deterministic", True)]
    if hasattr(products, "fp32_precision"):
        # PyTorch 2.9 and later. The older names would fail if the newer were ever set.
        places = convolutions.conv, products, backends.mkldnn.conv, backends.mkldnn.matmul
        exact += [(place, "fp32_precision", "ieee") for place in places]
    else:
        exact += [(convolutions, "allow_tf32", False), (products, "allow_tf32", False)]
    for place, name, value in exact:
        yield place, name, getattr(place, name), value
    for name in SHORTENED_SUMS:
        if hasattr(products, name + SPLIT_SUMS):
            splits = getattr(products, name + SPLIT_SUMS)
            yield products, name, (getattr(products, name), splits), (False, splits)
        elif hasattr(products, name):
            yield products, name, getattr(products, name), False
