"""Picture files as sources and canvases: where reading and writing them begins."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..errors import Change, OutputError
from ..geometry import Rectangle
from ..pictures.on_white import on_white
from ..pictures.scene_linear import SceneLinear
from ..pictures.source import Source
from .disk_needs import check_disk
from .encode import encode
from .exr import ExrPicture, is_exr
from .image_file import ImageFile, check_picture_path
from .input_options import InputOptions
from .numpy_file import NumpyPicture
from .output_format import EncodingListener, Format
from .output_options import OutputOptions
from .places import check_folder, check_name, check_not_replaced, path_of
from .registry import check_format, format_of
from .vips import vips
from .work_file import WorkFile
from .zarr.source import ZarrPicture
from .zarr.store import Location, is_zarr

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


ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them is in every folder that is a Zarr store."""


def open_picture(
    location: Location, *, flatten: bool = False, options: InputOptions | None = None
) -> Source:
    """A picture as a source, whatever kind it is: an image file, a NumPy file, a Zarr store.

    Args:
        location: a path; or a URL, behind which only Zarr is read.
        flatten: composite alpha over white, and bring colors to sRGB: for styles.
        options: how careful to be.

    Raises:
        ImageError: it is missing, damaged, no picture, or of a kind that cannot be used.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "gray.npy")
        ...     np.save(path, np.zeros((20, 30), np.uint8))
        ...     picture = open_picture(path)
        ...     picture.size, picture.channels
        ((20, 30), 3)
    """
    if not isinstance(location, Path) or _is_in_zarr_store(location):
        picture: Source = ZarrPicture(location, to_srgb=flatten)
    elif _is_numpy_file(location):
        picture = NumpyPicture(location)
    elif is_exr(location):
        picture = SceneLinear(ExrPicture(location))
    else:
        picture = ImageFile(location, to_srgb=flatten, options=options)
        if picture.dtype.is_floating_point:
            picture = SceneLinear(picture)
    return on_white(picture) if flatten else picture


def for_format(picture: Source, output: Path) -> Source:
    """Scene-linear light as 16 or 8 bits, if the format of an output does not hold floats.

    Other pictures are returned as they are.

    Raises:
        OutputError: the output's ending names no known format.
    """
    if not isinstance(picture, SceneLinear):
        return picture
    format_ = format_of(output)
    if format_.holds_floats:
        return picture
    return replace(picture, dtype=torch.uint16 if format_.holds_16_bits else torch.uint8)


def _is_in_zarr_store(path: Path) -> bool:
    """Whether a path means a store, or an array or image in one, by its name or what is in it."""
    # Not Path.is_file, which raises on names that are too long: whoever opens the file says so.
    if os.path.isfile(path):
        return is_zarr(path)
    return any(is_zarr(part) for part in path.parts) or any(
        os.path.isfile(path / name) for name in ZARR_FILES
    )


def _is_numpy_file(path: Path) -> bool:
    check_picture_path(path)
    if path.suffix.lower() == ".npy":
        return True
    with contextlib.suppress(OSError), path.open("rb") as stored:
        return stored.read(len(NUMPY_MAGIC)) == NUMPY_MAGIC
    return False


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
        listener: called with the progress of encoding; if it raises, encoding ends.

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
    format_ = check_format(path, like, options)
    format_.check_build(path, options)
    check_name(path)
    check_apart(path, "content", path_of(like))
    check_place(path, is_folder=format_.is_folder, overwrite=overwrite)
    format_.check_replaced(path.resolve())
    return format_


def check_apart(output: Path, kind: str, path: Path | None) -> None:
    """Refuse a result that would replace a picture it is made from.

    Args:
        output: the file to make.
        kind: of the picture: content, style, mask.
        path: of the picture; None where it is not on the disk.

    Raises:
        OutputError: the picture is the output, or in a folder that the output replaces.
    """
    replaced = format_of(output).replaces(Path(os.path.realpath(output)))
    check_not_replaced(output, replaced, kind, path)


def check_place(path: Path, *, is_folder: bool, overwrite: bool) -> None:
    """Refuse a name where no result can be written, or where there is one already.

    Raises:
        OutputError: see the messages.
    """
    try:
        target = path.resolve()
        there = target.exists()
    except (OSError, RuntimeError) as error:  # a name too long, or links in a circle
        raise OutputError(f"{path} cannot be written ({error}); choose another name") from error
    for folder in (path.parent, target.parent):
        check_folder(folder)
    if not there:
        return
    if target.is_dir() and not is_folder:
        raise OutputError(f"{path} is a folder; name a file in it")
    if not overwrite:
        raise OutputError(f"{path} exists", "choose another name", Change("overwrite", True))


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
