"""Noise that a network turns into strokes where the content is flat.

Without structure to paint, a network leaves a clear sky flat, with the banding of its 8 bits and
the network's own grid. Faint noise gives it something to paint. The noise is computed from each
pixel's coordinates and a seed, in integers except for a final product, so that tiles of any size,
on any machine, get the same values.
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
"""Standard deviation of the noise in flat areas at brushwork 1, for pixels in 0..1."""

FLATNESS_RADIUS = 4
"""Radius of the area around a pixel in which flatness is measured, in px."""

FLAT_DEVIATION = 0.02
"""Standard deviation of the content's luminance at which the noise has half its strength."""

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue (ITU-R BT.709)."""

LARGEST_SEED = 2**32 - 1

FILTER_RADIUS = 2
"""Radius of the binomial filter that makes grains of about 2 px."""

ROWS_AT_ONCE = 64
"""Rows that are computed at a time; few, so that they stay in the processor's caches."""

# Of the sum of four bytes, filtered along both axes: 70 is the sum of the filter's squares.
_UNIT = np.float32(1 / (70 * math.sqrt(4 * (256**2 - 1) / 12)))


def noise(area: Rectangle, *, level: int, seed: int) -> Tensor:
    """Make the noise of a part of a picture.

    Args:
        area: the part, at any coordinates.
        level: number of the level; each level has its own noise.
        seed: 0 to 2³² - 1.

    Returns:
        (1, h, w), float32, on the CPU: mean 0, standard deviation 1, nearly Gaussian, with grains
        of about 2 px.
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
    """Hash each word, with little bias (the constants are those of lowbias32)."""
    words = words ^ (words >> np.uint32(16))
    words = words * np.uint32(0x7FEB352D)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x846CA68B)
    words ^= words >> np.uint32(16)
    return words


def flatness(content: Tensor) -> Tensor:
    """Measure how flat the content is around each pixel: 1 if uniform, near 0 in details.

    Args:
        content: (3, h, w), floating, 0..1. Pixels at its edges are repeated, so values within
            ``FLATNESS_RADIUS`` px of an edge differ from those of a larger window.

    Returns:
        (1, h, w), with the dtype and device of the content.
    """
    red, green, blue = content
    luminance = (red * LUMINANCE[0]).add_(green * LUMINANCE[1]).add_(blue * LUMINANCE[2])
    mean, mean_square = _means(torch.stack([luminance, luminance * luminance]))
    variance = (mean_square - mean * mean).clamp_(min=0.0)
    flat = FLAT_DEVIATION**2
    return (flat / (variance + flat)).unsqueeze(0)


def _means(values: Tensor) -> Tensor:
    """Means over 9 x 9 px, (C, h, w) → (C, h, w), with the same additions for each pixel."""
    padded = F.pad(values.unsqueeze(0), (FLATNESS_RADIUS,) * 4, mode="replicate")[0]
    return _sums_of_nine(_sums_of_nine(padded, 1), 2).mul_(1 / 81)


def _sums_of_nine(values: Tensor, dim: int) -> Tensor:
    sums = values
    for distance in (1, 2, 4):
        length = sums.shape[dim] - distance
        sums = sums.narrow(dim, 0, length) + sums.narrow(dim, distance, length)
    length = values.shape[dim] - 8
    return sums.narrow(dim, 0, length) + values.narrow(dim, 8, length)
