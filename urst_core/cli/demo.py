"""``urst demo``: makes a photograph and a painting, and stylizes one with the other."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..demo import DemoLandscape, demo_painting
from ..errors import OutputError
from ..formats.open import write_picture
from ..formats.output_options import OutputOptions
from ..formats.vips_formats import LONGEST_JPEG_SIDE
from ..geometry import Size
from ..pictures.source import TensorSource
from ..tiling.settings import IfInterrupted
from .console import say
from .options import Commands, add_stylizing_options
from .regions import NO_REGIONS
from .stylize import stylize_file

DEMO_SIZE: Size = (832, 1248)
"""Height and width of the demo picture, in px: 1 megapixel."""

DEMO_PAINTING_SIZE: Size = (1024, 1024)


def add_demo_command(commands: Commands) -> None:
    """Add ``demo`` to the commands of a parser."""
    command = commands.add_parser(
        "demo", help="make two pictures, and paint one in the style of the other"
    )
    command.add_argument(
        "--size", type=_size, default=DEMO_SIZE, metavar="WxH", help="in px (default: 1248x832)"
    )
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("urst-demo"),
        metavar="FOLDER",
        help="where the three pictures go (default: urst-demo)",
    )
    add_stylizing_options(command)
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(
        run=run_demo,
        style_weights=None,
        mask=None,
        mask_feather=0,
        no_metadata=False,
        like=None,
        **NO_REGIONS,
    )


def run_demo(options: argparse.Namespace) -> None:
    """Make a landscape and a painting, and paint one in the style of the other."""
    folder: Path = options.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be created ({error}); choose another") from error
    height, width = options.size
    ending = ".jpg" if max(height, width) <= LONGEST_JPEG_SIDE else ".tif"
    content, style = folder / f"content{ending}", folder / "style.jpg"
    if not options.quiet:
        say(f"making {content} ({width} x {height} px) and {style}")
    write_picture(DemoLandscape(options.size), content)
    write_picture(TensorSource(demo_painting(DEMO_PAINTING_SIZE)), style)
    options.overwrite, options.stored = True, OutputOptions()
    stylize_file(
        options,
        content=content,
        styles=[str(style)],
        output=folder / f"stylized{ending}",
        if_interrupted=IfInterrupted.DISCARD,
    )


def _size(text: str) -> Size:
    """``1248x832`` (width x height, as image tools write it) as (height, width)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"size {text!r} is not WIDTHxHEIGHT, as in 1248x832")
    return int(height), int(width)
