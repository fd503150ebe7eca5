"""``urst describe``: what a result was painted with."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ..formats.zarr.store import parse_location
from ..runs.description import DescribedStyle, Description, read_description
from .console import put
from .options import Commands


def add_describe_command(commands: Commands) -> None:
    """Add ``describe`` to the commands of a parser."""
    command = commands.add_parser(
        "describe",
        help="show what a result was painted with",
        description="Show the network, styles and settings that a result was painted with; "
        "'urst stylize --like' uses them again.",
    )
    command.add_argument("picture", type=parse_location, metavar="PAINTED")
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.set_defaults(run=run_describe)


def run_describe(options: argparse.Namespace) -> None:
    """Print the description of a result."""
    described = read_description(options.picture)
    put(described.text() if options.json else "\n".join(_lines(described)))


def _lines(described: Description) -> Iterator[str]:
    yield f"urst      {described.urst}"
    yield f"backbone  {described.backbone}, weights {described.weights[:12]}"
    weights = described.style_weights or [None] * len(described.styles)
    for style, weight in zip(described.styles, weights):
        yield f"style     {_named(style)}" + (f", share {weight:g}" if weight is not None else "")
    if described.mask is not None:
        yield f"mask      {_named(described.mask)}, feather {described.mask_feather} px"
    for name, value in (described.regions or {}).items():
        yield f"{name}: {value}"
    for label, values in (
        ("settings", described.settings),
        ("print", described.printing or {}),
        ("stored", described.stored or {}),
    ):
        for name, value in values.items():
            yield f"{label:9} {name.replace('_', ' ')}: {value}"


def _named(style: DescribedStyle) -> str:
    return style.name if style.sha256 is None else f"{style.name} (SHA-256 {style.sha256[:12]}…)"
