"""Noise that a network turns into strokes where the content is flat.

A network paints what it sees: a clear sky comes out flat, with the contours of its 8 bits and the
network's own grid. Faint noise gives it something to paint. The noise is made from each pixel's
coordinates and a seed, in whole numbers up to one last product: every tile of any size, on any
machine, gets the same values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle

if TYPE_CHECKING:
    import numpy.typing as npt

    Words: TypeAlias = npt.NDArray[np.uint32]

STRONGEST = 0.04
"""The noise's deviation in flat places at brushwork 1, of pixels of 0..1."""

FLATNESS_RADIUS = 4
"""How far around a pixel the content is looked at, in px."""

FLAT_DEVIATION = 0.02
"""Where the content's luminance deviates by that much, the noise has half its strength."""

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Shares of red, green and blue (ITU-R BT.709)."""

LARGEST_SEED = 2**32 - 1

FILTER_RADIUS = 2
"""Of the binomial filter that makes grains of about 2 px."""

ROWS_AT_ONCE = 64
"""Few, so that the words of a strip stay in the processor's caches."""

# Of the four bytes' sum, filtered along both sides: 70 is the sum of the filter's squares.
_UNIT = np.float32(1 / (70 * math.sqrt(4 * (256**2 - 1) / 12)))


def noise(area: Rectangle, *, level: int, seed: int) -> Tensor:
    """Noise of a part of a picture.

    Args:
        area: the part, anywhere.
        level: number of the level, each of which has its own noise.
        seed: 0 to 2³² - 1.

    Returns:
        (1, h, w), float32, on the CPU; mean 0, deviation 1, nearly Gaussian, grains of about 2 px.
    """
    salts = (np.array([4 * level + 1, 4 * level + 2]) * 0x9E3779B9) & 0xFFFFFFFF
    row_salt, column_salt = _mixed(salts.astype(np.uint32) ^ np.uint32(seed))
    wide = area.grown(FILTER_RADIUS)
    row_words = _mixed(np.arange(wide.top, wide.bottom).astype(np.uint32) + row_salt)
    column_words = _mixed(np.arange(wide.left, wide.right).astype(np.uint32) + column_salt)
    grains = np.empty(area.size, np.float32)
    for top in range(0, area.height, ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        words = _mixed(row_words[top : top + ROWS_AT_ONCE + 2 * FILTER_RADIUS, None] ^ column_words)
        filtered = _filtered(_filtered(_white(words)).astype(np.int32).T).T
        np.multiply(filtered, _UNIT, out=grains[rows], casting="unsafe", dtype=np.float32)
    return torch.from_numpy(grains).unsqueeze(0)


def _white(words: Words) -> npt.NDArray[np.int16]:
    """The sum of each word's four bytes, with a mean of 0."""
    low = np.uint32(0x00FF00FF)
    pairs = (words & low) + ((words >> np.uint32(8)) & low)
    sums = (pairs + (pairs >> np.uint32(16))) & np.uint32(0xFFFF)
    return sums.astype(np.int16) - np.int16(510)


def _filtered(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Along the first axis, whose ends are lost: [1 4 6 4 1] as four sums of neighbors."""
    for _ in range(2 * FILTER_RADIUS):
        values = values[1:] + values[:-1]
    return values


def _mixed(words: Words) -> Words:
    """Each word's bits, mixed by a hash with hardly any bias (the constants are lowbias32's)."""
    words = words ^ (words >> np.uint32(16))
    words = words * np.uint32(0x7FEB352D)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x846CA68B)
    words ^= words >> np.uint32(16)
    return words


def flatness(content: Tensor) -> Tensor:
    """How flat the content is around each pixel: 1 where it has one color, near 0 in details.

    Args:
        content: (3, h, w), floating, 0..1. Beyond its edges the nearest pixel counts, so that
            values within ``FLATNESS_RADIUS`` px of an edge are not those of a wider window.

    Returns:
        (1, h, w), of the type and on the device of the content.
    """
    red, green, blue = content
    luminance = (red * LUMINANCE[0]).add_(green * LUMINANCE[1]).add_(blue * LUMINANCE[2])
    mean, mean_square = _means(torch.stack([luminance, luminance * luminance]))
    variance = (mean_square - mean * mean).clamp_(min=0.0)
    flat = FLAT_DEVIATION**2
    return (flat / (variance + flat)).unsqueeze(0)


def _means(values: Tensor) -> Tensor:
    """Means over squares of 9 px, (C, h, w) → (C, h, w); the same additions for each pixel."""
    padded = F.pad(values.unsqueeze(0), (FLATNESS_RADIUS,) * 4, mode="replicate")[0]
    return _sums_of_nine(_sums_of_nine(padded, 1), 2).mul_(1 / 81)


def _sums_of_nine(values: Tensor, dim: int) -> Tensor:
    sums = values
    for distance in (1, 2, 4):
        length = sums.shape[dim] - distance
        sums = sums.narrow(dim, 0, length) + sums.narrow(dim, distance, length)
    length = values.shape[dim] - 8
    return sums.narrow(dim, 0, length) + values.narrow(dim, 8, length)
