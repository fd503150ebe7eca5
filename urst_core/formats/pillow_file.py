"""Image files as sources without libvips: through Pillow, which decodes the whole picture.

What Pillow would reduce to 8 bits, or to other colors, without a word is refused.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from ..errors import ImageError
from ..geometry import Rectangle, Size
from ..pictures.metadata import IPTC_RESOURCE, PictureMetadata, result_exif, upright_xmp
from .image_file import check_picture_path

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")
"""Those of which is known here where they say how many bits a channel has."""

WIDE_GRAY = ("I;16", "I;16L", "I;16B", "I;16N")
ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")

REMEDY = 'pip install "pyvips[binary]"'

ORIENTATION_TAG = 0x0112
BITS_PER_SAMPLE_TAG = 258

logger = logging.getLogger(__name__)


class PillowPicture:
    """A picture file, decoded as a whole: RGB or RGBA of 8 bits, or gray of 16 as RGB; upright.

    As :class:`~urst_core.formats.image_file.ImageFile`, but for the memory it takes, which it logs
    as a warning.

    Args:
        path: the file.
        flatten: drop alpha by laying the picture on white, and bring colors to sRGB: for styles.

    Attributes:
        path: the file.
        metadata: what the file says beside its pixels.

    Raises:
        ImageError: Pillow is absent; the file is missing, damaged, or of a kind that Pillow cannot
            read without loss; memory does not suffice.
    """

    def __init__(self, path: Path, *, flatten: bool = False) -> None:
        check_picture_path(path)
        self.path = path
        pillow = _pillow()
        try:
            # Not by its name: where Pillow maps a TIFF, it forgets to turn it upright.
            with (
                _of_any_size(pillow),
                path.open("rb") as file,
                pillow.open(file, formats=FORMATS) as stored,
            ):
                _check_depth(stored, path)
                _check_memory(stored, path)
                metadata = _metadata_of(stored)
                image, metadata = _as_rgb(_upright(stored, path), metadata, path, flatten=flatten)
                self._pixels: Any = np.array(image)
        except MemoryError as error:
            raise ImageError(f"picture {path} does not fit into memory; {REMEDY}") from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise ImageError(
                f"picture {path} cannot be read ({error}); use a complete JPEG, PNG, TIFF, WebP or "
                f"AVIF file, or {REMEDY}, which reads more"
            ) from error
        self.metadata: PictureMetadata = metadata
        self._is_gray = self._pixels.ndim == 2

    @property
    def size(self) -> Size:
        return self._pixels.shape[0], self._pixels.shape[1]

    @property
    def channels(self) -> int:
        return 3 if self._is_gray else self._pixels.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint16 if self._is_gray else torch.uint8

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w)."""
        rows = torch.from_numpy(self._pixels[rectangle.slices])
        if self._is_gray:
            return rows.expand(3, -1, -1)
        return rows.permute(2, 0, 1)


def _pillow() -> Any:
    try:
        from PIL import Image  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ImageError(
            f"image files need libvips, or Pillow for small ones; neither is here ({error}); "
            f"{REMEDY}"
        ) from error
    Image.init()  # or it knows but its common formats by name
    return Image


@contextmanager
def _of_any_size(pillow: Any) -> Generator[None]:
    """Without Pillow's own limit: whoever names a file means it, and memory is checked here."""
    limit = pillow.MAX_IMAGE_PIXELS
    pillow.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        pillow.MAX_IMAGE_PIXELS = limit


def _check_depth(image: Any, path: Path) -> None:
    """Refuse more than 8 bits a channel, but for gray, which Pillow keeps."""
    if image.mode in WIDE_GRAY:
        return
    with path.open("rb") as stored:
        beginning = stored.read(1 << 16)
    bits = 8
    if image.format == "PNG":
        bits = beginning[24]
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(BITS_PER_SAMPLE_TAG, (8,)))
    elif image.format == "AVIF":
        _, _, configuration = beginning.partition(b"av1C")
        bits = 10 if configuration[2] & 0x40 else 8
    if bits > 8 or image.mode in ("I", "F"):
        raise ImageError(
            f"picture {path} stores more than 8 bits a channel, which Pillow would not keep; "
            f"{REMEDY}, or convert it to 8 bits"
        )


