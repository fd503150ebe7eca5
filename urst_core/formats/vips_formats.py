"""JPEG, PNG, TIFF, WebP, AVIF, HEIC and JPEG XL as libvips writes them, if it can.

The encoders of WebP and AVIF do not work in rows, and take the whole picture into memory (10 bytes
a pixel for WebP); and the smaller levels of a TIFF's pyramid, a third of the file, are kept there
until the first is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..durable import flush_file
from ..errors import Install, OutputError, Remedy
from ..pictures.metadata import PictureMetadata, metadata_of, wrapped_iptc
from ..pictures.source import Source
from .light_file import light_file, light_file_bytes
from .output_format import GROWTH, STORED_TILE_SIZE, Encoding, Format, tiled_bytes
from .output_options import DEFAULT_COMPRESSION, DEFAULT_QUALITY, OutputOptions
from .png_text import insert_texts
from .vips import can_save, vips
from .vips_saver import picture_to_save
from .work_file import raw_bytes

LONGEST_JPEG_SIDE = 65_500
"""The format would hold 65,535 px a side; libjpeg, with which everybody writes it, does not."""

LZW_GROWTH = 1.5
"""What LZW makes of noise: codes of 12 bits for values of 8."""


def _wrap_for_jpeg(metadata: PictureMetadata) -> PictureMetadata:
    return replace(metadata, iptc=wrapped_iptc(metadata.iptc)) if metadata.iptc else metadata


def _pad_for_tiff(metadata: PictureMetadata) -> PictureMetadata:
    """libvips counts IPTC in words of 4 bytes, libtiff takes the count for one of bytes.

    Where both mean words, it only ends with zeros.
    """
    iptc = metadata.iptc
    return replace(metadata, iptc=iptc + bytes(3 * len(iptc))) if iptc else metadata


def _save(task: Encoding, arguments: Mapping[str, Any], metadata: PictureMetadata) -> None:
    with picture_to_save(task, metadata) as image:
        image.write_to_file(str(task.partial), **arguments)


@dataclass(frozen=True)
class PlainFormat(Format):
    """A file without choices but quality.

    Attributes:
        settings: for libvips's saver.
        adapt: turns metadata into the form in which libvips wants it for this format.
        add_texts: puts texts by keyword into a finished file, where the format has them.
        build_remedies: what helps where libvips lacks the encoder; none if it always has it.
    """

    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    adapt: Callable[[PictureMetadata], PictureMetadata] = lambda metadata: metadata
    add_texts: Callable[[Path, Mapping[str, str]], None] | None = None
    build_remedies: tuple[Remedy, ...] = ()

    def check_build(self, path: Path, options: OutputOptions) -> None:
        vips()
        if not self.build_remedies or can_save(self.endings[0], self._arguments(options)):
            return
        raise OutputError(
            f"{path}: this build of libvips writes no {self.name}", *self.build_remedies
        )

    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        return raw_bytes(like) * GROWTH

    def save(self, task: Encoding) -> None:
        metadata = metadata_of(task.like)
        _save(task, self._arguments(task.options), self.adapt(metadata))
        if self.add_texts is not None:
            self.add_texts(task.partial, metadata.texts)
        flush_file(task.partial)

    def _arguments(self, options: OutputOptions) -> dict[str, Any]:
        quality = {"Q": options.quality or DEFAULT_QUALITY} if "quality" in self.takes else {}
        return {**self.settings, **quality}


@dataclass(frozen=True)
class TiffFormat(Format):
    """BigTIFF in tiles, lossless, with smaller copies where they are asked for."""

    def check_build(self, path: Path, options: OutputOptions) -> None:
        vips()
        if options.compression != "zstd":
            return
        arguments = self._arguments(replace(options, pyramid=False))
        if not can_save(".tif", {**arguments, "bigtiff": False}):
            raise OutputError(
                f"{path}: this build of libvips writes no zstd into TIFF",
                "use deflate or lzw",
                Install("pyvips", how="use a libvips of conda-forge or the system with"),
            )

    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        edge = options.stored_tile_size or STORED_TILE_SIZE
        growth = LZW_GROWTH if options.compression == "lzw" else GROWTH
        extra = light_file_bytes(like) if like.dtype.is_floating_point else 0
        return tiled_bytes(like, edge, levels=options.pyramid) * growth + extra

    def save(self, task: Encoding) -> None:
        metadata = _pad_for_tiff(metadata_of(task.like))
        if not task.like.dtype.is_floating_point:
            _save(task, self._arguments(task.options), metadata)
        else:
            with light_file(task) as light:
                arguments = {**self._arguments(task.options), "predictor": "float"}
                _save(light, arguments, metadata)
        flush_file(task.partial)

    def _arguments(self, options: OutputOptions) -> dict[str, Any]:
        edge = options.stored_tile_size or STORED_TILE_SIZE
        return {
            "tile": True,
            "tile_width": edge,
            "tile_height": edge,
            "predictor": "horizontal",
            "bigtiff": True,
            "compression": options.compression or DEFAULT_COMPRESSION,
            "pyramid": options.pyramid,
        }


JPEG = PlainFormat(
    "JPEG",
    (".jpg", ".jpeg"),
    longest_side=LONGEST_JPEG_SIDE,
    holds_alpha=False,
    holds_16_bits=False,
    takes=("quality",),
    adapt=_wrap_for_jpeg,
)
PNG = PlainFormat("PNG", (".png",), add_texts=insert_texts)
TIFF = TiffFormat(
    "TIFF",
    (".tif", ".tiff"),
    holds_floats=True,
    takes=("compression", "pyramid", "stored_tile_size"),
)
WEBP = PlainFormat("WebP", (".webp",), longest_side=16_383, holds_16_bits=False, takes=("quality",))
AVIF = PlainFormat(
    "AVIF",
    (".avif",),
    longest_side=16_384,
    holds_16_bits=False,
    takes=("quality",),
    settings={"compression": "av1", "bitdepth": 8},
    build_remedies=("use .webp", Install('--upgrade "pyvips[binary]"')),
)
HEIC = PlainFormat(
    "HEIC",
    (".heic",),
    longest_side=16_384,
    holds_16_bits=False,
    takes=("quality",),
    settings={"compression": "hevc", "bitdepth": 8},
    build_remedies=("use .avif or .jpg, or a libvips with an HEVC encoder",),
)
JPEG_XL = PlainFormat(
    "JPEG XL",
    (".jxl",),
    takes=("quality",),
    build_remedies=("use .avif or .png, or a libvips with libjxl, for example from conda-forge",),
)
