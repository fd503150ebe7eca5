"""Widgets of nodes that read and write files, and their translation to the engine's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..urst_core.choices import FITS, LARGEST_DPI, Fit
from ..urst_core.errors import OutputError, URSTError
from ..urst_core.formats.output_options import DEFAULT_QUALITY, OutputOptions
from ..urst_core.formats.vips import vips
from . import folders
from .remedies import naming_inputs
from .sockets import folded_away

if TYPE_CHECKING:
    from ..urst_core.formats.output_format import Format
    from ..urst_core.runs.printing import Printing

FILE_FORMATS = ("TIFF", "PNG", "JPEG", "WebP", "AVIF", "DeepZoom")
"""The engine's formats that other programs open as pictures; the default first."""


def picture_input(name: str) -> io.Input:
    """A choice of the files in ComfyUI's input folder.

    Without an upload button: with one, the page shows the whole file, which crashes the browser if
    the file is large; and it uploads neither TIFF nor, by default, files of more than 100 MB.
    """
    return io.Combo.Input(
        name,
        options=folders.picture_choices(),
        tooltip="A picture file of any size in ComfyUI's input folder: put it there, then press R "
        "to refresh. Workflows can also use NAME [output].",
    )


def format_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "file_format",
            options=list(FILE_FORMATS),
            default=FILE_FORMATS[0],
            tooltip="TIFF (tiled, lossless) fits every picture. PNG is slower. JPEG, WebP and AVIF "
            "are limited to 8 bits and to 65500, 16383 and 16384 px per side. DeepZoom is a "
            "folder of tiles for web pages.",
        ),
        io.Int.Input(
            "quality",
            default=DEFAULT_QUALITY,
            min=1,
            max=100,
            tooltip="Quality of JPEG, WebP, AVIF and DeepZoom; the others are lossless.",
        ),
    ]


def result_inputs() -> list[io.Input]:
    """The size of a print, and what the result's metadata say."""
    inputs = [
        io.String.Input(
            "print_size",
            optional=True,
            default="",
            tooltip="Size of a print, width x height, as in 100x70cm, 24x36in or 400x300mm: the "
            "picture is enlarged to its pixels and painted at that size. Empty keeps the "
            "picture's size in pixels.",
        ),
        io.Float.Input(
            "dpi",
            optional=True,
            default=0.0,
            min=0.0,
            max=LARGEST_DPI,
            step=1.0,
            tooltip="Dots per inch of the print, noted in the result. 0: 300 for a print, else "
            "the picture's own.",
        ),
        io.Combo.Input(
            "fit",
            options=list(FITS),
            optional=True,
            default=FITS[0],
            tooltip="cover: fill the print, and crop what is too long. contain: keep the whole "
            "picture.",
        ),
        io.Boolean.Input(
            "metadata",
            optional=True,
            default=True,
            tooltip="On: the result says in its metadata what it was painted with, for urst "
            "describe and urst stylize --like. The picture's own metadata are kept either way.",
        ),
    ]
    return [folded_away(each) for each in inputs]


def printing_of(print_size: str, dpi: float, fit: Fit) -> Printing:
    """The print that the inputs describe.

    Raises:
        SettingsError: one of them is out of range.
    """
    from ..urst_core.runs.printing import PaperSize, Printing

    if not print_size.strip():
        return Printing(dpi=dpi or None)
    return Printing(PaperSize.parse(print_size), dpi or None, fit)


def complaint_about_print(print_size: str | None, dpi: float | None) -> bool | str:
    """True if there is such a print, else an error message."""
    try:
        with naming_inputs():
            printing_of(print_size or "", dpi or 0.0, "cover").check()
    except URSTError as error:
        return str(error)
    return True


def find_format(name: str) -> Format:
    """The engine's format for one of ``FILE_FORMATS``.

    Raises:
        OutputError: it is none of them.
    """
    from ..urst_core.formats.registry import FORMATS

    if name not in FILE_FORMATS:
        raise OutputError(f"file format {name!r} is unknown; use {', '.join(FILE_FORMATS)}")
    return {format_.name: format_ for format_ in FORMATS}[name]


def complaint_about_output(
    name: str | None, file_format: str | None, *, bits: str | None = None
) -> bool | str:
    """Validate an output as ComfyUI asks nodes to, before any of them runs.

    Args:
        name: of the file, or the beginning of it; None if another node will give it.
        file_format: one of ``FILE_FORMATS``, or None.
        bits: per channel, or None.

    Returns:
        True, or an error message.
    """
    try:
        with naming_inputs():
            vips()
            if name is not None:
                folders.check_output_prefix(name)
            if file_format is not None:
                _check_depth(find_format(file_format), bits)
    except URSTError as error:
        return str(error)
    return True


def _check_depth(format_: Format, bits: str | None) -> None:
    from ..urst_core.formats.registry import FORMATS

    if bits == "16" and not format_.holds_16_bits:
        deep = [f.name for f in FORMATS if f.name in FILE_FORMATS and f.holds_16_bits]
        raise OutputError(
            f"{format_.name} has 8 bits per channel, not 16; choose 8 bits, or {' or '.join(deep)}"
        )


def output_options(format_: Format, quality: int) -> OutputOptions:
    """The options that the format supports."""
    return OutputOptions(quality=quality if "quality" in format_.takes else None)
