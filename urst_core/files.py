"""Picture files as sources and canvases: where reading and writing them begins."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType

from torch import Tensor

from .canvas import Source
from .deep_zoom import check_tiles_folder
from .disk_needs import check_disk
from .encode import EncodingListener, encode
from .errors import OutputError
from .formats import Format, format_of
from .geometry import Rectangle
from .image_file import ImageFile
from .libvips import vips
from .output_options import OutputOptions
from .work_file import WorkFile

__all__ = ["ImageFile", "ImageFileCanvas", "check_output", "copy_picture", "vips"]


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
    format_ = format_of(path)
    format_.check(path, like, options)
    format_.check_build(path, options)
    _check_place(path, like, overwrite=overwrite)
    if format_.name == "DeepZoom":
        check_tiles_folder(path)
    check_disk(path, like, options)
    return format_


def _check_place(path: Path, like: Source, *, overwrite: bool) -> None:
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
    if target.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    content = getattr(like, "path", None)
    if isinstance(content, Path) and path.samefile(content):
        raise OutputError(f"output {path} is the content itself; choose another name")
    if not overwrite:
        raise OutputError(f"{path} exists; choose another name, or overwrite it (--overwrite)")


def copy_picture(source: Source, canvas: ImageFileCanvas, *, band: int = 1024) -> None:
    """Write a whole source, band by band."""
    height, width = source.size
    for top in range(0, height, band):
        rectangle = Rectangle(top, 0, min(top + band, height), width)
        canvas.write(rectangle, source.read(rectangle))
