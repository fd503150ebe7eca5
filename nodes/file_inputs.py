"""The widgets of nodes that read and write files, and what of the engine stands behind them."""

from __future__ import annotations

from comfy_api.latest import io

from ..urst_core.formats.output_format import Format
from ..urst_core.formats.output_options import DEFAULT_QUALITY, OutputOptions
from ..urst_core.formats.registry import FORMATS
from . import folders

FILE_FORMATS = ("TIFF", "PNG", "JPEG", "WebP", "AVIF", "DeepZoom")
"""Formats of the engine that are pictures to others too, the one that fits all first."""


def picture_input(name: str) -> io.Input:
    """A choice of the files in ComfyUI's input folder.

    No upload button: with it pages show the whole file, which ends a browser where it is large,
    and they send no TIFF and, by default, nothing beyond 100 MB.
    """
    return io.Combo.Input(
        name,
        options=folders.picture_choices(),
        tooltip="A picture file in ComfyUI's input folder, of any size: put it there, then refresh "
        "with R. Workflows may also say NAME [output].",
    )


def format_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "file_format",
            options=list(FILE_FORMATS),
            default=FILE_FORMATS[0],
            tooltip="TIFF (tiles inside, lossless) holds every picture. PNG is slower. JPEG and "
            "AVIF hold 8 bits and no more than 65500 and 16384 px a side, WebP 16383. DeepZoom is "
            "a folder of tiles for web pages.",
        ),
        io.Int.Input(
            "quality",
            default=DEFAULT_QUALITY,
            min=1,
            max=100,
            tooltip="Of JPEG, WebP, AVIF and DeepZoom; the others lose nothing.",
        ),
    ]


def find_format(name: str) -> Format:
    """The engine's format of one of ``FILE_FORMATS``."""
    return {format_.name: format_ for format_ in FORMATS}[name]


def output_options(format_: Format, quality: int) -> OutputOptions:
    """The options, without those that the format has not."""
    return OutputOptions(quality=quality if "quality" in format_.takes else None)
