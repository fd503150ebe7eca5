"""Types that pixels are stored as: what NumPy, Zarr and libvips call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

NUMPY_TYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.uint8: np.dtype(np.uint8),
    torch.uint16: np.dtype(np.uint16),
    torch.float16: np.dtype(np.float16),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
"""NumPy's type for each, in the machine's byte order; Zarr uses the same names."""

VIPS_TYPES: dict[str, torch.dtype] = {"uchar": torch.uint8, "ushort": torch.uint16}
"""Types of picture files, by libvips's names."""


def torch_type(stored: np.dtype[Any]) -> torch.dtype | None:
    """The type of pixels that NumPy calls ``stored``, in either byte order; None for all others."""
    native = stored.newbyteorder("=")
    return next((dtype for dtype, name in NUMPY_TYPES.items() if name == native), None)
