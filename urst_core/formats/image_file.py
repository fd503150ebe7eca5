"""Image files as sources, through libvips.

libvips decodes every common format, in 8 and 16 bits, without holding a large picture in memory:
what cannot be read at random (JPEG, PNG) is unpacked once, beyond 100 MB into a temporary file.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError, last_line
from ..geometry import Rectangle, Size
from ..pictures.metadata import PictureMetadata, result_exif, unwrapped_iptc, upright_xmp
from .pixel_types import VIPS_TYPES
from .vips import FULL_DISK_BYTES, forget_pictures, vips

RGB_SPACES = ("srgb", "rgb", "rgb16")

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1")


logger = logging.getLogger(__name__)


class ImageFile:
    """A picture file, read by rectangles: RGB or RGBA, 8 or 16 bits, upright.

    The EXIF orientation is applied; gray, palette and CMYK pictures become RGB. Of several pages or
    frames the first is read; that others are left out is logged as a warning, unless they are
    smaller copies of it (a pyramid).

    Args:
        path: the file.
        to_srgb: bring colors to sRGB and leave the profile out: for what cannot carry one along.

    Attributes:
        path: the file.
        metadata: what the file says beside its pixels; it stays when the picture is closed.

    Raises:
        ImageError: the file is missing, empty, no image, or of a kind that cannot be used.
    """

    def __init__(self, path: Path, *, to_srgb: bool = False) -> None:
        check_picture_path(path)
        self.path = path
        try:
            stored = _open(path)
            self._image: Any = _as_rgb(stored.autorot(), path, to_srgb=to_srgb)
            self.metadata = _metadata_of(self._image, turned=_is_turned(stored))
            _warn_of_other_pages(stored, path)
        except vips().Error as error:
            raise ImageError(
                f"picture {path} cannot be read ({last_line(error)}); {_remedy(path)}"
            ) from error
        self._size: Size = (self._image.height, self._image.width)
        self._channels: int = self._image.bands
        self._dtype = VIPS_TYPES[self._image.format]

    @property
    def size(self) -> Size:
        return self._size

    @property
    def channels(self) -> int:
        return self._channels

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def profile(self) -> bytes | None:
        """The ICC profile that the pixel values are meant in."""
        return self.metadata.profile

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w).

        Raises:
            ImageError: the file turns out to be damaged there, or the picture was closed.
        """
        if self._image is None:
            raise ImageError(f"picture {self.path} was closed; open it again")
        crop = self._image.crop(rectangle.left, rectangle.top, rectangle.width, rectangle.height)
        try:
            pixels: np.ndarray[Any, Any] = crop.numpy()
        except vips().Error as error:
            raise ImageError(_damage(self.path, error)) from error
        height, width = rectangle.size
        # Copied: libvips owns the buffer, and torch wants one that may be written.
        rows = torch.from_numpy(pixels.reshape(height, width, self.channels).copy())
        return rows.permute(2, 0, 1)

    def close(self) -> None:
        """Let go of the file, of decoded pixels, and of the temporary file they may lie in."""
        self._image = None
        forget_pictures()

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def check_picture_path(path: Path) -> None:
    """Refuse a path where no picture file is.

    Raises:
        ImageError: see the messages.
    """
    try:
        str(path).encode()
        if path.is_dir():
            raise ImageError(f"picture {path} is a folder; name a file in it")
        if not path.is_file():
            raise ImageError(f"picture {path} does not exist; check the path")
        if path.stat().st_size == 0:
            raise ImageError(f"picture {path} is empty (0 bytes); get it again")
    except UnicodeEncodeError as error:
        raise ImageError(f"picture {str(path)!r}: its name is no Unicode; rename it") from error
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"picture {path} cannot be read ({error}); check the path") from error


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


def _as_rgb(image: Any, path: Path, *, to_srgb: bool) -> Any:
    """RGB or RGBA of 8 or 16 bits."""
    if image.format not in VIPS_TYPES:
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
    if image.interpretation == "cmyk" or (has_profile and (to_srgb or not is_rgb)):
        # The built-in CMYK profile serves where the file brings none.
        image = image.icc_transform("srgb", embedded=has_profile, depth=16 if wide else 8)
        image = _without_profile(image)
    elif not is_rgb:
        image = image.colourspace("rgb16" if wide else "srgb")
    return image


def _metadata_of(image: Any, *, turned: bool) -> PictureMetadata:
    def blob(name: str) -> bytes | None:
        return bytes(image.get(name)) if image.get_typeof(name) else None

    exif, xmp, iptc = blob("exif-data"), blob("xmp-data"), blob("iptc-data")
    resolution = (image.xres, image.yres)
    return PictureMetadata(
        profile=blob("icc-profile-data"),
        resolution=resolution[::-1] if turned else resolution,
        exif=result_exif(exif, turned=turned) if exif else None,
        xmp=upright_xmp(xmp) if xmp else None,
        iptc=unwrapped_iptc(iptc) if iptc else None,
    )


def _is_turned(image: Any) -> bool:
    """Whether the orientation makes rows of columns; libvips leaves the resolution as it was."""
    return image.get_typeof("orientation") != 0 and image.get("orientation") in range(5, 9)


def _warn_of_other_pages(image: Any, path: Path) -> None:
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1 and not (image.get("vips-loader") == "tiffload" and _is_pyramid(image, path)):
        logger.warning("picture %s has %d pages or frames; only the first is used", path, pages)


def _is_pyramid(image: Any, path: Path) -> bool:
    """Whether each page is a smaller copy of the one before, by its shape."""
    larger = image
    for number in range(1, image.get("n-pages")):
        page = vips().Image.new_from_file(str(path), page=number)
        shrink = image.width / page.width
        if page.width >= larger.width or abs(page.height * shrink - image.height) > 2 * shrink:
            return False
        larger = page
    return True


def _damage(path: Path, error: Exception) -> str:
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < FULL_DISK_BYTES:
        # Pictures that cannot be read at random are unpacked there.
        return (
            f"picture {path} cannot be unpacked ({last_line(error)}); "
            f"the disk of {folder} is full, free some of it"
        )
    return f"picture {path} is damaged or truncated ({last_line(error)}); get it again"


def _remedy(path: Path) -> str:
    with path.open("rb") as stored:
        beginning = stored.read(12)
    if beginning[4:8] == b"ftyp" and beginning[8:12] in HEIC_BRANDS:
        return (
            "HEIC needs a libvips with an HEVC decoder, as those of conda-forge or the system with "
            "pip install pyvips; or convert the picture to JPEG or AVIF"
        )
    return "use a complete JPEG, PNG, TIFF, WebP or AVIF file"


def _without_profile(image: Any) -> Any:
    image = image.copy()
    if image.get_typeof("icc-profile-data") != 0:
        image.remove("icc-profile-data")
    return image
