"""The command line: ``urst stylize``, ``urst demo``, ``urst info``.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage,
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from . import __version__
from .backbones import BACKBONES, DEFAULT_BACKBONE
from .canvas import Source, TensorSource
from .demo import DemoLandscape, demo_painting
from .device import PRECISIONS, find_device, free_bytes
from .download_bar import download_bar
from .errors import OutputError, URSTError
from .files import ImageFile, ImageFileCanvas, copy_picture, vips
from .formats import LONGEST_JPEG_SIDE
from .geometry import Size
from .output_options import OutputOptions, add_output_arguments, output_options
from .pipeline import stylize
from .progress_bar import ProgressBar
from .settings import STATS_KINDS, Settings
from .stop_signals import StopSignals
from .tiling import Progress
from .training.train_cli import add_train_command
from .weights import EMBEDDED_FILES, load_backbone
from .weights_cli import add_weights_command

DEMO_SIZE: Size = (832, 1248)
"""Height and width of the demo picture, in px: 1 megapixel."""

DEMO_PAINTING_SIZE: Size = (1024, 1024)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    options.stop = StopSignals()
    try:
        with options.stop:
            options.run(options)
    except URSTError as error:
        print(f"urst: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("urst: interrupted, no result was written", file=sys.stderr)
        return 130
    return 0


def run_stylize(options: argparse.Namespace) -> None:
    """``urst stylize``: one picture in one style, or in a mixture of several."""
    options.stored = output_options(options)
    stylize_file(options, content=options.content, styles=options.styles, output=options.output)


def run_demo(options: argparse.Namespace) -> None:
    """``urst demo``: make a landscape and a painting, and paint the one like the other."""
    folder: Path = options.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be made ({error}); choose another") from error
    height, width = options.size
    ending = ".jpg" if max(height, width) <= LONGEST_JPEG_SIDE else ".tif"
    content, style = folder / f"content{ending}", folder / "style.jpg"
    if not options.quiet:
        print(f"making {content} ({width} x {height} px) and {style}")
    _write_picture(DemoLandscape(options.size), content)
    _write_picture(TensorSource(demo_painting(DEMO_PAINTING_SIZE)), style)
    options.overwrite, options.stored = True, OutputOptions()
    stylize_file(options, content=content, styles=[str(style)], output=folder / f"stylized{ending}")


def stylize_file(
    options: argparse.Namespace, *, content: Path, styles: Sequence[str], output: Path
) -> None:
    """File to file, with a progress bar; says where the result is."""
    started = time.monotonic()
    bar = download_bar(quiet=options.quiet)
    backbone = load_backbone(options.backbone, options.weights, listener=bar)
    settings = _settings(options)
    settings.check(backbone.traits)
    source = ImageFile(content)
    for style in styles:
        if output.exists() and Path(style).exists() and output.samefile(style):
            raise OutputError(f"output {output} is the style itself; choose another name")
    style_sources = [
        style if backbone.network.style_names else ImageFile(Path(style), flatten=True)
        for style in styles
    ]
    canvas = ImageFileCanvas(output, source, options.stored, overwrite=options.overwrite)
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


def run_info(options: argparse.Namespace) -> None:
    """``urst info``: what there is to work with."""
    del options
    device = find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    libvips = ".".join(str(vips().version(part)) for part in range(3))
    print(f"urst      {__version__} with torch {torch.__version__}, libvips {libvips}")
    print(f"device    {device} ({name}), {free_bytes(device) / 1e9:.1f} GB free")
    for network in BACKBONES:
        traits = network.traits
        default = " (default)" if traits.name == DEFAULT_BACKBONE else ""
        weights = "embedded" if traits.name in EMBEDDED_FILES else "give --weights FILE"
        print(f"backbone  {traits.name}{default}: {traits.title}, {traits.paper}, {traits.license}")
        print(f"          stride {traits.stride} px, halo {traits.halo} px, weights: {weights}")


def _write_picture(source: Source, path: Path) -> None:
    with ImageFileCanvas(path, source, overwrite=True) as canvas:
        copy_picture(source, canvas)


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        thumbnail_size=options.thumbnail_size,
        style_size=options.style_size,
        tile_size=options.tile_size,
        stats=options.stats,
        strength=options.strength,
        precision=options.precision,
        device=options.device,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="urst", description="Turn a photograph of any size into a painting."
    )
    parser.add_argument("--version", action="version", version=f"urst {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

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
    _add_stylizing_options(command)
    add_output_arguments(command)
    command.set_defaults(run=run_stylize)

    command = commands.add_parser("demo", help="make two pictures, and paint one like the other")
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
    _add_stylizing_options(command)
    command.set_defaults(run=run_demo, style_weights=None)

    add_train_command(commands)
    add_weights_command(commands)
    command = commands.add_parser("info", help="show backbones, weights, device, free memory")
    command.set_defaults(run=run_info)
    return parser


def _add_stylizing_options(command: argparse.ArgumentParser) -> None:
    defaults = Settings()
    names = [network.traits.name for network in BACKBONES]
    add = command.add_argument
    add("--backbone", default=DEFAULT_BACKBONE, metavar="NAME", help=" or ".join(names))
    add("--weights", type=Path, metavar="FILE", help="safetensors, or a name (default: embedded)")
    add(
        "--thumbnail-size",
        type=int,
        default=defaults.thumbnail_size,
        metavar="PX",
        help="longest side of the picture that statistics are taken from; smaller gives larger "
        "strokes (default: %(default)s; 0: the whole picture)",
    )
    add(
        "--style-size",
        type=int,
        default=defaults.style_size,
        metavar="PX",
        help="longest side that styles are shrunk to (default: %(default)s; 0 keeps them)",
    )
    add(
        "--tile-size",
        type=int,
        metavar="PX",
        help="edge of a tile; larger than the picture: one tile; the picture stays the same "
        "(default: by free memory)",
    )
    add(
        "--stats",
        choices=STATS_KINDS,
        default=defaults.stats,
        help="from the thumbnail, or exactly those of the whole picture, in one more pass over the "
        "tiles for each normalization (default: %(default)s)",
    )
    add(
        "--strength",
        type=float,
        default=defaults.strength,
        metavar="0..1",
        help="0: the content, 1: the full style (default: %(default)s)",
    )
    add(
        "--precision",
        default=defaults.precision,
        metavar="|".join(["auto", *PRECISIONS]),
        help="auto: half precision where it proves equal on a GPU (default: %(default)s)",
    )
    add("--device", default=defaults.device, metavar="auto|cpu|cuda[:N]|mps")
    add("--quiet", action="store_true", help="print nothing but errors")


def _size(text: str) -> Size:
    """``1248x832`` (width x height, as image tools write it) as (height, width)."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"size {text!r} is not WIDTHxHEIGHT, as in 1248x832")
    return int(height), int(width)
