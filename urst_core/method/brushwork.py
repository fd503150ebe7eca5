"""Noise that a network turns into strokes where the content is flat.

Without structure to paint, a network leaves a clear sky flat, with the banding of its 8 bits and
the network's own grid. Faint noise gives it something to paint. The noise is computed from each
pixel's coordinates and a seed, in integers except for a final product, so that tiles of any size,
on any machine, get the same values.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle
from ..pictures.row_sums import RowSums, are_quick

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

ROWS_AT_ONCE = 256
"""Rows that are computed at a time; few, so that they stay in the processor's caches."""

# Of the sum of two bytes, filtered along both axes: 2**8 is the sum of the filter's weights, 70
# that of the squares of its weights along one axis.
_MEAN = np.int32(2**8 * 255)
_UNIT = np.float32(1 / (70 * math.sqrt(2 * (256**2 - 1) / 12)))


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
    # Each word is the noise of two pixels side by side.
    columns = np.arange(wide.left // 2, -(-wide.right // 2))
    column_words, skipped = _mixed(columns.astype(np.uint32) + column_salt), wide.left % 2
    grains = np.empty(area.size, np.float32)
    for top in range(0, area.height, ROWS_AT_ONCE):
        words = _mixed(row_words[top : top + ROWS_AT_ONCE + 2 * FILTER_RADIUS, None] ^ column_words)
        halves = words.astype("<u4", copy=False).view("<u2")[:, skipped : skipped + wide.width]
        white = ((halves & np.uint16(255)) + (halves >> np.uint16(8))).astype(np.int16)
        filtered = _filtered(_filtered(white.T).T.astype(np.int32))
        filtered -= _MEAN
        rows = grains[top : top + ROWS_AT_ONCE]
        np.multiply(filtered, _UNIT, out=rows, casting="unsafe", dtype=np.float32)
    return torch.from_numpy(grains).unsqueeze(0)


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
    height, width = red.shape
    # Luminance, and its square, with the edges that the sums along rows need.
    planes = content.new_empty(2, height, width + 2 * FLATNESS_RADIUS)
    luminance = planes[0, :, FLATNESS_RADIUS:-FLATNESS_RADIUS]
    torch.mul(red, LUMINANCE[0], out=luminance)
    luminance.add_(green, alpha=LUMINANCE[1]).add_(blue, alpha=LUMINANCE[2])
    planes[0, :, :FLATNESS_RADIUS] = luminance[:, :1]
    planes[0, :, -FLATNESS_RADIUS:] = luminance[:, -1:]
    torch.mul(planes[0], planes[0], out=planes[1])
    mean, mean_square = _means(planes)
    variance = mean_square.addcmul_(mean, mean, value=-1.0).clamp_(min=0.0)
    flat = FLAT_DEVIATION**2
    return variance.add_(flat).reciprocal_().mul_(flat).unsqueeze(0)


def _means(values: Tensor) -> Tensor:
    """Means over 9 x 9 px, (2, h, w + 8) → (2, h, w), with the same additions for each pixel."""
    if not are_quick(values):
        padded = F.pad(values.unsqueeze(0), (0, 0, FLATNESS_RADIUS, FLATNESS_RADIUS), "replicate")
        return _sums_of_nine(_sums_of_nine(padded[0], 1), 2).mul_(1 / 81)
    return _sums_of_nine(_nine_rows(values.shape[1]).apply(values), 2)


@lru_cache(maxsize=64)
def _nine_rows(height: int) -> RowSums:
    """Sums of the rows around each, divided by 81, of two planes."""
    rows = np.arange(height)[:, None] + np.arange(-FLATNESS_RADIUS, FLATNESS_RADIUS + 1)
    return RowSums.of(rows.clip(0, height - 1), np.full(rows.shape, 1 / 81), (2, height))


def _sums_of_nine(values: Tensor, dim: int) -> Tensor:
    sums = values
    for distance in (1, 2, 4):
        length = sums.shape[dim] - distance
        sums = sums.narrow(dim, 0, length) + sums.narrow(dim, distance, length)
    length = values.shape[dim] - 8
    return sums.narrow(dim, 0, length).add_(values.narrow(dim, 8, length))
