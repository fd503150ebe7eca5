"""Options for storing a result, and their command-line arguments."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

from ..errors import OutputError

DEFAULT_QUALITY = 92

COMPRESSIONS = ("deflate", "zstd", "lzw", "none")
DEFAULT_COMPRESSION = "deflate"

TILE_FORMATS = ("jpeg", "png")

LABELS = {
    "quality": "quality",
    "compression": "compression",
    "pyramid": "a pyramid",
    "stored_tile_size": "a stored tile size",
    "tile_format": "a tile format",
}
"""The options as messages call them, by their names."""


@dataclass(frozen=True)
class OutputOptions:
    """Options for storing a result; None leaves the choice to the format.

    Each format takes some of them and refuses the others; see
    :mod:`urst_core.formats.output_format`.

    Attributes:
        quality: 1 to 100, of lossy formats.
        compression: of TIFF, one of ``COMPRESSIONS``; all of them lossless.
        pyramid: whether a TIFF also has the picture at half the size, a quarter, and so on.
        stored_tile_size: edge, in px, of the tiles inside a TIFF (a multiple of 16) or of DeepZoom;
            it has nothing to do with the tiles that are stylized.
        tile_format: of DeepZoom's tiles, one of ``TILE_FORMATS``.
    """

    quality: int | None = None
    compression: str | None = None
    pyramid: bool = False
    stored_tile_size: int | None = None
    tile_format: str | None = None

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the options that somebody chose."""
        return tuple(name for name in LABELS if getattr(self, name) not in (None, False))

    def check(self) -> None:
        """Refuse what no format takes.

        Raises:
            OutputError: an option is unknown or out of range.
        """
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OutputError(f"quality {self.quality} is out of range; use 1 to 100")
        for label, value, known in (
            ("compression", self.compression, COMPRESSIONS),
            ("tile format", self.tile_format, TILE_FORMATS),
        ):
            if value is not None and value not in known:
                raise OutputError(f"{label} {value!r} is unknown; use {' or '.join(known)}")
        edge = self.stored_tile_size
        if edge is not None and (not 64 <= edge <= 4096 or edge % 16):
            raise OutputError(
                f"stored tile size {edge} cannot be used; use a multiple of 16 from 64 to 4096"
            )


def add_output_arguments(parser: ArgumentParser) -> None:
    """Give a command the arguments that :func:`output_options` reads."""
    add = parser.add_argument_group("how the result is stored").add_argument
    add(
        "--quality",
        type=int,
        metavar="1..100",
        help=f"of JPEG, WebP, AVIF, DeepZoom and videos (default: {DEFAULT_QUALITY})",
    )
    add(
        "--compression",
        choices=COMPRESSIONS,
        help=f"of TIFF, lossless (default: {DEFAULT_COMPRESSION})",
    )
    add("--pyramid", action="store_true", help="smaller copies inside the TIFF, for viewers")
    add(
        "--stored-tile-size",
        type=int,
        metavar="PX",
        help="of TIFF and DeepZoom (default: 256)",
    )
    add(
        "--tile-format",
        choices=TILE_FORMATS,
        help="of DeepZoom (default: jpeg; png for 16 bits or alpha)",
    )


def output_options(arguments: Namespace) -> OutputOptions:
    """The options that a command line asked for, checked.

    Raises:
        OutputError: one is out of range.
    """
    options = OutputOptions(
        quality=arguments.quality,
        compression=arguments.compression,
        pyramid=arguments.pyramid,
        stored_tile_size=arguments.stored_tile_size,
        tile_format=arguments.tile_format,
    )
    options.check()
    return options
