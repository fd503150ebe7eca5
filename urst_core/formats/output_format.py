"""What each format can hold, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import OutputError
from ..pictures.source import FULL_SCALE, Source
from .output_options import DEFAULT_COMPRESSION, DEFAULT_QUALITY, LABELS, OutputOptions
from .vips import can_save, vips
from .zarr.store import ZARR_ENDING, zarr_module

STORED_TILE_SIZE = 256


@dataclass(frozen=True)
class Format:
    """One format of pictures.

    Attributes:
        name: as people call it.
        endings: of file names, in lower case.
        longest_side: largest height and width, in px.
        holds_alpha, holds_16_bits, holds_floats: whether it can.
        takes: which of :class:`~urst_core.formats.output_options.OutputOptions`.
        settings: for libvips's saver.
        is_folder: whether it is a folder of files.
    """

    name: str
    endings: tuple[str, ...]
    longest_side: int = 2**31 - 1
    holds_alpha: bool = True
    holds_16_bits: bool = True
    holds_floats: bool = False
    takes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_folder: bool = False

    def check(self, path: Path, picture: Source, options: OutputOptions) -> None:
        """Refuse a picture that the format would have to change, and options that it has not.

        Raises:
            OutputError: it is too large, too deep, has alpha, or an option is not for the format.
        """
        options.check()
        for name in options.chosen:
            if name not in self.takes:
                others = ", ".join(format_.title for format_ in FORMATS if name in format_.takes)
                raise OutputError(
                    f"{path}: {self.name} takes no choice of {LABELS[name]}; "
                    f"leave it out, or use {others}"
                )
        side = max(picture.size)
        if side > self.longest_side:
            raise OutputError(
                f"{path}: {self.name} holds at most {self.longest_side} px a side, the picture "
                f"has {side}; use .tif"
            )
        if picture.dtype not in FULL_SCALE and not self.holds_floats:
            raise OutputError(
                f"{path}: {self.name} holds 8 or 16 bits a channel, the picture {picture.dtype}; "
                "use .npy"
            )
        if picture.dtype == torch.uint16 and not self.holds_16_bits:
            raise OutputError(
                f"{path}: {self.name} has 8 bits a channel, the picture 16; use .png or .tif"
            )
        if picture.channels == 4 and not self.holds_alpha:
            raise OutputError(
                f"{path}: {self.name} holds no alpha, the picture has it; use .png, .tif or .webp"
            )
        if options.tile_format == "jpeg" and (picture.channels, picture.dtype) != (3, torch.uint8):
            raise OutputError(
                f"{path}: tile format jpeg holds 8 bits a channel and no alpha, the picture has "
                "more; use png"
            )

    @property
    def title(self) -> str:
        """Its name and an ending."""
        return f"{self.name} ({self.endings[0]})"

    def check_build(self, path: Path, options: OutputOptions) -> None:
        """Refuse what libvips's format can, but this build of libvips cannot do.

        Raises:
            OutputError: the build lacks the encoder.
            ImageError: there is no libvips, or no zarr.
        """
        if self.name == "NumPy":
            return
        if self.name == "Zarr":
            zarr_module()
            return
        vips()
        if self.name == "AVIF" and not can_save(".avif", self.saver_options(options)):
            raise OutputError(
                f"{path}: this build of libvips writes no AVIF; use .webp, or "
                'pip install --upgrade "pyvips[binary]"'
            )
        if options.compression == "zstd":
            arguments = self.saver_options(replace(options, pyramid=False))
            if not can_save(".tif", {**arguments, "bigtiff": False}):
                raise OutputError(
                    f"{path}: this build of libvips writes no zstd into TIFF; use deflate or lzw, "
                    "or a libvips of conda-forge or the system with pip install pyvips"
                )

    def saver_options(self, options: OutputOptions) -> dict[str, Any]:
        """Arguments for libvips's saver, of a picture and options that were checked."""
        arguments = dict(self.settings)
        if "quality" in self.takes and "tile_format" not in self.takes:
            arguments["Q"] = options.quality or DEFAULT_QUALITY
        if "compression" in self.takes:
            arguments["compression"] = options.compression or DEFAULT_COMPRESSION
            arguments["pyramid"] = options.pyramid
        if "stored_tile_size" in self.takes:
            edge = options.stored_tile_size or STORED_TILE_SIZE
            arguments.update(tile_width=edge, tile_height=edge)
        return arguments


LONGEST_JPEG_SIDE = 65_500
"""The format would hold 65,535 px a side; libjpeg, with which everybody writes it, does not."""

FORMATS: tuple[Format, ...] = (
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        longest_side=LONGEST_JPEG_SIDE,
        holds_alpha=False,
        holds_16_bits=False,
        takes=("quality",),
    ),
    Format("PNG", (".png",)),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        takes=("compression", "pyramid", "stored_tile_size"),
        settings={"tile": True, "predictor": "horizontal", "bigtiff": True},
    ),
    Format("WebP", (".webp",), longest_side=16_383, holds_16_bits=False, takes=("quality",)),
    Format(
        "AVIF",
        (".avif",),
        longest_side=16_384,
        holds_16_bits=False,
        takes=("quality",),
        settings={"compression": "av1", "bitdepth": 8},
    ),
    Format("DeepZoom", (".dzi",), takes=("quality", "stored_tile_size", "tile_format")),
    Format("NumPy", (".npy",), holds_floats=True),
    Format("Zarr", (ZARR_ENDING,), holds_floats=True, is_folder=True),
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
