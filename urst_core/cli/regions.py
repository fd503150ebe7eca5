"""``--regions``, ``--region`` and ``--mix-map``: a style for each part of the picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..choices import STATS_OF_REGIONS
from ..errors import SettingsError
from ..formats.input_options import InputOptions
from ..method.regions import check_without_map
from ..pictures.region_map import LARGEST_REGION_FEATHER
from ..runs.region_file import MapFile, MixFile, RegionFile, region_styles

NO_REGIONS: dict[str, Any] = {
    "regions": None,
    "region": (),
    "region_strength": (),
    "region_feather": 0,
    "region_stats": "picture",
    "mix_map": None,
}
"""Values of these options for commands that do not have them."""


def add_region_arguments(command: argparse.ArgumentParser) -> None:
    """Add ``--regions``, ``--mix-map``, and the options of regions."""
    add = command.add_argument_group("a style for each region").add_argument
    add(
        "--regions",
        type=Path,
        metavar="MAP",
        help="a picture of CONTENT's size in which each color is a region; black stays as it is",
    )
    add(
        "--region",
        action="append",
        default=[],
        metavar="COLOR=STYLE",
        help="style of a region, as in red=painting.jpg or '#0000ff'=painting.jpg; several for one "
        "color are mixed",
    )
    add(
        "--region-strength",
        action="append",
        default=[],
        metavar="COLOR=0..1",
        help="strength of a region, times --strength (default: 1)",
    )
    add(
        "--region-feather",
        type=int,
        default=0,
        metavar="PX",
        help=f"width over which neighboring regions cross-fade, 0 to {LARGEST_REGION_FEATHER} "
        "(default: %(default)s)",
    )
    add(
        "--region-stats",
        choices=STATS_OF_REGIONS,
        default="picture",
        help="picture: every style has the statistics of the whole picture, as if it were "
        "everywhere; region: each region gets its style's whole range of tones "
        "(default: %(default)s)",
    )
    add(
        "--mix-map",
        type=Path,
        metavar="MAP",
        help="a gray picture of CONTENT's size: black takes the first STYLE, white the last, gray "
        "a mixture",
    )


def region_styles_of(options: argparse.Namespace) -> list[str]:
    """The styles that ``--region`` names, in their order."""
    return [_split(text, "--region")[1] for text in options.region]


def map_of(options: argparse.Namespace, input_options: InputOptions) -> MapFile | None:
    """The map that the options describe; None if there is none.

    Raises:
        SettingsError: options are missing, or contradict one another.
    """
    if options.regions is None:
        _check_unused(options)
        return options.mix_map and MixFile(
            options.mix_map, options=input_options, stats=options.region_stats
        )
    if options.mix_map is not None:
        raise SettingsError("--regions and --mix-map exclude each other; leave one out")
    if options.styles:
        raise SettingsError(
            f"style {options.styles[0]} has no region; name its color, as in "
            f"--region red={options.styles[0]}"
        )
    if not options.region:
        raise SettingsError(
            f"region map {options.regions} has no styles; give each color one, as in "
            "--region red=painting.jpg"
        )
    colors = [_split(text, "--region")[0] for text in options.region]
    each = region_styles(colors, _strengths(options))
    return RegionFile(
        options.regions,
        each,
        options.region_feather,
        options=input_options,
        stats=options.region_stats,
    )


def _check_unused(options: argparse.Namespace) -> None:
    check_without_map(
        f"--region {options.region[0]}" if options.region else "",
        strengths=options.region_strength,
        feather=options.region_feather,
        stats="picture" if options.mix_map else options.region_stats,
    )


def _strengths(options: argparse.Namespace) -> dict[str, float]:
    strengths: dict[str, float] = {}
    for text in options.region_strength:
        name, value = _split(text, "--region-strength")
        try:
            strengths[name] = float(value)
        except ValueError:
            raise SettingsError(
                f"--region-strength {text}: {value!r} is not a number; use 0 to 1"
            ) from None
    return strengths


def _split(text: str, option: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise SettingsError(f"{option} {text!r} is not COLOR=VALUE, as in red=painting.jpg")
    return name, value
