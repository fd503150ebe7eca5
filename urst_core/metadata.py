"""What a picture file says beside its pixels, and what of it the result should say too."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .canvas import Source


@dataclass(frozen=True)
class PictureMetadata:
    """What is carried from the content to the result, as far as the result's format holds it.

    Attributes:
        profile: the ICC profile that the pixel values are meant in.
        resolution: pixels per millimeter, across and down.
        exif: an EXIF block as JPEG stores it, from ``Exif\\0\\0`` on. Its orientation and thumbnail
            are not meant for the result: pixels are upright, and no longer what it shows.
        xmp: an XMP packet, its orientation already upright.
        photoshop: Photoshop's resources, in which IPTC lies.
    """

    profile: bytes | None = None
    resolution: tuple[float, float] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    photoshop: bytes | None = None


def metadata_of(picture: Source) -> PictureMetadata:
    """A picture's ``metadata``; empty for those that have none, as pictures in memory."""
    metadata = getattr(picture, "metadata", None)
    return metadata if isinstance(metadata, PictureMetadata) else PictureMetadata()


def upright_xmp(xmp: bytes) -> bytes:
    """An XMP packet that no longer asks viewers to turn the picture."""
    return re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]", rb"\g<1>1", xmp)
