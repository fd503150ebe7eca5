"""The hidden folder beside a result in which a file run keeps its unfinished work.

A run of ``OUT.tif`` works in ``.OUT.tif.urst``::

    urst-work-folder    our mark: without it, nothing is written to or removed from the folder
    lock                locked while a run works here
    run.json            the run's inputs and choices
    stats.safetensors   the statistics, site by site
    pixels.tif          the finished cores
    journal.txt         the list of finished cores
    reserve             disk space, released for the journal's last lines
    segment-000000.…    finished frames, if the result is a video
    level-0.pixels.tif  the same for a level below, if strokes take several: with its journal.txt,
                        stats.safetensors, and content.tif, the content of that size

The folder is removed when the result is complete. Only these files are ever removed; if there is a
link or anything else inside, the run refuses to touch the folder.
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
from ..formats.encode import is_partial_name
from ..formats.work_file import WorkFile
from ..networks.frozen_stats import FrozenStats
from ..pictures.source import Raster
from .file_lock import file_lock_library
from .journal import finished_cores
from .record import RunRecord
from .segments import count_frames, is_segment_name

MARK = "urst-work-folder"
MARK_TEXT = b"Unfinished work of urst; it is removed when the result is complete.\n"

NAMES = frozenset(
    {MARK, "lock", "run.json", "stats.safetensors", "pixels.tif", "journal.txt", "reserve"}
)

LEVEL = re.compile(r"level-\d{1,2}\.(content\.tif|pixels\.tif|journal\.txt|stats\.safetensors)")

PARTIAL = re.compile(r"\..+\.\d+\.partial", re.DOTALL)
"""Names of incomplete files, from :func:`~urst_core.durable.partial_path`."""

REMEDIES = ("move it away", "choose another name")

PARTS = re.compile(
    r"picture\.dzi|picture_files|old|vips-properties\.xml|\d+|\d+_\d+\.(jpe?g|png)"  # DeepZoom
    r"|zarr\.json|c|[^.]+\.[0-9a-f]+\.partial"  # Zarr
)
"""Names inside an incomplete result that is a folder."""

RESERVE_BYTES = 1 << 16
"""More than the journal's lines of two seconds; see :meth:`WorkFolder.take_reserve`."""


@dataclass(frozen=True)
class Interruption:
    """Progress of an interrupted run: share of its tiles or frames, 0 to 1, and measured sites."""

    share: float
    sites: int
    parts: str = "tiles"

    def __str__(self) -> str:
        if self.share > 0:
            return f"{self.share:.0%} of its {self.parts} done"
        return f"statistics of {self.sites} sites done"


@dataclass(frozen=True)
class LevelFiles:
    """Paths of a level's content, finished cores, journal and statistics."""

    content: Path | None
    pixels: Path
    journal: Path
    stats: Path

    def load_stats(self) -> FrozenStats | None:
        """Load the saved statistics; None if there are none.

        Raises:
            OutputError: they are damaged.
        """
        if not self.stats.is_file():
            return None
        try:
            return FrozenStats.load(self.stats)
        except StatsError as error:
            raise OutputError(error.message, Change("if_interrupted", "restart")) from error

    def save_stats(self, stats: FrozenStats) -> None:
        """Save statistics, of all sites or of the first ones.

        Raises:
            OutputError: the disk is full or failing.
        """
        try:
            stats.save(self.stats)
        except OSError as error:
            raise OutputError(f"writing {self.stats} failed ({error}); free disk space") from error

    def open_pixels(self, like: Raster) -> WorkFile:
        """Open the file of the pixels with :meth:`WorkFile.reopen`.

        Raises:
            OutputError: it is missing, truncated or damaged.
        """
        try:
            return WorkFile.reopen(self.pixels, like)
        except OutputError as error:
            raise OutputError(error.message, Change("if_interrupted", "restart")) from error


