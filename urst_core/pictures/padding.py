"""Padding, and reading windows that reach beyond the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .source import FULL_SCALE, Source, check_finite, to_unit


def size_of(image: Tensor) -> Size:
    """Height and width of (..., H, W)."""
    return image.shape[-2], image.shape[-1]


def pad_to_frame(image: Tensor, frame: Size) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until the frame is full.

    Repetition, not reflection: it is defined for an image of 1 x 1 px too.
    """
    height, width = size_of(image)
    below, beside = frame[0] - height, frame[1] - width
    # Not F.pad, which does not support 16-bit integers.
    if below:
        image = torch.cat([image, image[..., -1:, :].expand(-1, -1, below, -1)], dim=-2)
    if beside:
        image = torch.cat([image, image[..., -1:].expand(-1, -1, -1, beside)], dim=-1)
    return image


def read_stored(source: Source, window: Rectangle) -> Tensor:
    """Read the part of a window that is inside the picture, or else the pixels nearest to it.

    Returns:
        Pixels as they are stored, (C, h, w), not empty. Anything that is missing on the right and
        at the bottom is padding.

    Raises:
        ImageError: a floating picture has NaN or infinite values there.
    """
    inside = _inside(source.size, window)
    stored = source.read(inside)
    if source.dtype not in FULL_SCALE:
        check_finite(stored[:3], inside)
    return stored


def window_of(stored: Tensor, size: Size) -> Tensor:
    """Stored pixels as a network takes them, padded to the window's size.

    Args:
        stored: (C, h, w), with or without alpha, on any device.
        size: height and width of the window; the last row and column are repeated to fill it.

    Returns:
        (1, 3, height, width), float32, 0..1, on the same device.
    """
    return pad_to_frame(to_unit(stored[:3]).unsqueeze(0), size)


def read_window(source: Source, window: Rectangle, device: torch.device) -> Tensor:
    """Read a window of the frame; beyond the picture its last row and column are repeated.

    Returns:
        (1, 3, h, w), float32, 0..1, on ``device``.

    Raises:
        ImageError: a floating picture has NaN or infinite values.
    """
    return window_of(read_stored(source, window).to(device), window.size)


def _inside(image: Size, window: Rectangle) -> Rectangle:
    height, width = image
    return Rectangle(
        min(window.top, height - 1),
        min(window.left, width - 1),
        min(window.bottom, height),
        min(window.right, width),
    )
