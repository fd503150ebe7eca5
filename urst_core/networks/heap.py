"""Memory that was freed, and that the C library keeps nevertheless."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import torch

from ..geometry import Rectangle

LEAST_AREA = 512 * 512
"""Windows from which on it is worth it, in px: returning memory takes milliseconds."""


def return_free_memory(device: torch.device, window: Rectangle) -> None:
    """Return freed memory to the operating system, if a CPU computes and its C library can (glibc).

    A network, the resampling of levels and the codecs of files free pieces of other sizes than the
    next step needs, so the heap would grow around holes of hundreds of megabytes. Returned pages
    are zeroed when they are used again, which takes 2% to 5% of the time.

    Args:
        device: where the windows are computed.
        window: the window that is computed; nothing is done for small ones.
    """
    trim = _trim() if device.type == "cpu" and window.area >= LEAST_AREA else None
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim; None in other C libraries."""
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # TypeError: on Windows, where None has no library
        return None
    function.argtypes, function.restype = [ctypes.c_size_t], ctypes.c_int
    return function
