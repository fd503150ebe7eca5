"""Image files as sources, through libvips.

libvips decodes every common format, in 8 and 16 bits, without holding a large picture in memory.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError, Install, Remedy, last_line
from ..geometry import Rectangle, Size
from ..pictures.metadata import PictureMetadata, content_xmp, result_exif, unwrapped_iptc
from .input_options import InputOptions
from .pixel_types import VIPS_TYPES
from .png_color import PngColor, png_color
from .vips import forget_pictures, vips
from .vips_loader import (
    cause,
    check_expansion,
    check_room,
    damage,
    load,
    loader_of,
    may_be_lenient,
    temporary_bytes,
    told_of_unpacking,
)

RGB_SPACES = ("srgb", "rgb", "rgb16", "scrgb")

READ_TYPES = {**VIPS_TYPES, "float": torch.float32}
"""Types of picture files that are read; floats are scene-linear light."""

HEIF_HEADER_BYTES = 1 << 16
"""Where the boxes of a HEIF file's header are."""

JPEG_XL_MAGICS = (b"\xff\x0a", b"\0\0\0\x0cJXL ")

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1")


logger = logging.getLogger(__name__)


class ImageFile:
    """A picture file, read by rectangles: RGB or RGBA, 8 or 16 bits, upright.

    The EXIF orientation is applied; gray, palette and CMYK pictures become RGB. Of several pages or
    frames the first is read; that others are left out is logged as a warning, unless they are
    smaller copies of it (a pyramid). What its decoder warns about is logged, too.

    Args:
        path: the file.
        to_srgb: bring colors to sRGB and leave the profile out: for what cannot carry one along.
        options: how careful to be.

    Attributes:
        path: the file.
        metadata: what the file says beside its pixels; it stays when the picture is closed.
        temporary_bytes: what unpacking it takes in the folder for temporary files.

    Raises:
        ImageError: the file is missing, empty, no image, or of a kind that cannot be used.
    """

    def __init__(
        self, path: Path, *, to_srgb: bool = False, options: InputOptions | None = None
    ) -> None:
        check_picture_path(path)
        self.path = path
        self._to_srgb = to_srgb
        self._options = options or InputOptions()
        self._lock = Lock()
        self._told_to_stop: list[BaseException] = []
        try:
            self._stored = stored = self._open()
            self._color = png_color(path)
            self._image: Any = self._converted(stored)
            self.metadata = _metadata_of(self._image, turned=_is_turned(stored, path))
            _warn_of_other_pages(stored, path)
            _warn_of_color(path, self._color)
        except vips().Error as error:
            raise ImageError(
                f"picture {path} cannot be read ({last_line(error)})", *_remedies(path)
            ) from error
        if not self._options.any_size:
            check_expansion(path, stored)
        self.temporary_bytes = temporary_bytes(stored)
        self._is_unpacked = not self.temporary_bytes
        self._is_lenient = not may_be_lenient(stored)
        self._size: Size = (self._image.height, self._image.width)
        self._channels: int = self._image.bands
        self._dtype = READ_TYPES[self._image.format]

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
        if not self._is_unpacked:
            check_room(self.path, self.temporary_bytes)
        pixels = self._pixels(rectangle)
        self._is_unpacked = True
        height, width = rectangle.size
        # Copied: libvips owns the buffer, and torch wants one that may be written.
        rows = torch.from_numpy(pixels.reshape(height, width, self.channels).copy())
        return rows.permute(2, 0, 1)

    def unpack(self, tell: Callable[[float], None]) -> None:
        """Do the work that precedes the first pixels, which may take minutes.

        Args:
            tell: called now and then with the finished share, 0 to 1; if it raises, the work ends.

        Raises:
            ImageError: as :meth:`read`.
        """
        if self._is_unpacked or self._image is None:
            return
        with told_of_unpacking(self._stored, tell) as self._told_to_stop:
            self.read(Rectangle(0, 0, 1, 1))

    def close(self) -> None:
        """Close the file, and free its decoded pixels and the temporary file of an unpacked one."""
        self._image = self._stored = None
        forget_pictures()

    def _open(self) -> Any:
        """The picture as it is stored, also where its decoder warns of its beginning."""
        try:
            return load(self.path)
        except vips().Error as error:
            stored = load(self.path, lenient=True)
            if self._options.strict or not may_be_lenient(stored):
                raise damage(self.path, error) from error
            self._warn(error)
            return stored

    def _converted(self, stored: Any) -> Any:
        profile = self._color.profile if self._color else None
        upright = stored.autorot()
        return _as_rgb(upright, self.path, to_srgb=self._to_srgb, stated_profile=profile)

    def _pixels(self, rectangle: Rectangle) -> np.ndarray[Any, Any]:
        image = self._image
        try:
            return _crop(image, rectangle)
        except vips().Error as error:
            if self._told_to_stop:
                raise self._told_to_stop[0] from None
            return self._pixels_in_spite_of(error, image, rectangle)

    def _pixels_in_spite_of(
        self, error: Exception, failed: Any, rectangle: Rectangle
    ) -> np.ndarray[Any, Any]:
        """Read again, ignoring the decoder's warnings.

        Raises:
            ImageError: that is not wanted, or does not help.
        """
        with self._lock:
            try:
                # Another thread may have done it meanwhile.
                if self._image is failed:
                    if self._is_lenient or self._options.strict:
                        raise damage(self.path, error) from error
                    self._image = self._converted(load(self.path, lenient=True))
                pixels = _crop(self._image, rectangle)
            except vips().Error as worse:
                raise damage(self.path, worse) from worse
            if not self._is_lenient:
                self._is_lenient = True
                self._warn(error)
            return pixels

    def _warn(self, error: Exception) -> None:
        warn_of_damage(self.path, error)

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def warn_of_damage(path: Path, error: Exception) -> None:
    """Log the warning of a decoder whose picture is used nevertheless."""
    logger.warning(
        "picture %s is damaged (%s), and some of its pixels may be wrong; get it again",
        path,
        cause(error),
    )


