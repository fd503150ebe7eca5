"""Picture files as sources and canvases: where reading and writing them begins."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..errors import OutputError
from ..geometry import Rectangle, Size
from ..pictures.source import Source, from_unit, to_unit
from .deep_zoom import check_tiles_folder
from .disk_needs import check_disk
from .encode import EncodingListener, encode
from .image_file import ImageFile, check_picture_path
from .numpy_file import NumpyPicture
from .output_format import Format, format_of
from .output_options import OutputOptions
from .vips import vips
from .work_file import WorkFile
from .zarr.source import ZarrPicture
from .zarr.store import ZARR_ENDING, Location

__all__ = [
    "ImageFile",
    "ImageFileCanvas",
    "check_output",
    "copy_picture",
    "open_picture",
    "vips",
    "write_picture",
]

NUMPY_MAGIC = b"\x93NUMPY"


OPENERS: dict[str, Callable[[Path], Source]] = {".npy": NumpyPicture, ".zarr": ZarrPicture}
"""What opens files, or folders, by their names' ending; all others are image files."""


def open_picture(path: Path, *, flatten: bool = False) -> Source:
    """A picture on disk as a source, whatever kind it is.

    Args:
        path: the file.
        flatten: drop alpha by laying the picture on white, and bring colors to sRGB: for styles.

    Raises:
        ImageError: it is missing, damaged, no picture, or of a kind that cannot be used.
    """
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        check_picture_path(path)
        with contextlib.suppress(OSError), path.open("rb") as stored:
            if stored.read(len(NUMPY_MAGIC)) == NUMPY_MAGIC:
                opener = NumpyPicture
    if opener is not None:
        picture = opener(path)
        return OnWhite(picture) if flatten and picture.channels == 4 else picture
    return ImageFile(path, flatten=flatten)


@dataclass(frozen=True)
class OnWhite:
    """A picture with alpha, laid on white."""

    picture: Source

    @property
    def size(self) -> Size:
        return self.picture.size

    @property
    def channels(self) -> int:
        return 3

    @property
    def dtype(self) -> torch.dtype:
        return self.picture.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (3, h, w)."""
        colors, alpha = to_unit(self.picture.read(rectangle)).split((3, 1))
        return from_unit(colors * alpha + (1 - alpha), self.dtype)


class ImageFileCanvas:
    """A picture file, written by rectangles; it appears under its name only when it is complete.

    Used as a context manager: leaving the block normally encodes the file, leaving it by an error
    (or Ctrl-C) removes all traces. Rectangles land in a work file beside the result, so memory does
    not grow with the picture.

    Args:
        path: the file to make; its ending chooses the format.
        like: whose size, channels, dtype and metadata it gets.
        options: how to store it.
        overwrite: replace a file of that name.
        listener: told of the encoding's progress; what it raises ends it.

    Raises:
        OutputError: the format cannot hold the picture, or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        like: Source,
        options: OutputOptions | None = None,
        *,
        overwrite: bool = False,
        listener: EncodingListener | None = None,
    ) -> None:
        self.path = path
        self._like = like
        self._options = options or OutputOptions()
        self._listener = listener
        check_output(path, like, self._options, overwrite=overwrite)
        name = f".{path.name[:40]}.{os.getpid()}-{secrets.token_hex(4)}.raw"
        self._work = WorkFile.create(path.with_name(name), like)

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of a rectangle.

        Raises:
            OutputError: the disk is full or failing.
        """
        self._work.write(rectangle, pixels)

    def __enter__(self) -> ImageFileCanvas:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._work.close()
            if kind is None:
                encode(
                    self._work.path, self.path, self._like, self._options, listener=self._listener
                )
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._work.path.unlink()


def check_output(
    path: Path, like: Source, options: OutputOptions | None = None, *, overwrite: bool = False
) -> Format:
    """Refuse, before any work, a result that could not be written.

    Raises:
        OutputError: see the messages.
    """
    options = options or OutputOptions()
    format_ = check_output_name(path, like, options, overwrite=overwrite)
    check_disk(path, like, options)
    return format_


def check_output_name(
    path: Path, like: Source, options: OutputOptions, *, overwrite: bool = False
) -> Format:
    """The same, whatever the room on the disk.

    Raises:
        OutputError: see the messages.
    """
    format_ = format_of(path)
    format_.check(path, like, options)
    format_.check_build(path, options)
    _check_place(path, like, is_folder=format_.is_folder, overwrite=overwrite)
    if format_.name == "DeepZoom":
        check_tiles_folder(path.resolve())
    return format_


def _check_place(path: Path, like: Source, *, is_folder: bool, overwrite: bool) -> None:
    try:
        target = path.resolve()
        there = target.exists()
    except (OSError, RuntimeError) as error:  # a name too long, or links in a circle
        raise OutputError(f"{path} cannot be written ({error}); choose another name") from error
    for folder in (path.parent, target.parent):
        if not folder.is_dir():
            raise OutputError(f"folder {folder} does not exist; make it first")
        if not os.access(folder, os.W_OK):
            raise OutputError(f"folder {folder} is not writable; choose another")
    if not there:
        return
    if target.is_dir() and not is_folder:
        raise OutputError(f"{path} is a folder; name a file in it")
    content = getattr(like, "path", None)
    if isinstance(content, Path) and path.samefile(content):
        raise OutputError(f"output {path} is the content itself; choose another name")
    if not overwrite:
        raise OutputError(f"{path} exists; choose another name, or overwrite it (--overwrite)")


def write_picture(source: Source, path: Path) -> None:
    """Write a whole source as a file, in place of an older one.

    Raises:
        OutputError: it cannot be written.
    """
    with ImageFileCanvas(path, source, overwrite=True) as canvas:
        copy_picture(source, canvas)


def copy_picture(source: Source, canvas: ImageFileCanvas, *, band: int = 1024) -> None:
    """Write a whole source, band by band."""
    height, width = source.size
    for top in range(0, height, band):
        rectangle = Rectangle(top, 0, min(top + band, height), width)
        canvas.write(rectangle, source.read(rectangle))


ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them lies in every folder that is a Zarr store."""


def open_location(location: Location, *, flatten: bool = False) -> Source:
    """A picture file, or a Zarr store where the name or the folder says so; URLs are Zarr only.

    Raises:
        ImageError: it is missing, or of a kind that cannot be used.
    """
    if isinstance(location, Path) and not (
        any(part.endswith(ZARR_ENDING) for part in location.parts)
        or any((location / name).is_file() for name in ZARR_FILES)
    ):
        return open_picture(location, flatten=flatten)
    return ZarrPicture(location, flatten=flatten)
