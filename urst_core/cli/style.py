"""``urst style``: save styles as files, and show what is in them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import Change, OutputError
from ..formats.styles import open_style
from ..method.style_saving import make_saved_style
from ..networks.saved_style import SavedStyle, is_style_file
from ..pictures.source import close_picture
from ..progress import Progress
from ..tiling.settings import Settings
from ..weights.loading import load_backbone
from .bars import ProgressBar, download_bar
from .console import put
from .options import Commands, add_backbone_options, add_input_arguments, input_options_of


def add_style_command(commands: Commands) -> None:
    """Add ``style`` to the commands of a parser."""
    command = commands.add_parser("style", help="save styles as small files, show such files")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    _add_save(actions)
    show = actions.add_parser("show", help="show titles and networks of style files")
    show.add_argument("files", type=Path, nargs="+", metavar="FILE")
    show.set_defaults(run=run_show)


def _add_save(actions: Commands) -> None:
    save = actions.add_parser(
        "save",
        help="encode paintings once, for any number of pictures",
        description="Encode a painting, or a mixture of several, and save the code. The file can "
        "be used wherever a painting can, with the same network and weights.",
    )
    defaults = Settings()
    add = save.add_argument
    add(
        "styles",
        nargs="*",
        metavar="STYLE",
        help="a painting, a style file, or the name of a built-in style; several are mixed",
    )
    add("-o", "--output", type=Path, required=True, metavar="OUT.style.safetensors")
    add("--title", metavar="TEXT", help="one line, for people (default: the names of the styles)")
    add(
        "--style-weights",
        type=float,
        nargs="+",
        metavar="W",
        help="share of each style, any scale (default: equal)",
    )
    add_backbone_options(save)
    add(
        "--style-size",
        type=int,
        default=defaults.style_size,
        metavar="PX",
        help="longest side to which paintings are shrunk (default: %(default)s; 0 keeps their "
        "size)",
    )
    add("--device", default=defaults.device, metavar="auto|cpu|cuda[:N]|mps")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    add("--quiet", action="store_true", help="print nothing but errors")
    add_input_arguments(save)
    save.set_defaults(run=run_save)


def run_save(options: argparse.Namespace) -> None:
    """Encode the styles, and write the file."""
    _check_output(options)
    backbone = load_backbone(
        options.backbone, options.weights, listener=download_bar(quiet=options.quiet)
    )
    styles = [open_style(name, backbone, input_options_of(options)) for name in options.styles]
    try:
        with ProgressBar(quiet=options.quiet) as bar:

            def listen(progress: Progress) -> None:
                options.stop.check()
                bar.update(progress)

            style = make_saved_style(
                styles,
                backbone,
                Settings(style_size=options.style_size, device=options.device),
                style_weights=options.style_weights,
                title=options.title or ", ".join(Path(name).name for name in options.styles),
                listener=listen,
            )
    finally:
        for picture in styles:
            close_picture(picture)
    style.save(options.output)
    if not options.quiet:
        put(f"{options.output}: {style.title}, {options.output.stat().st_size / 1000:.0f} KB")


def run_show(options: argparse.Namespace) -> None:
    """Print two lines for each file."""
    for path in options.files:
        style = SavedStyle.load(path)
        put(f"{path}: {style.title}")
        put(f"  {style.backbone}, weights {style.code.fingerprint[:12]}, {_preview(style)}")


def _preview(style: SavedStyle) -> str:
    if style.preview is None:
        return "without a preview"
    height, width = style.preview.shape[1:]
    return f"preview of {width} x {height} px"


def _check_output(options: argparse.Namespace) -> None:
    """Refuse a name under which the file could not be used, or that is taken.

    Raises:
        OutputError: see the messages.
    """
    path: Path = options.output
    if not is_style_file(path.name):
        raise OutputError(f"style {path} needs the ending .safetensors; use {path}.safetensors")
    if path.exists() and not options.overwrite:
        raise OutputError(f"{path} exists", "choose another name", Change("overwrite", True))
