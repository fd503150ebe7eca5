"""Maps of regions in picture files, for runs from file to file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ..choices import StatsOfRegions
from ..durable import file_hash
from ..errors import SettingsError
from ..formats.input_options import InputOptions
from ..formats.open import open_picture
from ..method.regions import Region, Regions, mix_along
from ..networks.style import AnyStyle
from ..pictures.color_names import parse_color
from ..pictures.mask import PictureMask
from ..pictures.region_map import Color, ColorRegions, color_name
from ..pictures.source import Source, close_picture


@dataclass(frozen=True)
class MapFile:
    """A picture file that says where to use which style.

    Attributes:
        path: path of the picture, which has the content's size.
        options: how strictly to check the file when it is read.
        stats: as for :class:`~urst_core.method.regions.Regions`.
    """

    path: Path
    options: InputOptions = field(default_factory=InputOptions, kw_only=True)
    stats: StatsOfRegions = field(default="picture", kw_only=True)

    @cached_property
    def picture(self) -> Source:
        """The file, opened.

        Raises:
            ImageError: the file cannot be used.
        """
        return open_picture(self.path, options=self.options)

    def close(self) -> None:
        """Close the file, which is opened again when it is needed again."""
        close_picture(self.__dict__.pop("picture", None))

    def regions(self, styles: Sequence[AnyStyle], weights: Sequence[float] | None) -> Regions:
        """The regions, each with its styles.

        Args:
            styles: all styles of the run.
            weights: share of each style where several are mixed; equal if None.

        Raises:
            URSTError: the map or the styles cannot be used.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Read the whole map, to refuse colors and regions that cannot be used.

        Raises:
            URSTError: there are any.
        """

    def fingerprint(self) -> dict[str, str]:
        """Everything about the map that determines pixels, by names that users understand."""
        of_regions = {"statistics of": "each region"} if self.stats == "region" else {}
        return {"region map": file_hash(self.path), **of_regions}


@dataclass(frozen=True)
class RegionStyle:
    """The styles of a color of the map.

    Attributes:
        color: color of the region.
        styles: numbers of the run's styles that are mixed there, from 0.
        strength: share of the run's strength, 0 to 1.
    """

    color: Color
    styles: tuple[int, ...]
    strength: float = 1.0

    def __str__(self) -> str:
        numbers = ", ".join(str(number + 1) for number in self.styles)
        return f"{color_name(self.color)} style {numbers} at {self.strength!r}"


def region_styles(colors: Sequence[str], strengths: Mapping[str, float]) -> tuple[RegionStyle, ...]:
    """The regions of a row of styles.

    Args:
        colors: name of the color of each style; those of one color are mixed.
        strengths: by name of a color.

    Raises:
        SettingsError: a color is unknown, or has a strength but no style.
    """
    numbers: dict[Color, list[int]] = {}
    for number, name in enumerate(colors):
        numbers.setdefault(parse_color(name), []).append(number)
    given = {parse_color(name): strength for name, strength in strengths.items()}
    for color in given:
        if color not in numbers:
            raise SettingsError(
                f"region {color_name(color)} has a strength, but no style",
                "give it a style",
                "leave the strength out",
            )
    return tuple(
        RegionStyle(color, tuple(each), given.get(color, 1.0)) for color, each in numbers.items()
    )


@dataclass(frozen=True)
class RegionFile(MapFile):
    """A map in which each color is a region; black and transparent pixels keep the content.

    Attributes:
        each: the regions.
        feather: width in px over which neighboring regions cross-fade.
    """

    each: tuple[RegionStyle, ...]
    feather: int = 0

    @property
    def map(self) -> ColorRegions:
        """The map, opened."""
        return ColorRegions.of(self.picture, [region.color for region in self.each], self.feather)

    def regions(self, styles: Sequence[AnyStyle], weights: Sequence[float] | None) -> Regions:
        shares = list(weights) if weights is not None else [1.0] * len(styles)
        if len(shares) != len(styles):
            raise SettingsError(
                f"{len(styles)} styles with {len(shares)} weights; give one weight for each style"
            )
        each = [
            Region([styles[n] for n in r.styles], [shares[n] for n in r.styles], r.strength)
            for r in self.each
        ]
        return Regions(self.map, each, self.stats)

    def check(self) -> None:
        self.map.numbers.check_used()

    def fingerprint(self) -> dict[str, str]:
        return {
            **super().fingerprint(),
            "regions": "; ".join(map(str, self.each)),
            "region feather": f"{self.feather} px",
        }


@dataclass(frozen=True)
class MixFile(MapFile):
    """A gray map: black takes the first style of the run, white the last, gray a mixture."""

    def regions(self, styles: Sequence[AnyStyle], weights: Sequence[float] | None) -> Regions:
        if weights is not None:
            raise SettingsError("styles that a map mixes have no weights; leave the weights out")
        return replace(mix_along(PictureMask(self.picture), styles), stats=self.stats)

    def fingerprint(self) -> dict[str, str]:
        facts = super().fingerprint()
        return {"mix map": facts.pop("region map"), **facts}
