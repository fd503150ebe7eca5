"""Journal of a run's finished cores, line by line, from which another run can resume.

Each line is a word, numbers, and the CRC-32 of both::

    core 0 512 512 1024 3735928559 #5d3f1a20     top, left, bottom, right, and the pixels' CRC-32
    edge 256 #0b6c9f11                           tiles are no larger from here on

A line is written only after the pixels of its core are on the disk. An incomplete last line,
everything after a damaged line, and cores whose pixels do not match their checksum are dropped;
those tiles are computed again.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Protocol

from ..errors import Change, OutputError
from ..geometry import Rectangle

SECONDS_AT_RISK = 2.0
"""Work that a power cut may cost; waiting for the disk after each tile would cost more."""


MOST_DIGITS = 10
"""Longest number in a line: a checksum. Sides of pictures are shorter."""


class StoredPixels(Protocol):
    """The pixels of a journal's cores; see
    :class:`~urst_core.runs.checked_pixels.CheckedPixels`."""

    def take_checksum(self, core: Rectangle) -> int: ...

    def is_intact(self, core: Rectangle, checksum: int) -> bool: ...

    def flush(self) -> None: ...


class Journal:
    """A :class:`~urst_core.tiling.loop.Ledger` in a file; created, or continued if it exists.

    Args:
        path: the file.
        pixels: pixels of its cores.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, path: Path, pixels: StoredPixels) -> None:
        self._path, self._pixels = path, pixels
        self._cores: dict[Rectangle, None] = {}
        self._edges: list[int] = []
        self._unsaved: list[str] = []
        self._lock = Lock()
        self._last_save = time.monotonic()
        try:
            path.touch()
            lines = _whole_lines(path.read_bytes())
            self._file = path.open("r+b", buffering=0)
            # After the last complete line; otherwise the next one would be appended to a fragment.
            self._file.seek(self._file.truncate(sum(len(line) for line in lines)))
        except OSError as error:
            raise OutputError(
                f"journal {path} cannot be opened ({error}); free disk space"
            ) from error
        finished, edges = _finished(lines)
        self._edges += edges
        self._cores |= {
            c: None for c, checksum in finished.items() if pixels.is_intact(c, checksum)
        }

    @property
    def cores(self) -> Collection[Rectangle]:
        return self._cores

    @property
    def edges(self) -> list[int]:
        return self._edges

    def add_core(self, core: Rectangle) -> None:
        """Record a core; it is saved with those of the last two seconds.

        Raises:
            OutputError: the disk is full or failing.
        """
        self._add("core", *_sides(core), self._pixels.take_checksum(core))
        self._cores[core] = None
        if time.monotonic() - self._last_save >= SECONDS_AT_RISK:
            self.save()

    def add_edge(self, edge: int) -> None:
        """Record the edge to which tiles were halved; it is saved with the next core."""
        self._add("edge", edge)
        self._edges.append(edge)

    def save(self) -> None:
        """Write the pixels of all cores so far to the disk, then the cores.

        Raises:
            OutputError: the disk is full or failing.
        """
        with self._lock:
            if self._unsaved:
                self._pixels.flush()
                self._write("".join(self._unsaved).encode())
                self._unsaved.clear()
            self._last_save = time.monotonic()

    def _write(self, content: bytes) -> None:
        end = self._file.tell()
        try:
            while content:
                content = content[self._file.write(content) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.seek(self._file.truncate(end))
            raise OutputError(
                f"writing journal {self._path} failed ({error}); free disk space"
            ) from error

    def close(self) -> None:
        """Close the file; unsaved cores are lost."""
        self._file.close()

    def _add(self, word: str, *numbers: int) -> None:
        text = " ".join([word, *map(str, numbers)])
        with self._lock:
            self._unsaved.append(f"{text} #{zlib.crc32(text.encode()):08x}\n")


def finished_cores(path: Path) -> list[Rectangle]:
    """The cores that a journal lists; empty if there is no journal.

    Raises:
        OutputError: the file cannot be read.
    """
    try:
        lines = _whole_lines(path.read_bytes())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(
            f"journal {path} cannot be read ({error})",
            Change("if_interrupted", "restart"),
        ) from error
    return list(_finished(lines)[0])


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines before the first incomplete or damaged one."""
    return list(takewhile(_is_whole, content.splitlines(keepends=True)))


def _is_whole(line: bytes) -> bool:
    text, _, checksum = line.rpartition(b" #")
    if checksum != b"%08x\n" % zlib.crc32(text):
        return False
    word, *numbers = text.split(b" ")
    if not all(number.isdigit() and len(number) <= MOST_DIGITS for number in numbers):
        return False
    if word == b"edge":
        return len(numbers) == 1 and int(numbers[0]) > 0
    if word != b"core" or len(numbers) != 5:
        return False
    top, left, bottom, right, _ = map(int, numbers)
    return top < bottom and left < right


def _finished(lines: Sequence[bytes]) -> tuple[dict[Rectangle, int], list[int]]:
    """Parse complete lines: cores with the checksums of their pixels, and edges."""
    cores: dict[Rectangle, int] = {}
    edges: list[int] = []
    for line in lines:
        word, *texts = line.rpartition(b" #")[0].split(b" ")
        numbers = [int(text) for text in texts]
        if word == b"core":
            cores[Rectangle(*numbers[:4])] = numbers[4]
        else:
            edges += numbers
    return cores, edges


def _sides(core: Rectangle) -> tuple[int, int, int, int]:
    return core.top, core.left, core.bottom, core.right
