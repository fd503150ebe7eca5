"""A style for each region of a picture, in one run.

Each tile is computed only with the styles that touch it, and cross-fades them at borders.
Statistics are those of the whole picture, so that a region is painted as if its style were
everywhere, or those of each region::

      region map ──► shares of a tile ──┐
      style 1    ──► network 1 ─► ──────┤ weighted mean ──► tile; what is missing to 1 is content
      style 2    ──► network 2 ─► ──────┘

With larger strokes, each level is a composite of all its regions. Levels below the last are painted
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..choices import MOST_REGIONS, STATS_OF_REGIONS, StatsOfRegions, check_strength
from ..errors import Change, SettingsError
from ..geometry import Rectangle, Size
from ..networks.network import Traits
from ..networks.style import AnyStyle
from ..pictures.derived_regions import FilledRegions, ScaledRegions
from ..pictures.mask import MaskValues, check_same_size
from ..pictures.region_map import GrayRegions, RegionMap
from ..tiling.settings import Settings

MIXING_STEPS = 4
"""Mixtures from one style to the next: between them, two paintings cross-fade."""


@dataclass(frozen=True)
class Region:
    """The style of a region.

    Attributes:
        styles: one, or several that are mixed.
        weights: share of each; equal if None.
        strength: 0 (the content) to 1 (the strength of the settings).
    """

    styles: Sequence[AnyStyle]
    weights: Sequence[float] | None = None
    strength: float = 1.0


@dataclass(frozen=True)
class Regions:
    """The styles of a picture, and where they are.

    Attributes:
        map: how much of which region each pixel is.
        each: the regions, in the order of the map.
        stats: ``picture``: every style has the statistics of the whole picture; ``region``: those
            of its region. See :mod:`urst_core.networks.region_statistics`.
        measured: the map of the picture that this is a level of; ``map`` if None.

    Raises:
        SettingsError: their numbers differ, a strength is out of range, or statistics are unknown.

    Example:
        >>> import torch
        >>> import urst_core as urst
        >>> from urst_core.pictures.mask import Mask, TensorMask
        >>> from urst_core.pictures.region_map import MaskRegions
        >>> left = torch.zeros(48, 64)
        >>> left[:, :32] = 1.0
        >>> masks = MaskRegions([Mask(TensorMask(left)), Mask(TensorMask(1 - left))])
        >>> model = urst.load_backbone()
        >>> codes = [model.encode(name) for name in ("painting.jpg", "other.jpg")]
        >>> painted = model("photo.jpg", Regions(masks, [Region([code]) for code in codes]))
    """

    map: RegionMap
    each: Sequence[Region]
    stats: StatsOfRegions = "picture"
    measured: RegionMap | None = None

    def __post_init__(self) -> None:
        if self.map.count != len(self.each):
            raise SettingsError(
                f"{len(self.each)} styles for a map of {self.map.count} regions; "
                "give each region one"
            )
        if not 1 <= len(self.each) <= MOST_REGIONS:
            raise SettingsError(
                f"{len(self.each)} regions cannot be painted; use 1 to {MOST_REGIONS}"
            )
        for region in self.each:
            check_strength(region.strength)
        if self.stats not in STATS_OF_REGIONS:
            raise SettingsError(
                f"statistics of regions {self.stats!r} are unknown; "
                f"use {' or '.join(STATS_OF_REGIONS)}"
            )

    def check(self, picture: Size, settings: Settings, traits: Traits) -> None:
        """Refuse a picture, settings or a network that the regions do not fit.

        Args:
            picture: height and width of the picture.
            settings, traits: of the run.

        Raises:
            ShapeError: the map has another size than the picture.
            SettingsError: statistics are exact; or are those of regions, and the settings or the
                network have no such.
        """
        check_same_size("region map", self.map.size, picture)
        if settings.stats == "exact":
            raise SettingsError(
                "exact statistics are measured for one style only, not for regions",
                Change("stats", "thumbnail"),
            )
        if self.stats == "picture":
            return
        if settings.stats == "local":
            raise SettingsError(
                "statistics are either local or those of each region, not both",
                Change("region_stats", "picture"),
                Change("stats", "thumbnail"),
            )
        if not traits.has_channel_moments or settings.match == "distribution":
            is_distribution = settings.match == "distribution"
            reason = "distributions lack" if is_distribution else f"{traits.title} does not measure"
            raise SettingsError(
                "statistics of each region need the mean and deviation of single channels, which "
                f"{reason}",
                Change("region_stats", "picture"),
            )

    def areas(self, thumbnail: Size) -> list[Tensor | None]:
        """For each region, which pixels of a thumbnail its statistics are measured on.

        Each pixel belongs to the region with the largest share of it, or to none if it is mostly
        content.

        Returns:
            (h, w) each, bool, on the CPU; None for the whole thumbnail.
        """
        if self.stats == "picture":
            return [None] * len(self.each)
        shares = (self.measured or self.map).shrunk(thumbnail).read(Rectangle.of_size(thumbnail))
        content = (1.0 - shares.sum(0, keepdim=True)).clamp(min=0.0)
        largest = torch.cat([shares, content]).argmax(0)
        return [largest == number for number in range(len(self.each))]

    def on_level(self, size: Size) -> Regions:
        """The regions of a level below the last one."""
        return self._level(self._filled.shrunk(size))

    def on_last_level(self, content_shares: Sequence[float]) -> Regions:
        """The regions of the last level, which mixes in shares of the content."""
        if not any(content_shares):
            return self._level(self.map)
        scales = [1.0 - share for share in content_shares]
        return self._level(ScaledRegions(self.map, scales))

    @cached_property
    def _filled(self) -> RegionMap:
        return FilledRegions.of(self.map)

    def _level(self, level_map: RegionMap) -> Regions:
        """These regions at full strength, by another map."""
        each = [replace(region, strength=1.0) for region in self.each]
        return replace(self, map=level_map, each=each, measured=self.measured or self.map)


def check_without_map(
    used: str = "",
    *,
    strengths: Sized = (),
    feather: int = 0,
    stats: StatsOfRegions = "picture",
) -> None:
    """Refuse options of regions without a map of regions.

    Args:
        used: an option that was given, in the words of the caller; none if empty.
        strengths: of the regions.
        feather: width over which regions cross-fade, in px.
        stats: as for :class:`Regions`.

    Raises:
        SettingsError: one of them differs from its default.
    """
    given = {
        used: used,
        "strengths of regions": strengths,
        f"a feather of {feather} px between regions": feather,
        "statistics of each region": stats != "picture",
    }
    for option, is_given in given.items():
        if is_given:
            raise SettingsError(
                f"a map of regions is missing for {option}", Change("regions", how="add")
            )


def mix_along(
    values: MaskValues, styles: Sequence[AnyStyle], *, steps: int = MIXING_STEPS
) -> Regions:
    """Blend from the first of a row of styles to the last, by a gray map.

    Style codes are mixed in a few steps, and paintings of neighboring steps cross-fade, so that
    strokes stay sharp between two styles.

    Args:
        values: 0 is the first style, 1 the last.
        styles: two or more.
        steps: mixtures from one style to the next.

    Raises:
        SettingsError: there are fewer than two styles, or too many.
    """
    most = (MOST_REGIONS - 1) // steps + 1
    if not 2 <= len(styles) <= most:
        raise SettingsError(f"{len(styles)} styles cannot be blended by a map; use 2 to {most}")
    count = (len(styles) - 1) * steps + 1
    each: list[Region] = []
    for number in range(count):
        first, step = divmod(number, steps)
        if step == 0:
            each.append(Region([styles[first]]))
        else:
            each.append(Region(styles[first : first + 2], [1 - step / steps, step / steps]))
    return Regions(GrayRegions(values, count), each)
