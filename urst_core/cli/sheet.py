"""``urst sheet``: small pictures of every photograph in every style, to choose a style by."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..errors import SettingsError, URSTError
from ..formats.find_pictures import find_pictures
from ..formats.open import ImageFileCanvas, check_output, copy_picture
from ..formats.output_options import OutputOptions, add_output_arguments, output_options
from ..pictures.source import TensorSource
from ..progress import Progress
from ..runs.contact_sheet import ContactSheet
from ..weights.loading import load_backbone
from .bars import Bar, download_bar, warn_above_bar
from .console import say, warn
from .job import JOB_FORMAT, find_styles
from .options import (
    Commands,
    add_input_arguments,
    add_stylizing_options,
    input_options_of,
    settings_of,
)
from .remedies import error_words

EDGE, SMALLEST_EDGE, LARGEST_EDGE = 256, 32, 2048
"""Of a small picture, in px: default and range."""


def add_sheet_command(commands: Commands) -> None:
    """Add ``sheet`` to the commands of a parser."""
    command = commands.add_parser(
        "sheet",
        help="paint small pictures in every style, on one sheet to choose a style by",
        description="Paint small pictures of every content in every style, with strokes as in the "
        "preview of the result, and arrange them on one sheet.",
    )
    add = command.add_argument
    add("contents", type=Path, metavar="CONTENT", help="a picture, a folder, or a pattern")
    add(
        "styles",
        nargs="+",
        metavar="STYLE",
        help="a painting, a folder of them, a style file, or the name of a built-in style",
    )
    add("-o", "--output", type=Path, required=True, metavar="OUT")
    add(
        "--cell-size",
        type=int,
        default=EDGE,
        metavar="PX",
        help=f"longest side of the small pictures, {SMALLEST_EDGE} to {LARGEST_EDGE} "
        "(default: %(default)s)",
    )
    add("--recursive", action="store_true", help="also use the pictures in subfolders")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    add("--quiet", action="store_true", help="print nothing but errors")
    add_input_arguments(command)
    add_stylizing_options(command)
    add_output_arguments(command)
    command.set_defaults(run=run_sheet)


def run_sheet(options: argparse.Namespace) -> None:
    """Paint the sheet, and leave out what cannot be read."""
    edge = options.cell_size
    if not SMALLEST_EDGE <= edge <= LARGEST_EDGE:
        raise SettingsError(
            f"cell size {edge} is out of range; use {SMALLEST_EDGE} to {LARGEST_EDGE}"
        )
    stored = output_options(options)
    _check_place(options.output, stored, overwrite=options.overwrite)
    settings = settings_of(options)
    backbone = load_backbone(
        options.backbone, options.weights, listener=download_bar(quiet=options.quiet)
    )
    settings.check(backbone.traits)
    contents = find_pictures(options.contents, recursive=options.recursive)
    styles = find_styles(options.styles, backbone, recursive=options.recursive)
    bar = None if options.quiet else Bar(total=len(contents), desc="rows", bar_format=JOB_FORMAT)

    def report(error: URSTError) -> None:
        (warn if bar is None else warn_above_bar)(f"left out: {error_words(error)}")

    def listen(_: Progress) -> None:
        options.stop.check()

    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if bar is not None:
            bar.show(done)

    sheet = ContactSheet(backbone, settings, edge, input_options_of(options), report, listen)
    try:
        picture = TensorSource(sheet.draw(contents, styles, tell))
    finally:
        if bar is not None:
            bar.close()
    with ImageFileCanvas(options.output, picture, stored, overwrite=options.overwrite) as canvas:
        copy_picture(picture, canvas)
    if not options.quiet:
        height, width = picture.size
        say(f"{options.output}: {width} x {height} px")


def _check_place(path: Path, stored: OutputOptions, *, overwrite: bool) -> None:
    """Refuse a sheet that could not be written, before anything is painted."""
    smallest = TensorSource(torch.zeros(3, 1, 1, dtype=torch.uint8))
    check_output(path, smallest, stored, overwrite=overwrite)
