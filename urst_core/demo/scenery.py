"""What the demo landscape shows above its lake: sky, clouds, mountains and firs.

Every function takes columns x (1, w) and rows (h, 1) or (h, w) in picture heights, and
paints a (3, h, w) picture of values 0..1 from those coordinates alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .noise import Color, FloatArray, Frame, blend, clamped, mixed, step

# The sun: share of the picture's width from the left; picture heights over the lake.
SUN_ACROSS = 0.66
_SUN_ELEVATION, _SUN_RADIUS = 0.135, 0.036


class _Range(NamedTuple):
    """A mountain range; lengths in picture heights, peak_across in picture widths."""

    base: float
    roughness: float
    hills_per_height: float
    peak_across: float
    peak: float
    snowy: bool
    haze: float
    shade: Color
    light: Color


# Far to near: each darker, bluer and less veiled by the haze than the one behind it.
_RANGES = (
    _Range(0.10, 0.10, 2.2, 0.47, 0.12, True, 0.55, (0.62, 0.50, 0.62), (0.98, 0.74, 0.56)),
    _Range(0.08, 0.09, 2.8, 0.29, 0.27, True, 0.43, (0.22, 0.27, 0.48), (0.99, 0.75, 0.60)),
    _Range(0.05, 0.06, 3.6, 0.92, 0.17, False, 0.31, (0.17, 0.25, 0.40), (0.80, 0.50, 0.40)),
    _Range(0.03, 0.04, 4.5, 0.02, 0.11, False, 0.19, (0.10, 0.20, 0.26), (0.38, 0.36, 0.26)),
)


class Firs(NamedTuple):
    """A row of firs: lengths in picture heights; clearing in picture widths."""

    spacing: float
    tallest: float
    clearing: float
    color: Color


_FAR_FIRS = (
    Firs(0.020, 0.078, 0.0, (0.13, 0.22, 0.24)),
    Firs(0.016, 0.057, 0.0, (0.07, 0.15, 0.17)),
    Firs(0.012, 0.038, 0.0, (0.04, 0.10, 0.11)),
)


def paint_scene(
    frame: Frame, x: FloatArray, elevation: FloatArray, octave_limit: int
) -> FloatArray:
    """(3, h, w) all that is above the lake; elevation over the water in heights."""
    picture = np.zeros((3, *np.broadcast_shapes(x.shape, elevation.shape)), np.float32)
    slopes = [_ridge(frame, index, x, octave_limit) - elevation for index in range(len(_RANGES))]
    hides = [float(below.min()) > frame.edge for below in slopes]
    if not any(hides):
        _paint_sky(frame, picture, x, elevation)
        _paint_clouds(frame, picture, x, elevation, octave_limit)
    for index, below in enumerate(slopes):
        if float(below.max()) > -frame.edge and not any(hides[index + 1 :]):
            _paint_slope(frame, picture, index, x, below, elevation, octave_limit)
    _paint_far_shore(frame, picture, x, elevation)
    return picture


def _sun_distance(frame: Frame, x: FloatArray, elevation: FloatArray) -> FloatArray:
    """Distance from the sun's center in picture heights."""
    across = x - SUN_ACROSS * frame.aspect
    up = elevation - _SUN_ELEVATION
    return np.sqrt(across * across + up * up)


def _paint_sky(frame: Frame, picture: FloatArray, x: FloatArray, elevation: FloatArray) -> None:
    """A gradient from orange to deep blue, with the sun and its glow."""
    distance = _sun_distance(frame, x, elevation)
    picture[:] = np.array((0.98, 0.66, 0.34), np.float32)[:, None, None]
    blend(picture, (0.95, 0.62, 0.42), step(elevation, 0.0, 0.10))
    blend(picture, (0.74, 0.56, 0.62), step(elevation, 0.10, 0.22))
    blend(picture, (0.34, 0.48, 0.70), step(elevation, 0.22, 0.36))
    blend(picture, (0.09, 0.22, 0.47), step(elevation, 0.36, 0.62))
    blend(picture, (1.0, 0.72, 0.30), 0.75 / (1.0 + distance * distance * 40.0))
    blend(picture, (1.0, 0.88, 0.58), 0.9 / (1.0 + distance * distance * 700.0))
    blend(picture, (1.0, 0.97, 0.82), frame.coverage(_SUN_RADIUS - distance))


def _paint_clouds(
    frame: Frame, picture: FloatArray, x: FloatArray, elevation: FloatArray, octave_limit: int
) -> None:
    """Streaks and a deck of clouds that recede to the horizon, lit by the low sun."""
    nearness = 0.55 / (np.maximum(elevation, 0.0) + 0.16)
    u, v = (x - 0.5 * frame.aspect) * nearness * 2.6, nearness * 4.2
    warp = frame.noise.fractal(u * 0.5 + 3.0, v * 0.5, 2)
    u, v = u + 0.9 * warp, v + 0.7 * warp
    octaves = frame.octaves(6.0, min(8, octave_limit))
    streaks = frame.noise.fractal(
        u * 1.4 + 0.8 * v + 40.0, v * 3.0 - 1.2 * u, max(1, octaves - 1), 0.58
    )
    high = 0.42 * step(elevation, 0.05, 0.2)
    blend(picture, (0.95, 0.78, 0.70), step(streaks, -0.1, 0.9) * high)
    density = frame.noise.fractal(u, v, octaves, 0.52)
    toward_sun = frame.noise.fractal(u, v + 0.22, min(3, octaves), 0.52)
    lit = clamped(0.55 + 1.1 * (density - toward_sun), 0.0, 1.0)
    warmth = 1.0 / (1.0 + _sun_distance(frame, x, elevation) * 2.2)
    cloud = mixed((0.26, 0.25, 0.42), (0.72, 0.36, 0.36), warmth)
    blend(cloud, mixed((0.93, 0.70, 0.68), (1.0, 0.80, 0.46), warmth), lit)
    blend(picture, cloud, 0.92 * step(density, 0.0, 0.55) * step(elevation, 0.02, 0.12))


