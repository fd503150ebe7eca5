"""Image files as sources, through libvips.

libvips decodes every common format, in 8 and 16 bits, without holding a large picture in memory:
what cannot be read at random (JPEG, PNG) is unpacked once, beyond 100 MB into a temporary file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import ImageError
from .geometry import Rectangle, Size
from .libvips import reason, vips
from .metadata import PictureMetadata, upright_xmp

DTYPES: dict[str, torch.dtype] = {"uchar": torch.uint8, "ushort": torch.uint16}
"""What a picture may be stored as, by libvips's names."""

RGB_SPACES = ("srgb", "rgb", "rgb16")


class ImageFile:
    """A picture file, read by rectangles: RGB or RGBA, 8 or 16 bits, upright.

    The EXIF orientation is applied; gray, palette and CMYK pictures become RGB.

    Args:
        path: the file.
        flatten: drop alpha by laying the picture on white, and bring colors to sRGB: for styles.

    Raises:
        ImageError: the file is missing, empty, no image, or of a kind that cannot be used.
    """

    def __init__(self, path: Path, *, flatten: bool = False) -> None:
        self.path = path
        if path.is_dir():
            raise ImageError(f"picture {path} is a folder; name a file in it")
        if not path.is_file():
            raise ImageError(f"picture {path} does not exist; check the path")
        if path.stat().st_size == 0:
            raise ImageError(f"picture {path} is empty (0 bytes); get it again")
        try:
            self._image = _as_rgb(_open(path).autorot(), path, flatten=flatten)
        except vips().Error as error:
            raise ImageError(
                f"picture {path} cannot be read ({reason(error)}); "
                "use a complete JPEG, PNG, TIFF or WebP file"
            ) from error

    @property
    def size(self) -> Size:
        return self._image.height, self._image.width

    @property
    def channels(self) -> int:
        return self._image.bands

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self._image.format]

    @property
    def metadata(self) -> PictureMetadata:
        """What the file says beside its pixels."""
        xmp = self._blob("xmp-data")
        return PictureMetadata(
            profile=self._blob("icc-profile-data"),
            resolution=(self._image.xres, self._image.yres),
            exif=self._blob("exif-data"),
            xmp=upright_xmp(xmp) if xmp else None,
            photoshop=self._blob("iptc-data"),
        )

    @property
    def profile(self) -> bytes | None:
        """The ICC profile that the pixel values are meant in."""
        return self._blob("icc-profile-data")

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w).

        Raises:
            ImageError: the file turns out to be damaged there.
        """
        crop = self._image.crop(rectangle.left, rectangle.top, rectangle.width, rectangle.height)
        try:
            pixels: np.ndarray[Any, Any] = crop.numpy()
        except vips().Error as error:
            raise ImageError(
                f"picture {self.path} is damaged or truncated ({reason(error)}); get it again"
            ) from error
        height, width = rectangle.size
        # Copied: libvips owns the buffer, and torch wants one that may be written.
        rows = torch.from_numpy(pixels.reshape(height, width, self.channels).copy())
        return rows.permute(2, 0, 1)

    def _blob(self, name: str) -> bytes | None:
        return bytes(self._image.get(name)) if self._image.get_typeof(name) else None


def _open(path: Path) -> Any:
    """The picture as it is stored; what is damaged shows up as an error when it is read."""

    def opened(fail_on: str) -> Any:
        # Revalidated: libvips would hand out an earlier picture of that name, though replaced.
        return vips().Image.new_from_file(
            str(path), access="random", fail_on=fail_on, revalidate=True
        )

    image = opened("truncated")
    # libvips takes what is missing in a TIFF for a warning, and leaves it black. A JPEG's
    # warnings are mostly harmless.
    return opened("warning") if image.get("vips-loader") == "tiffload" else image


def _as_rgb(image: Any, path: Path, *, flatten: bool) -> Any:
    """RGB or RGBA of 8 or 16 bits."""
    if image.format not in DTYPES:
        raise ImageError(
            f"picture {path} stores {image.format} values; convert it to 8 or 16 bits a channel"
        )
    colors = (4,) if image.interpretation == "cmyk" else (1, 3)
    if image.bands - (1 if image.hasalpha() else 0) not in colors:
        raise ImageError(
            f"picture {path} has {image.bands} channels; "
            "use gray, RGB or CMYK, with or without alpha"
        )
    wide = image.format == "ushort"
    has_profile = image.get_typeof("icc-profile-data") != 0
    is_rgb = image.interpretation in RGB_SPACES
    if image.interpretation == "cmyk" or (has_profile and (flatten or not is_rgb)):
        # The built-in CMYK profile serves where the file brings none.
        image = image.icc_transform("srgb", embedded=has_profile, depth=16 if wide else 8)
        image = _without_profile(image)
    elif not is_rgb:
        image = image.colourspace("rgb16" if wide else "srgb")
    if flatten and image.hasalpha():
        image = image.flatten(background=[65535 if wide else 255] * 3)
    return image


def _without_profile(image: Any) -> Any:
    image = image.copy()
    if image.get_typeof("icc-profile-data") != 0:
        image.remove("icc-profile-data")
    return image
