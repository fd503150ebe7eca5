"""Colors of a painting: the content's own, or the style's brought to the content's.

Two ways to keep a photograph's colors, after Gatys et al. (CVPR 2017, arXiv:1611.07865, section 5):

- :func:`keep_chroma` recolors the finished painting. Each pixel gets the lightness of the painting
  and the chroma of the content, in Oklab (Ottosson 2020), whose axes are perceptual: gray strokes
  on a blue sky become light and dark blue.
- :meth:`ColorStatistics.match` recolors the style before it is encoded, by the affine map that
  gives it the content's mean and covariance of colors. So strokes may still change colors.

The first is a map of each pixel, the second is measured once on small copies, so tiles stay exact.
Values are treated as sRGB. With another color profile they are that profile's, as in the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from .source import to_unit


def _matrix(*rows: tuple[float, float, float], sums: tuple[int, int, int]) -> Tensor:
    """A matrix published with ten digits, corrected so that grays have no chroma at all."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return matrix + (torch.tensor(sums).to(matrix) - matrix.sum(1))[:, None] / 3


_CONES = _matrix(
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
    sums=(1, 1, 1),
)
"""From linear sRGB to the responses of three kinds of cones."""

_OPPONENTS = _matrix(
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
    sums=(1, 0, 0),
)
"""From their cube roots to lightness and two axes of chroma."""

_FROM_CONES = torch.linalg.inv(_CONES)
_FROM_OPPONENTS = torch.linalg.inv(_OPPONENTS)

BLOCK_PIXELS = 2**15
"""Pixels that a processor recolors at a time, within its caches."""

LARGE_BLOCK_PIXELS = 2**22
"""Pixels that other devices recolor at a time."""

BISECTIONS = 44
"""Steps in which the largest chroma inside the gamut is found, within 1e-13: a coarser step would
jump where two colors are nearly equal, as they are with tiles of different sizes."""

VARIANCE_FLOOR = 1e-5
"""Added to variances of colors, since a style of a single color has none."""


def oklab(colors: Tensor) -> Tensor:
    """Convert sRGB to Oklab: lightness 0..1, and two axes of chroma.

    Args:
        colors: (3, ...), floating, 0..1.

    Returns:
        (3, ...), float64 where the device has it.

    Example:
        >>> white = torch.ones(3, 1)
        >>> oklab(white).flatten().abs().round(decimals=6).tolist()
        [1.0, 0.0, 0.0]
    """
    linear = _decode(_wide(colors))
    roots = _mix(_CONES, linear).clamp_(min=0.0) ** (1 / 3)
    return _mix(_OPPONENTS, roots)


def keep_chroma(content: Tensor, painting: Tensor) -> Tensor:
    """Give a painting the chroma of its content; its lightness stays.

    Where sRGB has no color of that lightness and chroma, the chroma is lowered until it has; the
    hue does not shift.

    Args:
        content: stored pixels of the same area, (3 or 4, h, w); alpha is ignored.
        painting: (3, h, w), floating; clamped to 0..1.

    Returns:
        (3, h, w), 0..1, in the painting's dtype.
    """
    pixels = painting.flatten(1)
    stored = content[:3].flatten(1)
    recolored = torch.empty_like(pixels)
    step = BLOCK_PIXELS if painting.device.type == "cpu" else LARGE_BLOCK_PIXELS
    for start in range(0, pixels.shape[1], step):
        part = slice(start, start + step)
        lightness = oklab(pixels[:, part].clamp(0.0, 1.0))[0]
        chroma = oklab(to_unit(stored[:, part]).clamp(0.0, 1.0))[1:]
        recolored[:, part] = _in_gamut(lightness, chroma).to(painting.dtype)
    return recolored.view_as(painting)