def check_picture_path(path: Path) -> None:
    """Refuse a path where no picture file is.

    Raises:
        ImageError: see the messages.
    """
    try:
        str(path).encode()
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise ImageError(f"picture {path} is a folder; name a file in it")
        if not stat.S_ISREG(kind.st_mode):
            raise ImageError(f"picture {path} is not a file, but a pipe or a device; save it first")
        if kind.st_size == 0:
            raise ImageError(f"picture {path} is empty (0 bytes); get it again")
    except UnicodeEncodeError as error:
        raise ImageError(
            f"picture {str(path)!r}: its name is not valid Unicode; rename it"
        ) from error
    except ImageError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise ImageError(
                f"picture {path} is a link to {os.readlink(path)}, which does not exist; "
                "check the path"
            ) from None
        raise ImageError(f"picture {path} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"picture {path} cannot be read ({error}); check the path") from error


def _crop(image: Any, rectangle: Rectangle) -> np.ndarray[Any, Any]:
    left, top = rectangle.left, rectangle.top
    return image.crop(left, top, rectangle.width, rectangle.height).numpy()


def _as_rgb(image: Any, path: Path, *, to_srgb: bool, stated_profile: bytes | None) -> Any:
    """RGB or RGBA of 8 or 16 bits.

    Args:
        image: as it is stored.
        path: for messages.
        to_srgb: whether to bring colors to sRGB.
        stated_profile: a profile for what the file says in other ways, instead of its own.
    """
    if image.format not in READ_TYPES:
        raise ImageError(
            f"picture {path} stores {image.format} values; convert it to 8 or 16 bits a channel"
        )
    colors = (4,) if image.interpretation == "cmyk" else (1, 3)
    if image.bands - (1 if image.hasalpha() else 0) not in colors:
        raise ImageError(
            f"picture {path} has {image.bands} channels; "
            "use gray, RGB or CMYK, with or without alpha"
        )
    if image.format == "float":
        # Left as it is: a profile describes it, and sRGB's curve is not for light beyond 1.
        return image if image.bands >= 3 else _repeated_gray(image)
    wide = image.format == "ushort"
    if stated_profile is not None:
        image = _with_profile(image.colourspace("rgb16" if wide else "srgb"), stated_profile)
    has_profile = image.get_typeof("icc-profile-data") != 0
    is_rgb = image.interpretation in RGB_SPACES
    if image.interpretation == "cmyk" or (has_profile and (to_srgb or not is_rgb)):
        # The built-in CMYK profile serves where the file brings none.
        image = image.icc_transform("srgb", embedded=has_profile, depth=16 if wide else 8)
        image = _without_profile(image)
    elif not is_rgb:
        image = image.colourspace("rgb16" if wide else "srgb")
    return image


def _repeated_gray(image: Any) -> Any:
    gray = image[0].bandjoin([image[0], image[0]])
    return gray.bandjoin(image[1]) if image.bands == 2 else gray


def _metadata_of(image: Any, *, turned: bool) -> PictureMetadata:
    def blob(name: str) -> bytes | None:
        return bytes(image.get(name)) if image.get_typeof(name) else None

    exif, xmp, iptc = blob("exif-data"), blob("xmp-data"), blob("iptc-data")
    resolution = (image.xres, image.yres)
    xmp, painting = content_xmp(xmp)
    return PictureMetadata(
        profile=blob("icc-profile-data"),
        resolution=resolution[::-1] if turned else resolution,
        exif=result_exif(exif, turned=turned) if exif else None,
        xmp=xmp,
        iptc=unwrapped_iptc(iptc) if iptc else None,
        painting=painting,
    )


def _is_turned(image: Any, path: Path) -> bool:
    """Whether rows became columns; libvips leaves the resolution as it was.

    By the EXIF orientation, or in HEIF files (AVIF) by a box that libvips obeys when it decodes::

        length 9, 4 bytes | irot | quarter turns, 1 byte
    """
    if loader_of(image).startswith("heifload"):
        with path.open("rb") as file:
            beginning = file.read(HEIF_HEADER_BYTES)
        _, _, turns = beginning.partition(b"\0\0\0\x09irot")
        return bool(turns) and turns[0] % 2 == 1
    return image.get_typeof("orientation") != 0 and image.get("orientation") in range(5, 9)


def _warn_of_other_pages(image: Any, path: Path) -> None:
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1 and not (loader_of(image) == "tiffload" and _is_pyramid(image, path)):
        logger.warning("picture %s has %d pages or frames; only the first is used", path, pages)


def _warn_of_color(path: Path, color: PngColor | None) -> None:
    if color is not None and color.profile is None:
        logger.warning(
            "picture %s describes its colors by %s, which is not supported: they are taken for "
            "sRGB, and the result does not say it; convert the picture to one with an ICC profile",
            path,
            color.described,
        )


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


def _remedies(path: Path) -> tuple[Remedy, ...]:
    with path.open("rb") as stored:
        beginning = stored.read(12)
    if beginning[4:8] == b"ftyp" and beginning[8:12] in HEIC_BRANDS:
        decoder = (
            "use a libvips with an HEVC decoder, for example from conda-forge or the system with"
        )
        return Install("pyvips", how=decoder), "convert the picture to JPEG or AVIF"
    if beginning.startswith(JPEG_XL_MAGICS):
        decoder = "use a libvips with libjxl, for example from conda-forge or the system with"
        return Install("pyvips", how=decoder), "convert the picture to JPEG or PNG"
    return ("use a complete JPEG, PNG, TIFF, WebP or AVIF file",)


def _with_profile(image: Any, profile: bytes) -> Any:
    image = image.copy()
    image.set_type(vips().GValue.blob_type, "icc-profile-data", profile)
    return image


def _without_profile(image: Any) -> Any:
    image = image.copy()
    if image.get_typeof("icc-profile-data") != 0:
        image.remove("icc-profile-data")
    return image
