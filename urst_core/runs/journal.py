"""What a run has finished, line by line, so that another run can go on from there.

Each line is a word, numbers, and the CRC-32 of both::

    core 0 512 512 1024 #5d3f1a20     top, left, bottom, right of a core whose pixels are stored
    edge 256 #0b6c9f11                tiles are no larger from here on

A line is written only after the pixels it speaks of are on the disk. What a crash leaves of the
last line, and all that follows a damaged one, is dropped: those tiles are computed again.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from threading import Lock

from ..errors import Change, OutputError
from ..geometry import Rectangle

SECONDS_AT_RISK = 2.0
"""How much work a loss of power may cost: waiting for the disk after each tile would cost more."""


class Journal:
    """A :class:`~urst_core.tiling.loop.Ledger` in a file; made, or gone on with where there is one.

    Args:
        path: the file.
        flush: returns when all pixels written so far are on the disk.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, path: Path, flush: Callable[[], None]) -> None:
        self._path, self._flush = path, flush
        self._cores: dict[Rectangle, None] = {}
        self._edges: list[int] = []
        self._unsaved: list[str] = []
        self._lock = Lock()
        self._last_save = time.monotonic()
        try:
            path.touch()
            lines = _whole_lines(path.read_bytes())
            self._file = path.open("r+b", buffering=0)
            # Behind the last whole line; else the next one would be glued to what is torn.
            self._file.seek(self._file.truncate(sum(len(line) for line in lines)))
        except OSError as error:
            raise OutputError(
                f"journal {path} cannot be opened ({error}); free disk space"
            ) from error
        for line in lines:
            self._take(*_parsed(line))

    @property
    def cores(self) -> Collection[Rectangle]:
        return self._cores

    @property
    def edges(self) -> list[int]:
        return self._edges

    def add_core(self, core: Rectangle) -> None:
        """Note a core; saved with those of the last two seconds.

        Raises:
            OutputError: the disk is full or failing.
        """
        self._add("core", core.top, core.left, core.bottom, core.right)
        if time.monotonic() - self._last_save >= SECONDS_AT_RISK:
            self.save()

    def add_edge(self, edge: int) -> None:
        """Note the edge that tiles were halved to; saved with the next core."""
        self._add("edge", edge)

    def save(self) -> None:
        """Return when the pixels of all cores so far, and then the cores, are on the disk.

        Raises:
            OutputError: the disk is full or failing.
        """
        with self._lock:
            if self._unsaved:
                self._flush()
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
        """Let go of the file; what is not saved is lost."""
        self._file.close()

    def _add(self, word: str, *numbers: int) -> None:
        self._take(word, numbers)
        text = " ".join([word, *map(str, numbers)])
        with self._lock:
            self._unsaved.append(f"{text} #{zlib.crc32(text.encode()):08x}\n")

    def _take(self, word: str, numbers: Sequence[int]) -> None:
        if word == "core":
            self._cores[Rectangle(*numbers)] = None
        else:
            self._edges.append(*numbers)


def finished_cores(path: Path) -> list[Rectangle]:
    """The cores that a journal lists; none where there is no journal.

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
    entries = [_parsed(line) for line in lines]
    return list(dict.fromkeys(Rectangle(*numbers) for word, numbers in entries if word == "core"))


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines up to the first one that is torn or damaged."""
    lines = content.splitlines(keepends=True)
    return list(takewhile(_is_whole, lines))


def _is_whole(line: bytes) -> bool:
    text, _, checksum = line.rpartition(b" #")
    return checksum == b"%08x\n" % zlib.crc32(text)


def _parsed(line: bytes) -> tuple[str, list[int]]:
    word, *numbers = line.rpartition(b" #")[0].split()
    return word.decode(), [int(number) for number in numbers]