def _check_memory(image: Any, path: Path) -> None:
    """Warn of the memory that decoding takes, and refuse what memory cannot hold."""
    # Once for Pillow's copy and once for the one kept, each with room for alpha.
    needed = image.width * image.height * 4 * 2
    free = psutil.virtual_memory().available
    sizes = f"{needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"
    if needed > free:
        raise ImageError(
            f"picture {path} takes {sizes}: without libvips it is decoded as a whole; {REMEDY}"
        )
    logger.warning(
        "libvips is absent: picture %s is decoded as a whole and takes %s; %s", path, sizes, REMEDY
    )


def _upright(image: Any, path: Path) -> Any:
    from PIL import ImageOps  # noqa: PLC0415 - optional

    if getattr(image, "n_frames", 1) > 1:
        logger.warning(
            "picture %s has %d pages or frames; only the first is used",
            path,
            image.n_frames,
        )
    return ImageOps.exif_transpose(image)


def _metadata_of(image: Any) -> PictureMetadata:
    exif = image.info.get("exif")
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    dpi: tuple[Any, Any] | None = image.info.get("dpi")
    across, down = dpi or (0, 0)
    turned = image.getexif().get(ORIENTATION_TAG, 1) in range(5, 9)
    if turned:
        across, down = down, across
    return PictureMetadata(
        profile=image.info.get("icc_profile"),
        resolution=(float(across) / 25.4, float(down) / 25.4) if dpi else None,
        exif=result_exif(exif, turned=turned) if exif else None,
        xmp=upright_xmp(xmp) if xmp else None,
        iptc=image.info.get("photoshop", {}).get(IPTC_RESOURCE),
    )


def _as_rgb(
    image: Any, metadata: PictureMetadata, path: Path, *, flatten: bool
) -> tuple[Any, PictureMetadata]:
    """RGB, RGBA or gray of 16 bits, and the metadata with the profile that these are meant in."""
    from PIL import Image  # noqa: PLC0415 - optional

    space = _profile_space(metadata.profile)
    if image.mode in WIDE_GRAY:
        if space == "GRAY":
            raise ImageError(
                f"picture {path} is gray of 16 bits with a profile, which Pillow cannot apply; "
                f"{REMEDY}"
            )
        return image, replace(metadata, profile=None)
    if image.mode == "CMYK":
        if space != "CMYK":
            raise ImageError(
                f"picture {path} is CMYK without a profile, whose colors Pillow does not know; "
                f"{REMEDY}"
            )
        return _in_srgb(image, metadata.profile), replace(metadata, profile=None)
    has_alpha = image.mode in ALPHA_MODES or "transparency" in image.info
    colors = image.convert("RGBA" if has_alpha else "RGB")
    if metadata.profile and (flatten or space != "RGB"):
        gray_or_rgb = image.convert("L") if space == "GRAY" else colors.convert("RGB")
        converted = _in_srgb(gray_or_rgb, metadata.profile)
        if has_alpha:
            converted.putalpha(colors.getchannel("A"))
        colors, metadata = converted, replace(metadata, profile=None)
    if flatten and has_alpha:
        white = Image.new("RGBA", colors.size, "white")
        colors = Image.alpha_composite(white, colors).convert("RGB")
    return colors, metadata


def _profile_space(profile: bytes | None) -> str:
    """``RGB``, ``GRAY``, ``CMYK`` or another, as the profile's header says; or nothing."""
    return profile[16:20].decode("ascii", "replace").strip() if profile else ""


def _in_srgb(image: Any, profile: bytes | None) -> Any:
    from PIL import ImageCms  # noqa: PLC0415 - optional

    assumed = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
    srgb: Any = ImageCms.createProfile("sRGB")
    try:
        return ImageCms.profileToProfile(image, assumed, srgb, outputMode="RGB")
    except ImageCms.PyCMSError as error:
        raise ValueError(f"its profile cannot be applied: {error}") from error
