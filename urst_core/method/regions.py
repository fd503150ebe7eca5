"""A style for each region of a picture, in one run.

Each tile is computed only with the styles that touch it, and cross-fades them at borders. All
statistics are those of the whole picture, so a region is painted as if its style were everywhere::

      region map ──► shares of a tile ──┐
      style 1    ──► network 1 ─► ──────┤ weighted mean ──► tile; what is missing to 1 is content
      style 2    ──► network 2 ─► ──────┘

With larger strokes, each level is a composite of all its regions. Levels below the last are painted
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..errors import SettingsError
from ..geometry import Size
from ..networks.style import AnyStyle, check_strength
from ..pictures.mask import MaskValues, check_same_size
from ..pictures.region_map import MOST_REGIONS, FilledRegions, GrayRegions, RegionMap, ScaledRegions

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

    Raises:
        SettingsError: their numbers differ, or a strength is out of range.

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

    def check_size(self, picture: Size) -> None:
        """Refuse a picture that differs from the map in size.

        Raises:
            ShapeError: it does.
        """
        check_same_size("region map", self.map.size, picture)

    def on_level(self, size: Size) -> Regions:
        """The regions of a level below the last one."""
        return replace(self, map=self._filled.shrunk(size), each=self._at_full_strength())

    def on_last_level(self, content_shares: Sequence[float]) -> Regions:
        """The regions of the last level, which mixes in shares of the content."""
        scales = [1.0 - share for share in content_shares]
        return replace(self, map=ScaledRegions(self.map, scales), each=self._at_full_strength())

    @cached_property
    def _filled(self) -> RegionMap:
        return FilledRegions.of(self.map)

    def _at_full_strength(self) -> list[Region]:
        return [replace(region, strength=1.0) for region in self.each]


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
