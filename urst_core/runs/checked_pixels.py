"""The pixels of a run, with a checksum of each core: a bit that the disk loses does not count."""

from __future__ import annotations

import zlib

from torch import Tensor

from ..formats.work_file import WorkFile
from ..geometry import Rectangle


class CheckedPixels:
    """A work file as a :class:`~urst_core.pictures.source.Canvas` that sums up what is written.

    CRC-32 finds every single flipped bit, and misses one in four billion other changes; it takes a
    few milliseconds for a tile that takes hundreds to compute.
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
        """That of a core just written; 0 where it holds nothing but padding."""
        return self._checksums.pop(core.clipped(self._file.size), 0)

    def is_intact(self, core: Rectangle, checksum: int) -> bool:
        """Whether a core's pixels are those that were written.

        Raises:
            OutputError: the disk is failing.
        """
        inside = core.clipped(self._file.size)
        return checksum == (_checksum(self._file.read(inside)) if inside.area else 0)

    def flush(self) -> None:
        """Return when everything written so far is on the disk.

        Raises:
            OutputError: the disk is full or failing.
        """
        self._file.flush()


def _checksum(pixels: Tensor) -> int:
    return zlib.crc32(pixels.contiguous().numpy().data)
