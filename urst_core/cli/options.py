"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from ..backbones import DEFAULT_BACKBONE, REGISTRY
from ..choices import FITS, LARGEST_FEATHER
from ..errors import SettingsError
from ..formats.input_options import InputOptions
from ..formats.vips_loader import SUSPICIOUS_RATIO
from ..runs.mask_file import MaskFile
from ..runs.printing import DEFAULT_DPI, PaperSize, Printing
from ..tiling.device import PRECISIONS
from ..tiling.settings import COLORS, MATCHES, STATS_KINDS, IfInterrupted, Settings

# argparse has no public name for what add_subparsers returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]
"""The commands of a parser; each module of a command adds its own."""


def add_backbone_options(command: argparse.ArgumentParser) -> None:
    """Add ``--backbone`` and ``--weights``."""
    add = command.add_argument
    add("--backbone", default=DEFAULT_BACKBONE, metavar="NAME", help=" or ".join(REGISTRY))
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="a safetensors file, or a name from 'urst weights list' (default: built in)",
    )


def add_stylizing_options(command: argparse.ArgumentParser) -> None:
    """Add the options of all commands that stylize."""
    defaults = Settings()
    add_backbone_options(command)
    add = command.add_argument
    add(
        "--thumbnail-size",
        type=int,
        default=defaults.thumbnail_size,
        metavar="PX",
        help="longest side of the thumbnail on which statistics are measured, and which determines "
        "the size of strokes for --strokes preview (default: %(default)s; 0: the whole picture)",
    )
    add(
        "--style-size",
        type=int,
        default=defaults.style_size,
        metavar="PX",
        help="longest side to which styles are shrunk (default: %(default)s; 0 keeps their size)",
    )
    add(
        "--tile-size",
        type=int,
        metavar="PX",
        help="edge of a tile (default: by free memory); if it exceeds the picture, there is one "
        "tile",
    )
    add(
        "--stats",
        choices=STATS_KINDS,
        default=defaults.stats,
        help="thumbnail: measure statistics on the thumbnail; exact: on the whole picture, with "
        "one more pass over the tiles for each normalization; local: on the thumbnail, around each "
        "place (default: %(default)s)",
    )
    add(
        "--local-radius",
        type=float,
        default=defaults.local_radius,
        metavar="SHARE",
        help="radius of local statistics, as a share of the picture's longest side, from 0.05 "
        "(default: %(default)s)",
    )
    add(
        "--strength",
        type=float,
        default=defaults.strength,
        metavar="0..1",
        help="0: the content, 1: the full style (default: %(default)s)",
    )
    add(
        "--colors",
        choices=COLORS,
        default=defaults.colors,
        help="style: the painting's; content: the photograph's, with the painting's lights and "
        "darks; matched: the painting is recolored first, to the photograph's range of colors "
        "(default: %(default)s)",
    )
    add(
        "--match",
        choices=MATCHES,
        default=defaults.match,
        help="what features take from the style: its moments, or its whole distribution, with "
        "--backbone adain (default: %(default)s)",
    )
    _add_stroke_options(command, defaults)
    add(
        "--precision",
        default=defaults.precision,
        metavar="|".join(["auto", *PRECISIONS]),
        help="auto: half precision if it is fast here and equal on this picture "
        "(default: %(default)s)",
    )
    add("--device", default=defaults.device, metavar="auto|cpu|cuda[:N]|mps")


def _add_stroke_options(command: argparse.ArgumentParser, defaults: Settings) -> None:
    """``--strokes``, ``--detail``, ``--brushwork`` and ``--seed``."""
    add = command.add_argument
    add(
        "--strokes",
        type=_strokes,
        default=defaults.strokes,
        metavar="preview|fine|NUMBER",
        help="size of the strokes; preview: the same share of the picture as in its thumbnail; "
        "fine: the network's own size, a fine grain in a large picture; 2.5: 2.5 times that "
        "(default: %(default)s)",
    )
    add(
        "--detail",
        type=float,
        default=defaults.detail,
        metavar="0..1",
        help="how much of the photograph's fine structure larger strokes keep "
        "(default: %(default)s)",
    )
    add(
        "--brushwork",
        type=float,
        default=defaults.brushwork,
        metavar="0..1",
        help="how much brushwork fills flat areas such as skies; has no effect with --strokes fine "
        "(default: %(default)s)",
    )
    add(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="another seed gives different brushwork (default: %(default)s)",
    )


