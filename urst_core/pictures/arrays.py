"""NumPy arrays and tensors as the engine's pixels, and back.

Users keep pictures in several layouts; the engine has one, (C, H, W) with C = 3 or 4::

    array   (H, W)      (H, W, 1)   gray, repeated three times
            (H, W, 3)   (H, W, 4)   RGB, RGB and alpha
    tensor  (1, H, W)   (3, H, W)   (4, H, W)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError, ShapeError
from .source import FULL_SCALE

if TYPE_CHECKING:
    import numpy.typing as npt

ARRAY_TYPES = ("uint8", "uint16", "float16", "float32", "float64")

FLOATING_RANGE = (-1.0, 2.0)
"""Values beyond it are not meant as 0..1; filters that sharpen overshoot by less."""


def pixels_of_array(array: npt.NDArray[Any]) -> Tensor:
    """An array's pixels, (3 or 4, H, W), in its own type; it shares the array's memory if it can.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16, or floating 0..1.

    Raises:
        ShapeError: it has another shape.
        ImageError: it has another type, or floating values that are far from 0..1.

    Example:
        >>> import numpy as np
        >>> pixels_of_array(np.zeros((20, 30), np.uint8)).shape
        torch.Size([3, 20, 30])
    """
    rows = array[..., None] if array.ndim == 2 else array
    if rows.ndim != 3 or rows.shape[-1] not in (1, 3, 4) or 0 in rows.shape:
        raise ShapeError(f"array of shape {array.shape} is not a picture", _array_remedy(array))
    native = array.dtype.newbyteorder("=")
    if native.name not in ARRAY_TYPES:
        raise ImageError(
            f"array of {array.dtype} values is not a picture", _dtype_remedy(array.dtype.kind)
        )
    # torch takes neither another machine's byte order, nor reversed or read-only memory.
    rows = np.require(rows, native, ["C", "W"])
    return _as_color(torch.from_numpy(rows).permute(2, 0, 1))


def array_of_pixels(pixels: Tensor) -> npt.NDArray[Any]:
    """Pixels, (C, H, W), as an array, (H, W, C), of their type."""
    return pixels.cpu().permute(1, 2, 0).contiguous().numpy()


def pixels_of_tensor(picture: Tensor) -> Tensor:
    """A tensor's pixels, (3 or 4, H, W), in its own type, on its device, without its gradient.

    Args:
        picture: (1, H, W), (3, H, W) or (4, H, W); uint8, uint16, or floating 0..1.

    Raises:
        ShapeError: it has another shape.
        ImageError: it has another type, or floating values that are far from 0..1.

    Example:
        >>> pixels_of_tensor(torch.rand(4, 20, 30)).shape
        torch.Size([4, 20, 30])
    """
    if picture.ndim != 3 or picture.shape[0] not in (1, 3, 4) or 0 in picture.shape:
        raise ShapeError(
            f"tensor of shape {tuple(picture.shape)} is not a picture", _tensor_remedy(picture)
        )
    if picture.dtype not in FULL_SCALE and not picture.dtype.is_floating_point:
        kind = "b" if picture.dtype == torch.bool else "i"
        raise ImageError(f"tensor of {picture.dtype} values is not a picture", _dtype_remedy(kind))
    return _as_color(picture.detach())


def _as_color(pixels: Tensor) -> Tensor:
    """Pixels with gray repeated; their values are checked."""
    if pixels.is_floating_point():
        # NaN passes, and is refused by name where it is read.
        least, most = (float(value) for value in pixels.aminmax())
        if least < FLOATING_RANGE[0] or most > FLOATING_RANGE[1]:
            raise ImageError(
                f"floating pixels from {least:g} to {most:g} are not a picture",
                "bring them to 0..1 (0..255: divide by 255)",
                "pass uint8 or uint16",
            )
    return pixels.expand(3, -1, -1) if pixels.shape[0] == 1 else pixels


def _array_remedy(array: npt.NDArray[Any]) -> str:
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return "channels come last in arrays: pass array.transpose(1, 2, 0)"
    return "pass (height, width), or (height, width, channels) with 1, 3 or 4 channels"


def _tensor_remedy(picture: Tensor) -> str:
    if picture.ndim == 3 and picture.shape[-1] in (1, 3, 4):
        return "channels come first in tensors: pass tensor.permute(2, 0, 1)"
    return "pass (channels, height, width) with 1, 3 or 4 channels"


def _dtype_remedy(kind: str) -> str:
    if kind == "b":
        return "it looks like a mask; pass uint8, uint16, or floating values of 0..1"
    return "pass uint8 (0 to 255), uint16 (0 to 65535), or floating values of 0..1"
