"""The hidden folder beside a result in which a file run keeps what it has done.

A run of ``OUT.tif`` works in ``.OUT.tif.urst``::

    lock                held while a run works here
    run.json            what the run was asked for, and what it chose
    stats.safetensors   the statistics, site by site
    pixels.tif          the cores that are finished
    journal.txt         which those are
    reserve             room on the disk, given up for the journal's last lines

The folder is gone when the result is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ..durable import flushed
from ..errors import OutputError
from ..formats.work_file import WorkFile
from ..networks.frozen_stats import FrozenStats
from ..pictures.preview import Preview, SampledPreview
from ..pictures.source import Source
from .journal import finished_cores
from .record import RunRecord

RESERVE_BYTES = 1 << 16
"""More than the lines of two seconds take; see :meth:`WorkFolder.take_reserve`."""


@dataclass(frozen=True)
class Interruption:
    """How far an interrupted run came: with its tiles, 0 to 1, and its statistics."""

    share: float
    sites: int

    def __str__(self) -> str:
        if self.share > 0:
            return f"{self.share:.0%} of its tiles done"
        return f"statistics of {self.sites} sites done"


class WorkFolder:
    """The work folder of one result; nothing is made or read before it is asked for."""

    def __init__(self, output: Path) -> None:
        self.output = output
        # Where a link points to: the result can only be moved within one disk.
        target = Path(os.path.realpath(output))
        self.path = target.with_name(f".{target.name}.urst")
        self.pixels = self.path / "pixels.tif"
        self.journal = self.path / "journal.txt"
        self._record = self.path / "run.json"
        self._stats = self.path / "stats.safetensors"
        self._reserve = self.path / "reserve"
        self._lock: Any = None

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Make the folder, and keep other runs out of it during the block.

        Raises:
            OutputError: another run works there, or the folder cannot be made.
        """
        file_lock = _file_lock()
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = file_lock.FileLock(self.path / "lock", timeout=0)
            self._lock.acquire()
        except file_lock.Timeout:
            raise OutputError(
                f"another run is making {self.output}; wait for it, or choose another name"
            ) from None
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be made ({error}); choose another folder or name"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def interruption(self) -> Interruption | None:
        """How far an earlier run came; None where there is nothing to go on with.

        Raises:
            OutputError: what lies there cannot be read.
        """
        record = self.load_record()
        if record is None:
            return None
        height, width = record.frame
        done = sum(core.area for core in finished_cores(self.journal))
        stats = self.load_stats()
        # Those of a thumbnail are made again in no time.
        sites = len(stats.sites) if stats and record.fingerprint.get("statistics") == "exact" else 0
        return Interruption(done / (height * width), sites) if done or sites else None

    def load_record(self) -> RunRecord | None:
        return RunRecord.load(self._record)

    def save_record(self, record: RunRecord) -> None:
        record.save(self._record)

    def load_stats(self) -> FrozenStats | None:
        return FrozenStats.load(self._stats) if self._stats.is_file() else None

    def save_stats(self, stats: FrozenStats) -> None:
        """Keep statistics, whole or of the first sites.

        Raises:
            OutputError: the disk is full or failing.
        """
        partial = self._stats.with_suffix(".partial")
        try:
            stats.save(partial)
            flushed(partial).replace(self._stats)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"writing {self._stats} failed ({error}); free disk space") from error

    def stored_bytes(self) -> int:
        """What the pixels take on the disk so far; 0 where the system does not tell."""
        if not self.pixels.is_file():
            return 0
        return 512 * getattr(self.pixels.stat(), "st_blocks", 0)

    def take_reserve(self) -> None:
        """Occupy some room, so that a full disk still takes the note of what was finished.

        Raises:
            OutputError: the disk is full already, or failing.
        """
        try:
            # Not zeros: some file systems keep no room for those.
            self._reserve.write_bytes(os.urandom(RESERVE_BYTES))
            flushed(self._reserve)
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be written to ({error}); free disk space"
            ) from error

    def give_reserve(self) -> None:
        """Give the room back, for the last notes of a run."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all but the lock, the record first: without it the rest means nothing.

        Raises:
            OutputError: a file cannot be removed.
        """
        try:
            self._record.unlink(missing_ok=True)
            for path in self.path.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be emptied ({error}); remove it by hand"
            ) from error

    def remove(self) -> None:
        """Remove the folder, as far as the system lets us: the result is more important."""
        self.clear()
        if os.name == "nt":
            # Open files cannot be removed there; elsewhere none may slip in before it is gone.
            self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _file_lock() -> Any:
    """The library of file locks.

    Raises:
        OutputError: it is not installed.
    """
    try:
        import filelock  # noqa: PLC0415 - only runs from file to file need it
    except ImportError as error:
        raise OutputError(
            f"files are locked with filelock, which did not load ({error}); pip install filelock"
        ) from error
    return filelock


def add_finished_cores(
    preview: Preview | SampledPreview, folder: WorkFolder, content: Source
) -> None:
    """Add what an interrupted run has finished, before the run that goes on adds more.

    Args:
        preview: of the content's size, with nothing of the run in it yet.
        folder: of the run.
        content: the picture that is stylized.

    Raises:
        OutputError: what the run has left cannot be read, or is of another picture.
    """
    with WorkFile.reopen(folder.pixels, content) as pixels:
        for core in finished_cores(folder.journal):
            inside = core.clipped(content.size)
            if inside.area:
                preview.add(inside, pixels.read(inside))
