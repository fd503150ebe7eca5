"""Choices and limits that several folders share.

Widgets of nodes and arguments of commands are made of them, so this module loads in no time.
Those of the settings are in :mod:`urst_core.tiling.settings`.
"""

from __future__ import annotations

from typing import Literal

from .errors import SettingsError

# Statistics of several pictures; see urst_core.method.video

PER_PICTURE, SHARED, SMOOTHED = "per picture", "shared", "smoothed"

BatchStatistics = Literal["per picture", "shared", "smoothed"]
BATCH_STATISTICS = (PER_PICTURE, SHARED, SMOOTHED)

DEFAULT_SMOOTHING_RADIUS = 4
"""In frames on each side: a third of a second of film."""

# Masks and regions

LARGEST_FEATHER = 256
"""In px. The time to feather a tile grows with the cube of it, and beyond this exceeds the time to
stylize the tile."""

MOST_REGIONS = 32
"""Each region has a network of its own in memory."""

StatsOfRegions = Literal["picture", "region"]
STATS_OF_REGIONS: tuple[StatsOfRegions, ...] = ("picture", "region")

# Prints; see urst_core.runs.printing

SMALLEST_DPI, LARGEST_DPI = 1.0, 10_000.0

Fit = Literal["cover", "contain"]
FITS: tuple[Fit, ...] = ("cover", "contain")


def check_strength(strength: float) -> None:
    """Check that a strength is in 0..1.

    Raises:
        SettingsError: it is not, or is NaN.
    """
    if not 0.0 <= strength <= 1.0:
        raise SettingsError(f"strength {strength} is out of range; use 0 to 1")