def _strokes(text: str) -> str | float:
    """Parse a word or a number, which the settings check."""
    try:
        return float(text)
    except ValueError:
        return text


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings from the options of :func:`add_stylizing_options`."""
    return Settings(
        thumbnail_size=options.thumbnail_size,
        style_size=options.style_size,
        tile_size=options.tile_size,
        stats=options.stats,
        strength=options.strength,
        precision=options.precision,
        device=options.device,
        strokes=options.strokes,
        detail=options.detail,
        brushwork=options.brushwork,
        seed=options.seed,
        colors=options.colors,
        match=options.match,
        local_radius=options.local_radius,
    )


def add_mask_arguments(command: argparse.ArgumentParser) -> None:
    """Add ``--mask`` and ``--mask-feather``."""
    command.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="a picture of CONTENT's size: white is stylized, black stays as it is, gray mixes; "
        "tiles in the black are not computed",
    )
    command.add_argument(
        "--mask-feather",
        type=int,
        default=0,
        metavar="PX",
        help="distance from the mask's edge over which the style fades in, 0 to "
        f"{LARGEST_FEATHER} (default: %(default)s)",
    )


def add_input_arguments(command: argparse.ArgumentParser) -> None:
    """Add ``--strict`` and ``--any-size``."""
    command.add_argument(
        "--strict",
        action="store_true",
        help="refuse a damaged picture; by default a warning is printed, and its readable parts "
        "are used",
    )
    command.add_argument(
        "--any-size",
        action="store_true",
        help=f"accept a picture that unpacks to more than {SUSPICIOUS_RATIO} times its file",
    )


def add_print_arguments(command: argparse.ArgumentParser) -> None:
    """Add ``--print-size``, ``--dpi`` and ``--fit``."""
    add = command.add_argument_group("prints").add_argument
    add(
        "--print-size",
        type=_paper_size,
        metavar="WxH",
        help="enlarge or shrink CONTENT to a print of this size, as in 100x70cm, 24x36in, "
        "400x300mm",
    )
    add(
        "--dpi",
        type=float,
        metavar="N",
        help=f"dots per inch of the print ({DEFAULT_DPI:g} if not given); without --print-size, "
        "only noted in OUT",
    )
    add(
        "--fit",
        choices=FITS,
        default="cover",
        help="cover: fill the print, and crop what is too long; contain: keep the whole picture "
        "(default: %(default)s)",
    )


def _paper_size(text: str) -> PaperSize:
    try:
        return PaperSize.parse(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def printing_of(options: argparse.Namespace) -> Printing:
    """The print of :func:`add_print_arguments`; none in commands without them.

    Raises:
        SettingsError: a value is out of range.
    """
    if not hasattr(options, "print_size"):
        return Printing()
    printing = Printing(options.print_size, options.dpi, options.fit)
    printing.check()
    return printing


def input_options_of(options: argparse.Namespace) -> InputOptions:
    """The options of :func:`add_input_arguments`; the defaults in commands without them."""
    return InputOptions(
        strict=getattr(options, "strict", False), any_size=getattr(options, "any_size", False)
    )


def if_interrupted_of(options: argparse.Namespace) -> IfInterrupted:
    """The choice between ``--resume`` and ``--restart``."""
    if options.resume:
        return IfInterrupted.RESUME
    return IfInterrupted.DISCARD if options.restart else IfInterrupted.REFUSE


def mask_of(options: argparse.Namespace) -> MaskFile | None:
    """The mask from the options of :func:`add_mask_arguments`.

    Raises:
        SettingsError: a feather without a mask.
    """
    if options.mask is not None:
        return MaskFile(
            options.mask, options.mask_feather, input_options_of(options), printing_of(options)
        )
    if options.mask_feather:
        raise SettingsError(
            f"--mask-feather {options.mask_feather} needs a mask; name one with --mask"
        )
    return None
