"""``urst stylize``: a picture in the style of one painting, or of a mixture of several."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from .commands import Commands, add_stylizing_options, settings_of
from .download_bar import download_bar
from .errors import OutputError
from .files import ImageFile, ImageFileCanvas
from .output_options import output_options
from .pipeline import stylize
from .progress_bar import ProgressBar
from .tiling import Progress
from .weights import load_backbone


def add_stylize_command(commands: Commands) -> None:
    """Add ``stylize`` to the commands of a parser."""
    command = commands.add_parser("stylize", help="paint a picture in the style of another")
    command.add_argument("content", type=Path, metavar="CONTENT", help="the picture, of any size")
    command.add_argument(
        "styles",
        nargs="*",
        metavar="STYLE",
        help="a painting, or the name of a style inside the weights; several are mixed",
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    command.add_argument(
        "--style-weights",
        type=float,
        nargs="+",
        metavar="W",
        help="share of each style, any scale (default: equal)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    add_stylizing_options(command)
    command.set_defaults(run=run_stylize)


def run_stylize(options: argparse.Namespace) -> None:
    """``urst stylize``: one picture in one style, or in a mixture of several."""
    stylize_file(options, content=options.content, styles=options.styles, output=options.output)


def stylize_file(
    options: argparse.Namespace, *, content: Path, styles: Sequence[str], output: Path
) -> None:
    """File to file, with a progress bar; says where the result is."""
    started = time.monotonic()
    download = download_bar(quiet=options.quiet)
    backbone = load_backbone(options.backbone, options.weights, listener=download)
    settings = settings_of(options)
    settings.check(backbone.traits)
    source = ImageFile(content)
    for style in styles:
        if output.exists() and Path(style).exists() and output.samefile(style):
            raise OutputError(f"output {output} is the style itself; choose another name")
    style_sources = [
        style if backbone.network.style_names else ImageFile(Path(style), flatten=True)
        for style in styles
    ]
    canvas = ImageFileCanvas(output, source, output_options(options), overwrite=options.overwrite)
    with canvas, ProgressBar(quiet=options.quiet) as bar:

        def listen(progress: Progress) -> None:
            options.stop.check()
            bar.update(progress)

        stylize(
            source,
            style_sources,
            canvas,
            backbone,
            settings,
            style_weights=options.style_weights,
            listener=listen,
        )
    if not options.quiet:
        height, width = source.size
        seconds = time.monotonic() - started
        megapixels = height * width / 1e6
        print(f"{output}: {width} x {height} px, {megapixels:.1f} MP in {seconds:.1f} s")
