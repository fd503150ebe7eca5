"""How much of the disk a run takes, and whether that is there."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError
from ..pictures.source import Source
from .output_options import OutputOptions
from .registry import format_of
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
