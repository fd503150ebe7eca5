"""The raw file that tiles land in before a picture is encoded.

It is a TIFF without compression: a header, then the rows of the picture from the top, each
pixel's channels side by side, in the machine's byte order, and nothing after them. So any rectangle
has its place from the start, and the file can be closed, or its process killed, and opened again.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import OutputError, ShapeError
from ..geometry import Rectangle, Size
from ..pictures.source import Raster
from .pixel_types import NUMPY_TYPES
from .raw_tiff import raw_tiff_header


def raw_bytes(picture: Raster) -> int:
    """How many bytes the pixels of a picture take, not compressed."""
    height, width = picture.size
    return height * width * picture.channels * picture.dtype.itemsize


class WorkFile:
    """A canvas on disk, not compressed, written and read by rectangles.

    Made by :meth:`create` or :meth:`reopen`. Closing it, or leaving it as a context manager, keeps
    the file. One thread may write while others read or write elsewhere: each call has the file to
    itself.

    Attributes:
        path: the file.
        size: (height, width) in px.
        channels: values of a pixel.
        dtype: of a value, one of ``NUMPY_TYPES``.
    """

    def __init__(self, path: Path, like: Raster, mode: str) -> None:
        self.path = path
        self.size: Size = like.size
        self.channels = like.channels
        self.dtype = like.dtype
        if self.dtype not in NUMPY_TYPES:
            raise OutputError(
                f"{self.dtype} pixels cannot be stored in files; convert them to "
                + " or ".join(str(dtype) for dtype in NUMPY_TYPES)
            )
        self._header = raw_tiff_header(like)
        self._lock = Lock()
        try:
            # Without a buffer, so that written pixels survive a kill of this process.
            self._raw: Any = path.open(mode, buffering=0)
        except OSError as error:
            raise OutputError(
                f"work file {path} cannot be opened ({error})",
                "choose another folder or name",
            ) from error

    @property
    def pixels_offset(self) -> int:
        """Where in the file the pixels begin, in bytes."""
        return len(self._header)

    @classmethod
    def create(cls, path: Path, like: Raster) -> WorkFile:
        """Make the file, or empty the one there; pixels that are never written are 0.

        It has its full length at once, though no place on the disk yet.

        Args:
            path: where; its folder exists.
            like: whose size, channels and dtype it gets.

        Raises:
            OutputError: the file cannot be made, or no file can store that dtype.
        """
        work = cls(path, like, "w+b")
        try:
            work._write_all(memoryview(work._header))
            work._raw.truncate(len(work._header) + raw_bytes(like))
        except OSError as error:
            work.close()
            path.unlink()
            raise work._failure(error) from error
        return work

    @classmethod
    def reopen(cls, path: Path, like: Raster) -> WorkFile:
        """Open a file that :meth:`create` made, perhaps in a process that is gone.

        Args:
            path: the file.
            like: of the size, channels and dtype that it was made with.

        Raises:
            OutputError: the file is absent, or that of another picture, or was cut off.
        """
        work = cls(path, like, "r+b")
        needed = len(work._header) + raw_bytes(like)
        there = path.stat().st_size
        if there != needed or work._raw.read(len(work._header)) != work._header:
            work.close()
            height, width = like.size
            raise OutputError(
                f"work file {path} ({there} bytes) is not that of a picture of {height} x {width} "
                f"px with {like.channels} channels of {like.dtype} ({needed} bytes)",
                "delete it and begin again",
            )
        return work

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of a rectangle, (C, h, w), of the file's dtype, on any device.

        When it returns the pixels survive the end of this process, but see :meth:`flush`.

        Raises:
            OutputError: the disk is full or failing.
            ShapeError: the pixels are not of the rectangle's size, the file's channels and dtype,
                or are outside the picture.
        """
        self._check_inside(rectangle)
        expected = (self.channels, *rectangle.size)
        if tuple(pixels.shape) != expected or pixels.dtype != self.dtype:
            raise ShapeError(
                f"pixels of shape {tuple(pixels.shape)} and {pixels.dtype} do not fit "
                f"{self.path}; pass {expected} and {self.dtype}"
            )
        rows = pixels.cpu().permute(1, 2, 0).contiguous().numpy()
        if rectangle.width == self.size[1]:
            rows = rows.reshape(1, -1)
        try:
            with self._lock:
                for index, values in enumerate(rows):
                    self._raw.seek(self._offset(rectangle.top + index, rectangle.left))
                    self._write_all(values.data.cast("B"))
        except OSError as error:
            raise self._failure(error) from error

    def read(self, rectangle: Rectangle) -> Tensor:
        """The pixels of a rectangle, (C, h, w), as last written, on the CPU.

        Raises:
            OutputError: the disk is failing.
            ShapeError: the rectangle is outside the picture.
        """
        self._check_inside(rectangle)
        height, width = rectangle.size
        rows = np.empty((height, width, self.channels), NUMPY_TYPES[self.dtype])
        try:
            with self._lock:
                for index, values in enumerate(rows):
                    self._raw.seek(self._offset(rectangle.top + index, rectangle.left))
                    if self._raw.readinto(values.data.cast("B")) != values.nbytes:
                        raise OSError(errno.EIO, "the file ends too early")
        except OSError as error:
            raise OutputError(f"reading work file {self.path} failed ({error})") from error
        return torch.from_numpy(rows).permute(2, 0, 1)

    def flush(self) -> None:
        """Return when everything written so far is on the disk and survives a loss of power.

        Raises:
            OutputError: the disk is full or failing.
        """
        # Not everywhere: it leaves out times, which nobody reads.
        synchronize = getattr(os, "fdatasync", os.fsync)
        try:
            with self._lock:
                synchronize(self._raw.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Let go of the file, and keep it; closing twice does nothing."""
        self._raw.close()

    def __enter__(self) -> WorkFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_all(self, values: memoryview) -> None:
        """Several writes where the system takes a part: Linux takes 2 GB at most."""
        while values:
            written = self._raw.write(values)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            values = values[written:]

    def _offset(self, row: int, column: int) -> int:
        pixel = row * self.size[1] + column
        return self.pixels_offset + pixel * self.channels * self.dtype.itemsize

    def _check_inside(self, rectangle: Rectangle) -> None:
        if rectangle.clipped(self.size) != rectangle or not rectangle.area:
            height, width = self.size
            raise ShapeError(f"{rectangle} is not inside a picture of {height} x {width} px")

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"writing work file {self.path} failed ({error}); free disk space")
