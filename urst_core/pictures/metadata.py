"""Metadata of picture files, and the part of it that the result keeps."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .source import Raster, Source
from .xmp import painting_of, with_painting, without_painting

PAINTING_KEYWORD = "urst"
"""Keyword of the text in PNG files about how they were painted."""

EXIF_MARK = b"Exif\0\0"
"""First bytes of an EXIF block in JPEG; a small TIFF file follows."""

X_RESOLUTION, Y_RESOLUTION = 0x011A, 0x011B

MM_PER_INCH = 25.4

PHOTOSHOP_MARK = b"Photoshop 3.0\0"
RESOURCE_MARK = b"8BIM"
IPTC_RESOURCE = 0x0404
"""Number of the Photoshop resource that contains IPTC in JPEG files."""


@dataclass(frozen=True)
class PictureMetadata:
    """Metadata that the result inherits from the content, if its format supports them.

    Attributes:
        profile: the ICC profile of the pixel values.
        resolution: pixels per millimeter, across and down.
        exif: an EXIF block as JPEG stores it, from ``EXIF_MARK`` on, without a thumbnail. Its
            orientation does not apply to the result, whose pixels are upright.
        xmp: an XMP packet, its orientation already upright.
        iptc: IPTC records (IIM), not wrapped.
        texts: text chunks by keyword; only PNG has them.
        painting: what the picture was painted with, if urst painted it. It is taken out of the XMP
            packet, since a result is painted with something else.
        is_resolution_chosen: whether the resolution replaces that of the EXIF block.
    """

    profile: bytes | None = None
    resolution: tuple[float, float] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    painting: str | None = None
    is_resolution_chosen: bool = False

    def with_painting(self, text: str) -> PictureMetadata:
        """Metadata of a result with a text about how it was painted, for all formats."""
        texts = {**self.texts, PAINTING_KEYWORD: text}
        return replace(self, xmp=with_painting(self.xmp, text), texts=texts)


@dataclass(frozen=True)
class WithMetadata:
    """A picture with other metadata.

    Example:
        >>> from urst_core.pictures.source import TensorSource
        >>> import torch
        >>> metadata = PictureMetadata(resolution=(11.8, 11.8))
        >>> picture = WithMetadata(TensorSource(torch.zeros(3, 4, 4)), metadata)
        >>> picture.size, metadata_of(picture).resolution
        ((4, 4), (11.8, 11.8))
    """

    picture: Source
    metadata: PictureMetadata

    @property
    def path(self) -> Path | None:
        """The file that the picture is read from, if any."""
        path = getattr(self.picture, "path", None)
        return path if isinstance(path, Path) else None

    @property
    def size(self) -> Size:
        return self.picture.size

    @property
    def channels(self) -> int:
        return self.picture.channels

    @property
    def dtype(self) -> torch.dtype:
        return self.picture.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w)."""
        return self.picture.read(rectangle)


def metadata_of(picture: Raster) -> PictureMetadata:
    """A picture's ``metadata``; empty for pictures without any, such as those in memory."""
    metadata = getattr(picture, "metadata", None)
    return metadata if isinstance(metadata, PictureMetadata) else PictureMetadata()


def content_xmp(xmp: bytes | None) -> tuple[bytes | None, str | None]:
    """Split a packet: what results keep of it, upright; and what the picture was painted with."""
    rest = without_painting(xmp)
    return (upright_xmp(rest) if rest else None), painting_of(xmp)


def upright_xmp(xmp: bytes) -> bytes:
    """An XMP packet that no longer asks viewers to turn the picture."""
    return re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]", rb"\g<1>1", xmp)


def result_exif(exif: bytes, *, turned: bool) -> bytes:
    """The EXIF block of the result, from that of the content as JPEG or PNG stores it.

    It begins with ``EXIF_MARK``, and has no second directory, which would contain a thumbnail. If
    the orientation turned rows into columns, the resolutions across and down are swapped.

    A block that cannot be parsed is returned as it is.
    """
    if not exif.startswith(EXIF_MARK):
        exif = EXIF_MARK + exif
    start = len(EXIF_MARK)
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    if order is None:
        return exif
    try:
        (first,) = struct.unpack_from(order + "I", exif, start + 4)
        (count,) = struct.unpack_from(order + "H", exif, start + first)
    except struct.error:
        return exif
    entries = start + first + 2
    end = entries + 12 * count
    if end + 4 > len(exif):
        return exif
    block = bytearray(exif)
    block[end : end + 4] = bytes(4)
    places = {
        struct.unpack_from(order + "H", block, place)[0]: place for place in range(entries, end, 12)
    }
    if turned and X_RESOLUTION in places and Y_RESOLUTION in places:
        across, down = (slice(places[t] + 2, places[t] + 12) for t in (X_RESOLUTION, Y_RESOLUTION))
        block[across], block[down] = block[down], block[across]
    return bytes(block)


def unwrapped_iptc(block: bytes) -> bytes | None:
    """IPTC records from a block of Photoshop's resources, or from a block of bare IPTC records.

    Photoshop 3.0 0 | 8BIM | number, 2 bytes | name, its length first, padded to even |
                      length, 4 bytes | data, padded to even | 8BIM | ...
    """
    if not block.startswith(PHOTOSHOP_MARK):
        return block
    place = len(PHOTOSHOP_MARK)
    while block[place : place + 4] == RESOURCE_MARK and place + 7 <= len(block):
        (number,) = struct.unpack_from(">H", block, place + 4)
        name_bytes = 1 + block[place + 6]
        place += 6 + name_bytes + name_bytes % 2
        if place + 4 > len(block):
            return None
        (length,) = struct.unpack_from(">I", block, place)
        place += 4
        if number == IPTC_RESOURCE:
            return block[place : place + length]
        place += length + length % 2
    return None


def wrapped_iptc(iptc: bytes) -> bytes:
    """IPTC records wrapped as the only Photoshop resource, the form that JPEG needs."""
    head = RESOURCE_MARK + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc))
    return PHOTOSHOP_MARK + head + iptc + bytes(len(iptc) % 2)
