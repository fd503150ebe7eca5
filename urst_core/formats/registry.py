"""The formats of results, and which one a file name asks for."""

from __future__ import annotations

from pathlib import Path, PurePath

from ..errors import OutputError
from ..pictures.source import Source
from .deep_zoom import DEEP_ZOOM
from .exr import EXR
from .numpy_file import NUMPY
from .output_format import Format
from .output_options import LABELS, OutputOptions
from .vips_formats import AVIF, HEIC, JPEG, JPEG_XL, PNG, TIFF, WEBP
from .zarr.format import ZARR

FORMATS: tuple[Format, ...] = (
    *(JPEG, PNG, TIFF, WEBP, AVIF, HEIC, JPEG_XL),
    *(EXR, DEEP_ZOOM, NUMPY, ZARR),
)


def format_of(path: Path) -> Format:
    """The format that a file name's ending asks for.

    Raises:
        OutputError: no format has that ending.

    Example:
        >>> format_of(Path("painted.tif")).name
        'TIFF'
    """
    ending = path.suffix.lower()
    for format_ in FORMATS:
        if ending in format_.endings:
            return format_
    known = " ".join(ending for format_ in FORMATS for ending in format_.endings)
    raise OutputError(f"{path}: ending {ending!r} names no known format; use one of: {known}")


def has_known_ending(path: PurePath) -> bool:
    """Whether a file name's ending names a format."""
    return any(path.suffix.lower() in format_.endings for format_ in FORMATS)


def check_format(path: Path, picture: Source, options: OutputOptions) -> Format:
    """The format of ``path``, which can hold the picture and takes the options.

    Raises:
        OutputError: no format has that ending, the picture is too large, too deep or has alpha, or
            an option is out of range or not for the format.
    """
    format_ = format_of(path)
    options.check()
    for name in options.chosen:
        if name not in format_.takes:
            others = ", ".join(other.title for other in FORMATS if name in other.takes)
            raise OutputError(
                f"{path}: {format_.name} takes no choice of {LABELS[name]}; "
                f"leave it out, or use {others}"
            )
    format_.check(path, picture, options)
    return format_
