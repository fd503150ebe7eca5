"""Base class of output formats: capabilities, disk space, writer.

Each format is an object, made in the module that writes it and listed in
:mod:`urst_core.formats.registry`.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..durable import publish
from ..errors import OutputError
from ..geometry import round_up
from ..pictures.source import FULL_SCALE, Source
from .output_options import OutputOptions

EncodingListener = Callable[[float], None]
"""Called now and then with the encoded share, 0 to 1; if it raises, encoding ends."""

GROWTH = 1.02
"""What lossless compression, and JPEG of the highest quality, make of noise; LZW makes more."""

STORED_TILE_SIZE = 256


@dataclass(frozen=True)
class Encoding:
    """One work file on its way to a result.

    Attributes:
        work_file: finished.
        partial: where the result grows.
        like: what the work file holds.
        options: how it is stored, checked.
        listener: told of progress.
        name: of the finished result.
    """

    work_file: Path
    partial: Path
    like: Source
    options: OutputOptions
    listener: EncodingListener
    name: str


@dataclass(frozen=True)
class Format(ABC):
    """One format of results.

    Attributes:
        name: as people call it.
        endings: of file names, in lower case.
        longest_side: largest height and width, in px.
        holds_alpha, holds_16_bits, holds_floats: whether it can.
        takes: which of :class:`~urst_core.formats.output_options.OutputOptions`.
        is_folder: whether it is a folder of files.
    """

    name: str
    endings: tuple[str, ...]
    longest_side: int = 2**31 - 1
    holds_alpha: bool = True
    holds_16_bits: bool = True
    holds_floats: bool = False
    takes: tuple[str, ...] = ()
    is_folder: bool = False

    @property
    def title(self) -> str:
        """Its name and an ending."""
        return f"{self.name} ({self.endings[0]})"

    @abstractmethod
    def check_build(self, path: Path, options: OutputOptions) -> None:
        """Refuse features of the format that the installed libraries do not support.

        Raises:
            OutputError: libvips was built without the encoder.
            ImageError: a library is absent.
        """

    @abstractmethod
    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        """What the result takes on the disk at most: noise, in the worst of compressions."""

    @abstractmethod
    def save(self, task: Encoding) -> None:
        """Make the result under its temporary name, with its bytes on the disk.

        Raises:
            OSError, pyvips.Error: the disk is full or failing.
        """

    def replaces(self, output: Path) -> Sequence[Path]:
        """The files and folders that a result of this name takes the place of."""
        return (output,)

    def check_replaced(self, output: Path) -> None:  # noqa: B027 - files may be replaced
        """Refuse to replace anything that is not an earlier result of this format.

        Raises:
            OutputError: names it.
        """

    def publish(self, partial: Path, output: Path) -> None:
        """Give what :meth:`save` made its name, in place of an earlier result."""
        publish(partial, output)

    def remove(self, partial: Path) -> None:
        """Remove what an encoding left under its temporary name, if anything."""
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()

    def check(self, path: Path, picture: Source, options: OutputOptions) -> None:
        """Refuse a picture that the format would have to change.

        Raises:
            OutputError: it is too large, too deep, or has alpha.
        """
        side = max(picture.size)
        if side > self.longest_side:
            raise OutputError(
                f"{path}: {self.name} holds at most {self.longest_side} px a side, the picture "
                f"has {side}; use .tif"
            )
        if picture.dtype not in FULL_SCALE and not self.holds_floats:
            raise OutputError(
                f"{path}: {self.name} holds 8 or 16 bits a channel, the picture {picture.dtype}; "
                "use .npy"
            )
        if picture.dtype == torch.uint16 and not self.holds_16_bits:
            raise OutputError(
                f"{path}: {self.name} has 8 bits a channel, the picture 16; use .png or .tif"
            )
        if picture.channels == 4 and not self.holds_alpha:
            raise OutputError(
                f"{path}: {self.name} holds no alpha, the picture has it; use .png, .tif or .webp"
            )
        if options.tile_format == "jpeg" and (picture.channels, picture.dtype) != (3, torch.uint8):
            raise OutputError(
                f"{path}: tile format jpeg holds 8 bits a channel and no alpha, the picture has "
                "more; use png"
            )


def tiled_bytes(like: Source, edge: int, *, levels: bool) -> float:
    """What a picture takes in tiles of ``edge`` px, those at the border as large as all others.

    Args:
        like: the picture.
        edge: of a tile, in px.
        levels: whether halves of the picture follow, until one fits into a tile.
    """
    height, width = like.size
    pixel_bytes = like.channels * like.dtype.itemsize
    total = 0
    while True:
        total += round_up(height, edge) * round_up(width, edge) * pixel_bytes
        if not levels or max(height, width) <= edge:
            return total
        height, width = math.ceil(height / 2), math.ceil(width / 2)
