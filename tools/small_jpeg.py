"""JPEG files of limited size."""

from __future__ import annotations

import io

from PIL import Image

QUALITIES = range(88, 40, -4)


def small_jpeg(image: Image.Image, largest: int) -> bytes:
    """Encode an image in the best quality that takes no more than ``largest`` bytes."""
    encoded = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        encoded = buffer.getvalue()
        if len(encoded) <= largest:
            break
    return encoded
