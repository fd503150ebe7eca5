"""The pixels of a run with a checksum of each core, so that damage on disk is detected."""

from __future__ import annotations

import zlib

from torch import Tensor

from ..formats.work_file import WorkFile
from ..geometry import Rectangle


class CheckedPixels:
    """A work file as a :class:`~urst_core.pictures.source.Canvas` that also computes checksums.

    CRC-32 detects every single flipped bit, and misses one in four billion other changes. It takes
    a few milliseconds per tile; computing the tile takes hundreds.
    """

    def __init__(self, file: WorkFile) -> None:
        self._file = file
        self._checksums: dict[Rectangle, int] = {}

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of a core.

        Raises:
            OutputError: the disk is full or failing.
        """
        pixels = pixels.cpu()
        self._file.write(rectangle, pixels)
        self._checksums[rectangle] = _checksum(pixels)

    def take_checksum(self, core: Rectangle) -> int:
        """Return the checksum of a core just written; 0 if the core is only padding."""
        return self._checksums.pop(core.clipped(self._file.size), 0)

    def is_intact(self, core: Rectangle, checksum: int) -> bool:
        """Whether a core's pixels have the checksum that was recorded for them.

        Raises:
            OutputError: the disk is failing.
        """
        inside = core.clipped(self._file.size)
        return checksum == (_checksum(self._file.read(inside)) if inside.area else 0)

    def flush(self) -> None:
        """Wait until everything written so far is on the disk.

        Raises:
            OutputError: the disk is full or failing.
        """
        self._file.flush()


def _checksum(pixels: Tensor) -> int:
    return zlib.crc32(pixels.contiguous().numpy().data)
