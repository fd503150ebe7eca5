"""Prints: sizes on paper, and the pixels that they take.

cover    the picture fills the paper, what is too long is cropped on both sides
contain  the whole picture, as large as fits on the paper
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from ..choices import FITS, LARGEST_DPI, SMALLEST_DPI, Fit
from ..errors import Change, SettingsError
from ..geometry import Rectangle, Size
from ..pictures.metadata import MM_PER_INCH, PictureMetadata
from ..pictures.resized import Resized
from ..pictures.source import Source

UNITS = {"mm": 1.0, "cm": 10.0, "in": MM_PER_INCH}
"""Millimeters in each unit."""

DEFAULT_DPI = 300.0

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*x\s*(\d+(?:\.\d+)?)\s*(mm|cm|in)")


@dataclass(frozen=True)
class PaperSize:
    """Width and height of a print, in a unit of ``UNITS``."""

    width: float
    height: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> PaperSize:
        """Read a size such as ``100x70cm``: width x height.

        Raises:
            SettingsError: it is not such a size.

        Example:
            >>> PaperSize.parse("100x70cm").pixels(300)
            (8268, 11811)
        """
        match = _SIZE.fullmatch(text.strip().lower())
        if match is None or not all(float(side) > 0 for side in match.groups()[:2]):
            raise SettingsError(
                f"print size {text!r} is not WIDTHxHEIGHT with a unit", "use mm, cm or in: 100x70cm"
            )
        return cls(float(match[1]), float(match[2]), match[3])

    def __str__(self) -> str:
        return f"{self.width:g}x{self.height:g}{self.unit}"

    def pixels(self, dpi: float) -> Size:
        """Height and width in px."""
        scale = UNITS[self.unit] / MM_PER_INCH * dpi
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))


@dataclass(frozen=True)
class Printing:
    """How a result is to be printed.

    Attributes:
        paper: size of the print; None keeps the content's size in pixels.
        dpi: dots per inch; None is 300 for a print, and the content's own otherwise.
        fit: how the picture fits on the paper, one of ``FITS``.
    """

    paper: PaperSize | None = None
    dpi: float | None = None
    fit: Fit = "cover"

    def check(self) -> None:
        """Refuse values that are out of range.

        Raises:
            SettingsError: one of them is.
        """
        if self.dpi is not None and not SMALLEST_DPI <= self.dpi <= LARGEST_DPI:
            raise SettingsError(
                f"dpi {self.dpi:g} is out of range; use {SMALLEST_DPI:g} to {LARGEST_DPI:g}"
            )
        if self.fit not in FITS:
            raise SettingsError(f"fit {self.fit!r} is unknown; use {' or '.join(FITS)}")
        if self.fit != "cover" and self.paper is None:
            raise SettingsError(
                f"fit {self.fit} needs a size of the print", Change("print_size", how="give")
            )

    @property
    def used_dpi(self) -> float | None:
        """Dots per inch of the result; None if they are the content's own."""
        return self.dpi or (DEFAULT_DPI if self.paper is not None else None)

    def resize(self, picture: Source) -> Source:
        """The picture in the pixels of the print; the picture itself without a size."""
        if self.paper is None:
            return picture
        paper = self.paper.pixels(self.used_dpi or DEFAULT_DPI)
        if self.fit == "cover":
            return Resized(picture, _cropped(picture.size, paper), paper)
        return Resized(picture, Rectangle.of_size(picture.size), _fitting(picture.size, paper))

    def describe(self, metadata: PictureMetadata) -> PictureMetadata:
        """Metadata of the result, with its resolution."""
        if self.used_dpi is None:
            return metadata
        dots = self.used_dpi / MM_PER_INCH
        return replace(metadata, resolution=(dots, dots), is_resolution_chosen=True)

    def identity(self) -> dict[str, str]:
        """Everything about the print that determines the result; empty by default."""
        if self.used_dpi is None:
            return {}
        paper = f"{self.paper}, {self.fit}, " if self.paper else ""
        return {"print": f"{paper}{self.used_dpi:g} dpi"}


def _cropped(size: Size, paper: Size) -> Rectangle:
    """The largest part in the middle of a picture with the shape of the paper, in whole px."""
    height, width = size
    scale = min(height / paper[0], width / paper[1])
    rows = min(height, max(1, round(paper[0] * scale)))
    columns = min(width, max(1, round(paper[1] * scale)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return Rectangle(top, left, top + rows, left + columns)


def _fitting(size: Size, paper: Size) -> Size:
    """The largest size of a picture's shape that fits on the paper."""
    scale = min(paper[0] / size[0], paper[1] / size[1])
    return max(1, math.floor(size[0] * scale + 0.5)), max(1, math.floor(size[1] * scale + 0.5))
