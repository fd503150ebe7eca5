"""How much of the disk a run takes, and whether that is there."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError
from ..geometry import round_up
from ..pictures.source import Source
from .output_format import STORED_TILE_SIZE, format_of
from .output_options import OutputOptions
from .work_file import raw_bytes
from .zarr.level import LARGEST_CHUNK

LZW_GROWTH = 1.5
"""What LZW makes of noise: codes of 12 bits for values of 8."""

GROWTH = 1.02
"""What other lossless compression, and JPEG of the highest quality, make of noise."""

CLUSTER_BYTES = 4096
"""What a small file takes at least."""

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
    options = options or OutputOptions()
    format_ = format_of(path)
    raw = raw_bytes(like)
    stored = float(raw)
    edge = options.stored_tile_size or STORED_TILE_SIZE
    if "stored_tile_size" in format_.takes:
        # The tiles at the border are as large as all, also those of a pyramid's levels.
        stored = _tiled_bytes(like, edge, levels=options.pyramid or format_.name == "DeepZoom")
    if format_.name == "Zarr":
        stored = _tiled_bytes(like, LARGEST_CHUNK, levels=True)
    stored *= LZW_GROWTH if options.compression == "lzw" else GROWTH
    if format_.name == "DeepZoom":
        stored += CLUSTER_BYTES * (stored / (edge * edge * raw / math.prod(like.size)) + 64)
    work_file = raw + OTHER_BYTES
    return DiskNeeds(work_file, math.ceil(stored) + OTHER_BYTES)


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


def _tiled_bytes(like: Source, edge: int, *, levels: bool) -> float:
    height, width = like.size
    pixel_bytes = like.channels * like.dtype.itemsize
    total = 0
    while True:
        total += round_up(height, edge) * round_up(width, edge) * pixel_bytes
        if not levels or max(height, width) <= edge:
            return total
        height, width = math.ceil(height / 2), math.ceil(width / 2)