def _ridge(frame: Frame, index: int, x: FloatArray, octave_limit: int) -> FloatArray:
    """(1, w) elevation of a range's crest over each column."""
    mountains = _RANGES[index]
    cells = mountains.hills_per_height
    octaves = frame.octaves(cells, octave_limit + 2)
    wave = frame.noise.fractal(x * cells, np.full_like(x, 40.0 * index + 0.5), octaves, 0.48)
    away = np.abs(x - mountains.peak_across * frame.aspect)
    peak = mountains.peak * np.maximum(0.0, 1.0 - 2.3 * away)
    return mountains.base + mountains.roughness * wave + peak


def _paint_slope(
    frame: Frame,
    picture: FloatArray,
    index: int,
    x: FloatArray,
    below: FloatArray,
    elevation: FloatArray,
    octave_limit: int,
) -> None:
    """A range's flank, below its crest: ribs lit from the right, snow, haze at its foot."""
    mountains = _RANGES[index]
    u, v = x * 8.0 + 31.0 * index, below * 2.5 - elevation * 3.5
    u = u + 0.4 * frame.noise.smooth(u * 0.9, v * 1.3)
    octaves = frame.octaves(8.0, octave_limit)
    rib = frame.noise.fractal(u, v, octaves, 0.56, creased=True)
    next_rib = frame.noise.fractal(u + 0.16, v - 0.05, octaves, 0.56, creased=True)
    lit = clamped(0.34 + 2.1 * (next_rib - rib), 0.0, 1.0)
    flank = mixed(mountains.shade, mountains.light, lit)
    if mountains.snowy:
        snow = step(elevation - 0.16 * rib, 0.07, 0.12)
        blend(flank, mixed((0.50, 0.56, 0.78), (1.0, 0.90, 0.80), lit), 0.9 * snow)
    # Scree: only large pictures have the pixels to show it.
    flank *= 1.0 + 0.15 * frame.noise.fractal(u * 40.0, v * 60.0, frame.octaves(320.0) - 1, 0.6)
    blend(flank, (0.97, 0.68, 0.47), mountains.haze * (1.0 - step(elevation, -0.02, 0.20)))
    blend(picture, flank, frame.coverage(below))


def _paint_far_shore(
    frame: Frame, picture: FloatArray, x: FloatArray, elevation: FloatArray
) -> None:
    """Mist over the water and a forest edge, darker row by row."""
    if float(elevation.min()) > 0.1 + frame.edge:
        return
    blend(picture, (0.98, 0.76, 0.56), 0.55 * (1.0 - step(elevation, 0.0, 0.085)))
    bank = 0.004 + 0.012 * frame.noise.fractal(x * 2.0, np.full_like(x, 200.5), 4)
    for row, firs in enumerate(_FAR_FIRS):
        paint_firs(frame, picture, x + 0.006 * row, elevation - bank, firs, row)
        blend(picture, firs.color, frame.coverage(bank + 0.004 - elevation))


def paint_firs(
    frame: Frame, picture: FloatArray, x: FloatArray, height: FloatArray, firs: Firs, row: int
) -> None:
    """One row of firs; height over their roots; no fir in the middle clearing."""
    slot = np.floor(x * (1.0 / firs.spacing))
    level = np.full_like(slot, 10.0 * row)
    center = (slot + 0.5 + 0.18 * frame.noise.at_lattice(slot, level + 1.0)) * firs.spacing
    stands = np.abs(center - 0.5 * frame.aspect) >= 0.5 * firs.clearing * frame.aspect
    if float(height.min()) > firs.tallest or not stands.any():
        return
    tall = firs.tallest * (0.66 + 0.34 * frame.noise.at_lattice(slot, level))
    up = height / tall
    wobble = frame.noise.smooth(x * (9.0 / firs.spacing), height * (20.0 / firs.tallest))
    tier = up * 13.0 + 0.4 * wobble
    half = tall * 0.15 * (1.0 - up) * (1.15 - 0.55 * (tier - np.floor(tier)))
    needles_per_height = 70.0 / firs.tallest
    needles = frame.noise.fractal(
        x * (30.0 / firs.spacing),
        height * needles_per_height,
        frame.octaves(needles_per_height),
    )
    half = np.minimum(half, 0.3 * firs.spacing) * (1.0 + 0.36 * needles)
    half = half + 0.008 * firs.tallest * (1.0 - up)
    shown = frame.coverage(half - np.abs(x - center)) * (stands & (up < 1.0))
    red, green, blue = firs.color
    light = (1.9 * red + 0.03, 1.7 * green + 0.02, 1.5 * blue + 0.01)
    blend(picture, mixed(firs.color, light, clamped(needles + 0.1, 0.0, 1.0)), shown)
