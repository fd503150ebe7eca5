"""The hidden folder beside a result in which a file run keeps what it has done.

A run of ``OUT.tif`` works in ``.OUT.tif.urst``::

    urst-work-folder    our mark: nothing is written or removed in a folder without it
    lock                held while a run works here
    run.json            what the run was asked for, and what it chose
    stats.safetensors   the statistics, site by site
    pixels.tif          the cores that are finished
    journal.txt         which those are
    reserve             room on the disk, given up for the journal's last lines
    level-0.pixels.tif  the same of a level below, where strokes take several: and its journal.txt,
                        stats.safetensors, and content.tif, the content of that size

The folder is gone when the result is there. Only these files are ever removed; a link, or anything
else inside, and the run refuses to touch the folder.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..durable import write_whole
from ..errors import Change, OutputError, StatsError
from ..formats.encode import is_partial_name
from ..formats.work_file import WorkFile
from ..geometry import Size
from ..method.strokes import level_pictures
from ..networks.frozen_stats import FrozenStats
from ..pictures.preview import LayeredPreview, Preview, SampledPreview
from ..pictures.source import Raster, Source
from .journal import finished_cores
from .record import RunRecord

MARK = "urst-work-folder"
MARK_TEXT = b"Unfinished work of urst; it is removed when the result is complete.\n"

NAMES = frozenset(
    {MARK, "lock", "run.json", "stats.safetensors", "pixels.tif", "journal.txt", "reserve"}
)

LEVEL = re.compile(r"level-\d{1,2}\.(content\.tif|pixels\.tif|journal\.txt|stats\.safetensors)")

PARTIAL = re.compile(r"\..+\.\d+\.partial", re.DOTALL)
"""Names of files on their way, of :func:`~urst_core.durable.partial_path`."""

REMEDIES = ("move it away", "choose another name")

PARTS = re.compile(
    r"picture\.dzi|picture_files|old|vips-properties\.xml|\d+|\d+_\d+\.(jpe?g|png)"  # DeepZoom
    r"|zarr\.json|c|[^.]+\.[0-9a-f]+\.partial"  # Zarr
)
"""What is inside a result that is a folder, on its way."""

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


@dataclass(frozen=True)
class LevelFiles:
    """Where a level's content, finished cores, journal and statistics are kept."""

    content: Path | None
    pixels: Path
    journal: Path
    stats: Path

    def load_stats(self) -> FrozenStats | None:
        """The statistics that were kept; None where there are none.

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
        """Keep statistics, whole or of the first sites.

        Raises:
            OutputError: the disk is full or failing.
        """
        try:
            stats.save(self.stats)
        except OSError as error:
            raise OutputError(f"writing {self.stats} failed ({error}); free disk space") from error

    def open_pixels(self, like: Raster) -> WorkFile:
        """The file of the pixels, as :meth:`WorkFile.reopen`.

        Raises:
            OutputError: it is absent, cut off or damaged.
        """
        try:
            return WorkFile.reopen(self.pixels, like)
        except OutputError as error:
            raise OutputError(error.message, Change("if_interrupted", "restart")) from error


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

    def level(self, number: int) -> LevelFiles:
        """The files of a level below the last one."""
        names = ("content.tif", "pixels.tif", "journal.txt", "stats.safetensors")
        return LevelFiles(*(self.path / f"level-{number}.{name}" for name in names))

    def last_level(self) -> LevelFiles:
        """The files of the result; its content is the picture itself."""
        return LevelFiles(None, self.pixels, self.journal, self._stats)

    def levels(self) -> list[LevelFiles]:
        """The files of all levels that were begun, the coarsest first."""
        below: list[LevelFiles] = []
        while (files := self.level(len(below))).journal.is_file():
            below.append(files)
        return [*below, self.last_level()]

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
                f"work folder {self.path} cannot be created ({error}); "
                "choose another folder or name"
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
            if all(map(_is_partial, names)):
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
        is_partial = _is_partial(name)
        if not _is_ours(name):
            raise self._not_ours(f"holds {name}, which no run put there")
        status = os.lstat(self.path / name)
        if is_partial and stat.S_ISDIR(status.st_mode):
            self._check_unfinished_folder(name)
            return
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise self._not_ours(f"holds {name}, which is not a file of its own but a link")

    def _check_unfinished_folder(self, name: str) -> None:
        for folder, folders, files in os.walk(self.path / name):
            for part in folders + files:
                if not PARTS.fullmatch(part) or Path(folder, part).is_symlink():
                    raise self._not_ours(f"holds {part} in {name}, which no run put there")

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
        levels = self.levels()
        done = sum(core.area for level in levels for core in finished_cores(level.journal))
        stats = [stats for level in levels if (stats := level.load_stats()) is not None]
        # Those of a thumbnail are made again in no time.
        is_exact = record.identity.get("statistics") == "exact"
        sites = sum(len(each.sites) for each in stats) if is_exact else 0
        share = done / (record.level_pixels or height * width)
        return Interruption(share, sites) if done or sites else None

    def load_record(self) -> RunRecord | None:
        """What an earlier run was asked for; None where there was none.

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
        """What the pixels take on the disk so far; 0 where the system does not tell."""
        files = [path for level in self.levels() for path in (level.pixels, level.content) if path]
        return sum(512 * getattr(path.stat(), "st_blocks", 0) for path in files if path.is_file())

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
            if _is_partial(name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif name not in (MARK, "lock") and _is_ours(name):
                path.unlink()


def _is_ours(name: str) -> bool:
    return name in NAMES or LEVEL.fullmatch(name) is not None or _is_partial(name)


def _is_partial(name: str) -> bool:
    """Whether it is a name of ours for a file on its way, or for a result."""
    return PARTIAL.fullmatch(name) is not None or is_partial_name(name)


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
    preview: Preview | SampledPreview | LayeredPreview,
    folder: WorkFolder,
    content: Source,
    sizes: Sequence[Size] = (),
) -> None:
    """Add what an interrupted run has finished, before the resumed run adds more.

    Args:
        preview: of the content's size, with nothing of the run in it yet.
        folder: of the run.
        content: the picture that is stylized.
        sizes: of all levels, the coarsest first; only a layered preview shows those below it.

    Raises:
        OutputError: what the run has left cannot be read, or is of another picture.
    """
    if isinstance(preview, LayeredPreview):
        for number, like in enumerate(level_pictures(sizes)):
            files = folder.level(number)
            if files.journal.is_file():
                _add_cores(preview, files, like)
    _add_cores(preview, folder.last_level(), content)


def _add_cores(
    preview: Preview | SampledPreview | LayeredPreview,
    files: LevelFiles,
    like: Raster,
) -> None:
    with files.open_pixels(like) as pixels:
        for core in finished_cores(files.journal):
            inside = core.clipped(like.size)
            if not inside.area:
                continue
            if isinstance(preview, LayeredPreview):
                preview.add(inside, pixels.read(inside), like.size)
            else:
                preview.add(inside, pixels.read(inside))
