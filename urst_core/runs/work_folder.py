"""The hidden folder beside a result in which a file run keeps what it has done.

A run of ``OUT.tif`` works in ``.OUT.tif.urst``::

    urst-work-folder    our mark: nothing is written or removed in a folder without it
    lock                held while a run works here
    run.json            what the run was asked for, and what it chose
    stats.safetensors   the statistics, site by site
    pixels.tif          the cores that are finished
    journal.txt         which those are
    reserve             room on the disk, given up for the journal's last lines

The folder is gone when the result is there. Only these files are ever removed; a link, or anything
else inside, and the run refuses to touch the folder.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..durable import write_whole
from ..errors import Change, OutputError, StatsError
from ..formats.work_file import WorkFile
from ..networks.frozen_stats import FrozenStats
from ..pictures.preview import Preview, SampledPreview
from ..pictures.source import Source
from .journal import finished_cores
from .record import RunRecord

MARK = "urst-work-folder"
MARK_TEXT = b"Unfinished work of urst; it is removed when the result is complete.\n"

NAMES = frozenset(
    {MARK, "lock", "run.json", "stats.safetensors", "pixels.tif", "journal.txt", "reserve"}
)

PARTIAL = re.compile(r"\..*\.\d+\.partial(\.[a-z]+)?")
"""Names of files on their way: of :func:`~urst_core.durable.partial_path`, and of a result."""

REMEDIES = ("move it away", "choose another name")

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
            self._make()
            self._lock = file_lock.FileLock(self.path / "lock", timeout=0)
            self._lock.acquire()
            # A run that ended just now may have removed it meanwhile.
            self._make()
        except file_lock.Timeout:
            raise OutputError(
                f"another run is making {self.output}; wait for it, or choose another name"
            ) from None
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be made ({error}); choose another folder or name"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def _make(self) -> None:
        """Make the folder where there is none.

        Raises:
            OSError: it cannot be made.
            OutputError: what is there is not ours.
        """
        if not self._is_there():
            self.path.mkdir(exist_ok=True)
            write_whole(self.path / MARK, MARK_TEXT)

    def _is_there(self) -> bool:
        """Whether there is a work folder, with our mark.

        Raises:
            OutputError: what is there is a link or a file, somebody else's, or holds such things.
        """
        try:
            status = os.lstat(self.path)
            if not stat.S_ISDIR(status.st_mode):
                raise self._not_ours("is not a folder, or a link to one")
            names = sorted(os.listdir(self.path))
            for name in names:
                self._check_entry(name)
            if all(map(PARTIAL.fullmatch, names)):
                return False  # just made, perhaps by a run that was killed while it did
            if (self.path / MARK).read_bytes() != MARK_TEXT:
                raise self._not_ours(f"has a file {MARK} that is not ours")
            if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
                self._check_owner(status.st_uid)
        except FileNotFoundError as error:
            if error.filename == str(self.path / MARK):
                raise self._not_ours(f"has no file {MARK}") from error
            return False
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be read ({error})", *REMEDIES
            ) from error
        return True

    def _check_entry(self, name: str) -> None:
        is_partial = PARTIAL.fullmatch(name) is not None
        if name not in NAMES and not is_partial:
            raise self._not_ours(f"holds {name}, which no run put there")
        status = os.lstat(self.path / name)
        if is_partial and stat.S_ISDIR(status.st_mode):
            return
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise self._not_ours(f"holds {name}, which is not a file of its own but a link")

    def _check_owner(self, owner: int) -> None:
        """Refuse another user's folder, who could change what is in it.

        Who owns a file is asked of a new one: some file systems give all files to one user.
        """
        probe = self.path / f".owner.{os.getpid()}.partial"
        with suppress(FileNotFoundError):
            probe.unlink()
        with probe.open("xb") as file:
            ours = os.fstat(file.fileno()).st_uid
        probe.unlink()
        if ours != owner:
            raise self._not_ours("belongs to another user")

    def _not_ours(self, why: str) -> OutputError:
        return OutputError(f"work folder {self.path} {why}", *REMEDIES)

    def interruption(self) -> Interruption | None:
        """How far an earlier run came; None where there is nothing to resume.

        Raises:
            OutputError: what is there cannot be read, or is not ours.
        """
        record = self.load_record()
        if record is None:
            return None
        height, width = record.frame
        done = sum(core.area for core in finished_cores(self.journal))
        stats = self.load_stats()
        # Those of a thumbnail are made again in no time.
        sites = len(stats.sites) if stats and record.identity.get("statistics") == "exact" else 0
        return Interruption(done / (height * width), sites) if done or sites else None

    def load_record(self) -> RunRecord | None:
        """What an earlier run was asked for; None where there was none.

        Raises:
            OutputError: it cannot be read, or the folder is not ours.
        """
        return RunRecord.load(self._record) if self._is_there() else None

    def save_record(self, record: RunRecord) -> None:
        record.save(self._record)

    def load_stats(self) -> FrozenStats | None:
        """The statistics that were kept; None where there are none.

        Raises:
            OutputError: they are damaged.
        """
        if not self._stats.is_file():
            return None
        try:
            return FrozenStats.load(self._stats)
        except StatsError as error:
            raise OutputError(error.message, Change("if_interrupted", "restart")) from error

    def save_stats(self, stats: FrozenStats) -> None:
        """Keep statistics, whole or of the first sites.

        Raises:
            OutputError: the disk is full or failing.
        """
        try:
            stats.save(self._stats)
        except OSError as error:
            raise OutputError(f"writing {self._stats} failed ({error}); free disk space") from error

    def open_pixels(self, like: Source) -> WorkFile:
        """The file of the pixels, as :meth:`WorkFile.reopen`.

        Raises:
            OutputError: it is absent, cut off or damaged.
        """
        try:
            return WorkFile.reopen(self.pixels, like)
        except OutputError as error:
            raise OutputError(error.message, Change("if_interrupted", "restart")) from error

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
            write_whole(self._reserve, os.urandom(RESERVE_BYTES))
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be written to ({error}); free disk space"
            ) from error

    def give_reserve(self) -> None:
        """Give the room back, for the last notes of a run."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all but the mark and the lock; the record first: the rest means nothing alone.

        Raises:
            OutputError: a file cannot be removed, or is not ours.
        """
        self._is_there()
        try:
            self._empty()
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be emptied ({error}); remove it by hand"
            ) from error

    def remove(self) -> None:
        """Remove the folder, as far as the system lets us: the result is more important."""
        with suppress(OSError):
            self._empty()
            if os.name == "nt":
                # Open files cannot be removed there; elsewhere no other run may begin before all
                # is gone.
                self._lock.release()
            (self.path / "lock").unlink()
            (self.path / MARK).unlink()
            self.path.rmdir()

    def _empty(self) -> None:
        self._record.unlink(missing_ok=True)
        for name in os.listdir(self.path):
            path = self.path / name
            if PARTIAL.fullmatch(name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif (name in NAMES and name not in (MARK, "lock")) or PARTIAL.fullmatch(name):
                path.unlink()


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
    """Add what an interrupted run has finished, before the resumed run adds more.

    Args:
        preview: of the content's size, with nothing of the run in it yet.
        folder: of the run.
        content: the picture that is stylized.

    Raises:
        OutputError: what the run has left cannot be read, or is of another picture.
    """
    with folder.open_pixels(content) as pixels:
        for core in finished_cores(folder.journal):
            inside = core.clipped(content.size)
            if inside.area:
                preview.add(inside, pixels.read(inside))
