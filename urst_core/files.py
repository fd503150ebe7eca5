"""Image files as sources and canvases, through libvips.

libvips decodes every common format, in 8 and 16 bits, without holding a large picture in memory:
what cannot be read at random (JPEG, PNG) is unpacked once, beyond 100 MB into a temporary file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .canvas import Source
from .errors import ImageError, OutputError
from .formats import DEFAULT_QUALITY, Format, format_of
from .geometry import Rectangle, Size

DTYPES: dict[str, torch.dtype] = {"uchar": torch.uint8, "ushort": torch.uint16}
"""What a picture may be stored as, by libvips's names."""

RGB_SPACES = ("srgb", "rgb", "rgb16")


def vips() -> Any:
    """libvips's Python module.

    Raises:
        ImageError: it is not installed.
    """
    try:
        import pyvips  # noqa: PLC0415 - heavy, and not needed for pictures in memory
    except (ImportError, OSError) as error:
        raise ImageError(
            f'image files need libvips, which did not load ({error}); pip install "pyvips[binary]"'
        ) from error
    return pyvips


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
                f"picture {path} cannot be read ({_reason(error)}); "
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
    def profile(self) -> bytes | None:
        """The ICC profile that the pixel values are meant in."""
        if self._image.get_typeof("icc-profile-data") == 0:
            return None
        return bytes(self._image.get("icc-profile-data"))

    @property
    def resolution(self) -> tuple[float, float]:
        """Pixels per millimeter, across and down."""
        return self._image.xres, self._image.yres

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
                f"picture {self.path} is damaged or truncated ({_reason(error)}); get it again"
            ) from error
        height, width = rectangle.size
        # Copied: libvips owns the buffer, and torch wants one that may be written.
        rows = torch.from_numpy(pixels.reshape(height, width, self.channels).copy())
        return rows.permute(2, 0, 1)


class ImageFileCanvas:
    """A picture file, written by rectangles; it appears under its name only when it is complete.

    Used as a context manager: leaving the block normally encodes the file, leaving it by an error
    (or Ctrl-C) removes all traces. Rectangles land in a raw file beside the result, so memory does
    not grow with the picture.

    Args:
        path: the file to make; its ending chooses the format.
        like: whose size, channels, dtype, profile and resolution it gets.
        quality: 1 to 100, for JPEG and WebP.
        overwrite: replace a file of that name.

    Raises:
        OutputError: the format cannot hold the picture, or the file cannot be written.
    """

    def __init__(
        self, path: Path, like: Source, *, quality: int = DEFAULT_QUALITY, overwrite: bool = False
    ) -> None:
        self.path = path
        self._like = like
        self._format = check_output(path, like, quality=quality, overwrite=overwrite)
        self._quality = quality
        self._raw_path = path.with_name(f".{path.name}.{os.getpid()}.raw")
        self._partial_path = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        self._row_bytes = like.size[1] * like.channels * like.dtype.itemsize
        try:
            self._raw = self._raw_path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"folder of {path} cannot be written to ({error})") from error

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of a rectangle.

        Raises:
            OutputError: the disk is full or failing.
        """
        rows = pixels.permute(1, 2, 0).contiguous().numpy()
        pixel_bytes = self._like.channels * self._like.dtype.itemsize
        try:
            for row, values in enumerate(rows, start=rectangle.top):
                self._raw.seek(row * self._row_bytes + rectangle.left * pixel_bytes)
                if self._raw.write(values.data) != values.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OutputError(f"writing {self.path} failed ({error}); free disk space") from error

    def __enter__(self) -> ImageFileCanvas:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._raw.close()
            if kind is None:
                self._encode()
        finally:
            for leftover in (self._raw_path, self._partial_path):
                with contextlib.suppress(FileNotFoundError):
                    leftover.unlink()

    def _encode(self) -> None:
        like = self._like
        (height, width), wide = like.size, like.dtype == torch.uint16
        try:
            image = vips().Image.rawload(
                str(self._raw_path),
                width,
                height,
                like.channels,
                format="ushort" if wide else "uchar",
                interpretation="rgb16" if wide else "srgb",
            )
            if isinstance(like, ImageFile):
                xres, yres = like.resolution
                image = image.copy(xres=xres, yres=yres)
                if like.profile:
                    blob = vips().GValue.blob_type
                    image.set_type(blob, "icc-profile-data", like.profile)
            image.write_to_file(str(self._partial_path), **self._format.options(self._quality))
            self._partial_path.replace(self.path)
        except (vips().Error, OSError) as error:
            raise OutputError(f"writing {self.path} failed ({_reason(error)})") from error


def check_output(path: Path, like: Source, *, quality: int, overwrite: bool) -> Format:
    """Refuse, before any work, a result that could not be written.

    Raises:
        OutputError: see the messages.
    """
    format_ = format_of(path)
    format_.check(path, like, quality=quality)
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"folder {folder} does not exist; make it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"folder {folder} is not writable; choose another")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if path.exists():
        if isinstance(like, ImageFile) and path.samefile(like.path):
            raise OutputError(f"output {path} is the content itself; choose another name")
        if not overwrite:
            raise OutputError(f"{path} exists; choose another name, or overwrite it (--overwrite)")
    needed = like.size[0] * like.size[1] * like.channels * like.dtype.itemsize
    free = shutil.disk_usage(folder).free
    if free < 2 * needed:
        raise OutputError(
            f"{path} may take {2 * needed / 1e9:.1f} GB with its work file, {free / 1e9:.1f} GB "
            f"are free in {folder}; free some or choose another folder"
        )
    return format_


def copy_picture(source: Source, canvas: ImageFileCanvas, *, band: int = 1024) -> None:
    """Write a whole source, band by band."""
    height, width = source.size
    for top in range(0, height, band):
        rectangle = Rectangle(top, 0, min(top + band, height), width)
        canvas.write(rectangle, source.read(rectangle))


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


def _reason(error: Exception) -> str:
    """The last line that libvips, or the system, said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
