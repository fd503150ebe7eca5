"""NumPy files: results, and memory-mapped sources, of which only the read part takes memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..durable import flush_file
from ..errors import ImageError, first_line
from ..geometry import Rectangle, Size
from ..pictures.metadata import PictureMetadata
from ..pictures.source import Source
from .image_file import check_picture_path
from .output_format import GROWTH, Encoding, Format
from .output_options import OutputOptions
from .pixel_types import NUMPY_TYPES, torch_type
from .work_file import WorkFile, raw_bytes

COPY_BYTES = 1 << 24

ZIP_MAGIC = b"PK\x03\x04"

DAMAGED_HEADER = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    OverflowError,
    SyntaxError,
    TokenError,
    MemoryError,
    RecursionError,
)
"""What NumPy raises for headers that make no sense: it parses them as Python."""


class NumpyPicture:
    """A ``.npy`` file, read by rectangles: (H, W) or (H, W, 1) gray, (H, W, 3 or 4) RGB or RGBA.

    Values are uint8, uint16, or floating from 0 to 1. Gray becomes RGB.

    Args:
        path: the file.

    Attributes:
        path: the file.
        metadata: empty; such files have none.

    Raises:
        ImageError: the file is missing, no NumPy file, cut off, or no picture.
    """

    def __init__(self, path: Path) -> None:
        check_picture_path(path)
        self.path = path
        self.metadata = PictureMetadata()
        if _begins_with(path, ZIP_MAGIC):
            raise ImageError(f"picture {path} holds several arrays; save one by numpy.save")
        try:
            # Not numpy.load, which could run code; this maps plain values, or refuses.
            array: Any = np.lib.format.open_memmap(path, mode="r")
        except DAMAGED_HEADER as error:
            raise ImageError(
                f"picture {path} is not a complete NumPy file ({first_line(error)}); "
                "save it again by numpy.save"
            ) from error
        self._array: Any = array
        shape = array.shape
        if 0 in shape or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
            raise ImageError(
                f"picture {path} has the shape {shape}; save (height, width) or (height, width, "
                "1, 3 or 4), with the channels last"
            )
        dtype = torch_type(array.dtype)
        if dtype is None:
            raise ImageError(
                f"picture {path} stores {array.dtype} values; save uint8, uint16, or floating ones "
                "from 0 to 1"
            )
        self._dtype = dtype
        self._size: Size = (shape[0], shape[1])
        self._is_gray = len(shape) == 2 or shape[2] == 1
        self._channels = 3 if self._is_gray else int(shape[2])

    @property
    def size(self) -> Size:
        return self._size

    @property
    def channels(self) -> int:
        return self._channels

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w).

        Raises:
            ImageError: a floating value is not from 0 to 1, or the picture was closed.
        """
        if self._array is None:
            raise ImageError(f"picture {self.path} was closed; open it again")
        # Copied, since mapped data must not be written, and may have another byte order.
        native = self._array.dtype.newbyteorder("=")
        rows = np.array(self._array[rectangle.slices], dtype=native, order="C")
        if native.kind == "f":
            self._check_range(rows, rectangle)
        pixels = torch.from_numpy(rows.reshape(*rectangle.size, -1)).permute(2, 0, 1)
        return pixels.expand(3, -1, -1) if self._is_gray else pixels

    def close(self) -> None:
        """Let go of the file; the system unmaps it with the last array that shows it."""
        self._array = None

    def __enter__(self) -> NumpyPicture:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _check_range(self, rows: np.ndarray[Any, Any], rectangle: Rectangle) -> None:
        """NaN is accepted, since its meaning depends on the reader."""
        outside = (rows < 0) | (rows > 1)
        if not outside.any():
            return
        first = tuple(int(index) for index in np.argwhere(outside)[0])
        raise ImageError(
            f"picture {self.path} has the value {rows[first]:g} at row {rectangle.top + first[0]}, "
            f"column {rectangle.left + first[1]}; floating pictures hold 0 to 1: divide by their "
            "full scale, or clip them"
        )


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


@dataclass(frozen=True)
class NumpyFormat(Format):
    """A header and the very bytes of a work file."""

    def check_build(self, path: Path, options: OutputOptions) -> None:
        """NumPy is always there."""

    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        return raw_bytes(like) * GROWTH

    def save(self, task: Encoding) -> None:
        like = task.like
        header = {
            "descr": NUMPY_TYPES[like.dtype].str,
            "fortran_order": False,
            "shape": (*like.size, like.channels),
        }
        total = task.work_file.stat().st_size
        with WorkFile.reopen(task.work_file, like) as work:
            pixels_offset = work.pixels_offset
        with task.work_file.open("rb") as raw, task.partial.open("wb") as array:
            np.lib.format.write_array_header_1_0(array, header)
            raw.seek(pixels_offset)
            while block := raw.read(COPY_BYTES):
                array.write(block)
                task.listener(raw.tell() / total)
        flush_file(task.partial)


NUMPY = NumpyFormat("NumPy", (".npy",), holds_floats=True)
