"""What each image format can hold, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .canvas import Source
from .errors import OutputError


@dataclass(frozen=True)
class Format:
    """One image format.

    Attributes:
        name: as people call it.
        endings: of file names, in lower case.
        longest_side: largest height and width, in px.
        holds_alpha, holds_16_bits: whether it can.
        has_quality: whether it is lossy, with a quality of 1 to 100.
        settings: for libvips's saver.
    """

    name: str
    endings: tuple[str, ...]
    longest_side: int
    holds_alpha: bool
    holds_16_bits: bool
    has_quality: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def options(self, quality: int) -> dict[str, Any]:
        """Arguments for libvips's saver."""
        return {**self.settings, **({"Q": quality} if self.has_quality else {})}

    def check(self, path: Path, picture: Source, *, quality: int) -> None:
        """Refuse a picture that the format would have to change.

        Raises:
            OutputError: it is too large, too deep, has alpha, or the quality is out of range.
        """
        if not 1 <= quality <= 100:
            raise OutputError(f"quality {quality} is out of range; use 1 to 100")
        side = max(picture.size)
        if side > self.longest_side:
            raise OutputError(
                f"{path}: {self.name} holds at most {self.longest_side} px a side, the picture "
                f"has {side}; use .tif"
            )
        if picture.dtype == torch.uint16 and not self.holds_16_bits:
            raise OutputError(
                f"{path}: {self.name} has 8 bits a channel, the picture 16; use .png or .tif"
            )
        if picture.channels == 4 and not self.holds_alpha:
            raise OutputError(
                f"{path}: {self.name} holds no alpha, the picture has it; use .png, .tif or .webp"
            )


DEFAULT_QUALITY = 92


LONGEST_JPEG_SIDE = 65_500
"""The format would hold 65,535 px a side; libjpeg, with which everybody writes it, does not."""

FORMATS: tuple[Format, ...] = (
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        longest_side=LONGEST_JPEG_SIDE,
        holds_alpha=False,
        holds_16_bits=False,
        has_quality=True,
    ),
    Format("PNG", (".png",), longest_side=2**31 - 1, holds_alpha=True, holds_16_bits=True),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        longest_side=2**31 - 1,
        holds_alpha=True,
        holds_16_bits=True,
        settings={
            "tile": True,
            "compression": "deflate",
            "predictor": "horizontal",
            "bigtiff": True,
        },
    ),
    Format(
        "WebP",
        (".webp",),
        longest_side=16_383,
        holds_alpha=True,
        holds_16_bits=False,
        has_quality=True,
    ),
)


def format_of(path: Path) -> Format:
    """The format that a file name's ending asks for.

    Raises:
        OutputError: no format has that ending.
    """
    ending = path.suffix.lower()
    for format_ in FORMATS:
        if ending in format_.endings:
            return format_
    known = " ".join(ending for format_ in FORMATS for ending in format_.endings)
    raise OutputError(f"{path}: ending {ending!r} names no known format; use one of: {known}")