def _in_gamut(lightness: Tensor, chroma: Tensor) -> Tensor:
    """The sRGB color of a lightness, (n,), and the share of a chroma, (2, n), that sRGB has.

    With a share t of the chroma, the roots of the cones' responses are linear in t, so each channel
    of linear sRGB is a cubic polynomial of t.
    """
    slopes = _mix(_FROM_OPPONENTS[:, 1:], chroma)
    powers = [slopes.new_ones(()).expand_as(slopes), slopes, slopes**2, slopes**3]
    cubic = [
        binomial * lightness ** (3 - degree) * _mix(_FROM_CONES, powers[degree])
        for degree, binomial in enumerate((1.0, 3.0, 3.0, 1.0))
    ]
    linear = _evaluate(cubic, torch.ones_like(lightness))
    outside = ((linear < 0.0) | (linear > 1.0)).any(0)
    if bool(outside.any()):
        linear[:, outside] = _evaluate_inside([term[:, outside] for term in cubic])
    return _encode(linear.clamp_(0.0, 1.0))


def _evaluate_inside(cubic: list[Tensor]) -> Tensor:
    """Evaluate polynomials at the largest share for which all channels are in 0..1, by bisection.

    A share of 0 is a gray, which is always inside.
    """
    low = torch.zeros_like(cubic[0][0])
    high = torch.ones_like(low)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        linear = _evaluate(cubic, middle)
        is_inside = ((linear >= 0.0) & (linear <= 1.0)).all(0)
        low = torch.where(is_inside, middle, low)
        high = torch.where(is_inside, high, middle)
    return _evaluate(cubic, low)


def _evaluate(cubic: list[Tensor], at: Tensor) -> Tensor:
    constant, linear, square, cube = cubic
    return ((cube * at + square) * at + linear) * at + constant


def _decode(colors: Tensor) -> Tensor:
    """From sRGB to linear light (IEC 61966-2-1)."""
    return torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def _encode(linear: Tensor) -> Tensor:
    """From linear light to sRGB."""
    curve = linear.clamp(min=0.0031308) ** (1 / 2.4) * 1.055 - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve)


def _mix(matrix: Tensor, values: Tensor) -> Tensor:
    return torch.tensordot(matrix.to(values), values, dims=1)


def _wide(values: Tensor) -> Tensor:
    """As float64, whose rounding no stored pixel shows; MPS has none."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


@dataclass(frozen=True)
class ColorStatistics:
    """Mean and covariance of the colors of one picture, or of several as if they were one.

    Attributes:
        mean: (3,), float64.
        covariance: (3, 3), float64, with :data:`VARIANCE_FLOOR` on the diagonal.

    Example:
        >>> content = ColorStatistics.of([torch.rand(1, 3, 40, 60)])
        >>> painting = torch.rand(1, 3, 30, 30) * 0.5
        >>> matched = content.match(painting)
        >>> bool((matched.mean((2, 3))[0] - content.mean).abs().max() < 0.01)
        True
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, pictures: Iterable[Tensor]) -> ColorStatistics:
        """Measure small pictures, (1, 3, H, W), floating, of any sizes."""
        colors = torch.cat([_wide(picture.cpu())[0].flatten(1) for picture in pictures], dim=1)
        mean = colors.mean(1)
        centered = colors - mean[:, None]
        floor = VARIANCE_FLOOR * torch.eye(3, dtype=colors.dtype)
        return cls(mean, centered @ centered.T / colors.shape[1] + floor)

    def match(self, picture: Tensor) -> Tensor:
        """Bring a picture to this mean and covariance, with the smallest possible change.

        Gatys et al. leave a rotation open; this is the map of least mean squared change among all
        that give the covariance (Pitié and Kokaram 2007).

        Args:
            picture: (1, 3, H, W), floating, 0..1.

        Returns:
            (1, 3, H, W), clamped to 0..1, in the dtype and on the device of ``picture``.
        """
        own = ColorStatistics.of([picture])
        root, inverse = _power(own.covariance, 0.5), _power(own.covariance, -0.5)
        change = inverse @ _power(root @ self.covariance @ root, 0.5) @ inverse
        colors = picture.cpu().to(change.dtype)[0].flatten(1) - own.mean[:, None]
        matched = change @ colors + self.mean[:, None]
        return matched.clamp_(0.0, 1.0).view(picture.shape).to(picture)


def _power(symmetric: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(symmetric)
    return (vectors * values.clamp(min=VARIANCE_FLOOR**2) ** exponent) @ vectors.T
