"""How much of the disk a run takes, and whether that is there."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageError, OutputError
from ..pictures.source import Source
from .output_options import OutputOptions
from .registry import format_of
from .vips_loader import temporary_folder
from .work_file import raw_bytes

OTHER_BYTES = 1 << 20
"""Headers, profile and metadata."""


@dataclass(frozen=True)
class DiskNeeds:
    """Bytes that a run takes in the folder of its result, until the result is complete.

    Attributes:
        work_file: exactly.
        result: at most; noise in the worst of compressions, mostly it is far less.
    """

    work_file: int
    result: int

    @property
    def total(self) -> int:
        return self.work_file + self.result


def disk_needs(path: Path, like: Source, options: OutputOptions | None = None) -> DiskNeeds:
    """What a picture of the size, channels and dtype of ``like`` takes as the file ``path``.

    Raises:
        OutputError: the ending of ``path`` names no known format.
    """
    result = format_of(path).result_bytes(like, options or OutputOptions())
    return DiskNeeds(raw_bytes(like) + OTHER_BYTES, math.ceil(result) + OTHER_BYTES)


@dataclass(frozen=True)
class TemporarySpace:
    """What pictures take in the folder for temporary files while they are read.

    Attributes:
        folder: of the system, or what ``TMPDIR`` names.
        needed_bytes: together.
        free_bytes: there now.
    """

    folder: Path
    needed_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, pictures: Iterable[object]) -> TemporarySpace:
        """What pictures take, that were not read yet; whatever else is among them takes nothing."""
        folder = temporary_folder()
        needed = sum(getattr(picture, "temporary_bytes", 0) for picture in pictures)
        return cls(folder, needed, shutil.disk_usage(folder).free)

    def check(self, *, result_folder: Path | None = None, result_bytes: int = 0) -> None:
        """Refuse pictures that could not be unpacked.

        Args:
            result_folder: of the result, which counts where it is on the same disk.
            result_bytes: what the result and its work file take there.

        Raises:
            ImageError: with the space needed.
        """
        shared = 0
        if result_folder is not None and self.folder.stat().st_dev == result_folder.stat().st_dev:
            shared = result_bytes
        if self.needed_bytes and self.needed_bytes + shared > self.free_bytes:
            beside = f", {shared / 1e9:.1f} GB go to the result on the same disk" if shared else ""
            raise ImageError(
                f"the pictures take {self.needed_bytes / 1e9:.1f} GB to be unpacked in "
                f"{self.folder}{beside}, {self.free_bytes / 1e9:.1f} GB are free",
                "free some",
                "let TMPDIR name a folder with more",
                "convert them to TIFFs in tiles",
            )


def check_disk(path: Path, like: Source, options: OutputOptions | None = None) -> None:
    """Refuse a result that the disk cannot take.

    Raises:
        OutputError: its folder has less free than work file and result may take together.
    """
    folder = path.resolve().parent
    needed = disk_needs(path, like, options).total
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{path} may take {needed / 1e9:.1f} GB with its work file, {free / 1e9:.1f} GB "
            f"are free in {folder}; free some or choose another folder"
        )