class WorkFolder:
    """The work folder of one result; creating this object reads and writes nothing."""

    def __init__(self, output: Path) -> None:
        self.output = output
        # The target of a link, since the result can only be moved within one disk.
        target = Path(os.path.realpath(output))
        self.path = target.with_name(f".{target.name}.urst")
        self.pixels = self.path / "pixels.tif"
        self.journal = self.path / "journal.txt"
        self._record = self.path / "run.json"
        self._stats = self.path / "stats.safetensors"
        self._reserve = self.path / "reserve"
        self._lock: Any = None

    def level(self, number: int) -> LevelFiles:
        """The files of a level below the last one."""
        names = ("content.tif", "pixels.tif", "journal.txt", "stats.safetensors")
        return LevelFiles(*(self.path / f"level-{number}.{name}" for name in names))

    def last_level(self) -> LevelFiles:
        """The files of the result; its content is the picture itself."""
        return LevelFiles(None, self.pixels, self.journal, self._stats)

    def levels(self) -> list[LevelFiles]:
        """The files of all levels that were started, the coarsest first."""
        below: list[LevelFiles] = []
        while (files := self.level(len(below))).journal.is_file():
            below.append(files)
        return [*below, self.last_level()]

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Create the folder, and lock it against other runs during the block.

        Raises:
            OutputError: another run uses the folder, or it cannot be created.
        """
        file_lock = file_lock_library()
        try:
            self._make()
            self._lock = file_lock.FileLock(self.path / "lock", timeout=0)
            self._lock.acquire()
            # A run that has just ended may have removed it in the meantime.
            self._make()
        except file_lock.Timeout:
            raise OutputError(
                f"another run is making {self.output}; wait for it, or choose another name"
            ) from None
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be created ({error}); "
                "choose another folder or name"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def _make(self) -> None:
        """Create the folder if there is none.

        Raises:
            OSError: it cannot be created.
            OutputError: there is something else of that name.
        """
        if not self._is_there():
            self.path.mkdir(exist_ok=True)
            write_whole(self.path / MARK, MARK_TEXT)

    def _is_there(self) -> bool:
        """Whether there is a work folder with our mark.

        Raises:
            OutputError: it is a link, a file, or another user's, or has foreign files.
        """
        try:
            status = os.lstat(self.path)
            if not stat.S_ISDIR(status.st_mode):
                raise self._not_ours("is not a folder, or a link to one")
            names = sorted(os.listdir(self.path))
            for name in names:
                self._check_entry(name)
            if all(map(_is_partial, names)):
                return False  # just created, perhaps by a run that was then killed
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
        is_partial = _is_partial(name)
        if not _is_ours(name):
            raise self._not_ours(f"has {name}, which no run put there")
        status = os.lstat(self.path / name)
        if is_partial and stat.S_ISDIR(status.st_mode):
            self._check_unfinished_folder(name)
            return
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise self._not_ours(f"has {name}, which is a link")

    def _check_unfinished_folder(self, name: str) -> None:
        for folder, folders, files in os.walk(self.path / name):
            for part in folders + files:
                if not PARTS.fullmatch(part) or Path(folder, part).is_symlink():
                    raise self._not_ours(f"has {part} in {name}, which no run put there")

    def _check_owner(self, owner: int) -> None:
        """Refuse another user's folder, since that user could change its files.

        Compares with the owner of a new file: on some file systems one user owns all files.
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
        """Progress of an earlier run; None if there is nothing to resume.

        Raises:
            OutputError: the folder cannot be read, or is not ours.
        """
        record = self.load_record()
        if record is None:
            return None
        height, width = record.frame
        levels = self.levels()
        done = sum(core.area for level in levels for core in finished_cores(level.journal))
        frames = count_frames(self.path)
        done += frames * height * width
        stats = [stats for level in levels if (stats := level.load_stats()) is not None]
        # Statistics of a thumbnail are quickly measured again.
        is_exact = record.identity.get("statistics") == "exact"
        sites = sum(len(each.sites) for each in stats) if is_exact else 0
        share = done / (record.level_pixels or height * width)
        parts = "frames" if frames else "tiles"
        return Interruption(share, sites, parts) if done or sites else None

    def load_record(self) -> RunRecord | None:
        """Load the record of an earlier run; None if there was none.

        Raises:
            OutputError: it cannot be read, or the folder is not ours.
        """
        return RunRecord.load(self._record) if self._is_there() else None

    def save_record(self, record: RunRecord) -> None:
        record.save(self._record)

    def load_stats(self) -> FrozenStats | None:
        """As :meth:`LevelFiles.load_stats` of the result."""
        return self.last_level().load_stats()

    def save_stats(self, stats: FrozenStats) -> None:
        """As :meth:`LevelFiles.save_stats` of the result."""
        self.last_level().save_stats(stats)

    def open_pixels(self, like: Raster) -> WorkFile:
        """As :meth:`LevelFiles.open_pixels` of the result."""
        return self.last_level().open_pixels(like)

    def stored_bytes(self) -> int:
        """Disk space that the pixels take so far; 0 if the system does not report it."""
        files = [path for level in self.levels() for path in (level.pixels, level.content) if path]
        return sum(512 * getattr(path.stat(), "st_blocks", 0) for path in files if path.is_file())

    def take_reserve(self) -> None:
        """Reserve disk space, so that finished tiles can be recorded even if the disk is full.

        Raises:
            OutputError: the disk is already full, or failing.
        """
        try:
            # Not zeros, for which some file systems allocate no space.
            write_whole(self._reserve, os.urandom(RESERVE_BYTES))
        except OSError as error:
            raise OutputError(
                f"work folder {self.path} cannot be written to ({error}); free disk space"
            ) from error

    def give_reserve(self) -> None:
        """Release the reserved space for the last records of a run."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all but the mark and the lock; the record first, without which the rest is unused.

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
        """Remove the folder; failures are ignored, since the result is complete."""
        with suppress(OSError):
            self._empty()
            if os.name == "nt":
                # Open files cannot be removed on Windows; elsewhere no other run may start before
                # everything is removed.
                self._lock.release()
            (self.path / "lock").unlink()
            (self.path / MARK).unlink()
            self.path.rmdir()

    def _empty(self) -> None:
        self._record.unlink(missing_ok=True)
        for name in os.listdir(self.path):
            path = self.path / name
            if _is_partial(name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif name not in (MARK, "lock") and _is_ours(name):
                path.unlink()


def _is_ours(name: str) -> bool:
    is_listed = name in NAMES or LEVEL.fullmatch(name) is not None
    return is_listed or is_segment_name(name) or _is_partial(name)


def _is_partial(name: str) -> bool:
    """Whether it is one of our names for an incomplete file or result."""
    return PARTIAL.fullmatch(name) is not None or is_partial_name(name)
