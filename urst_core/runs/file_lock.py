"""Locks that keep two runs from making the same result."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import Install, OutputError


def file_lock_library() -> Any:
    """The library of file locks.

    Raises:
        OutputError: it is not installed.
    """
    try:
        import filelock  # noqa: PLC0415 - only runs from file to file need it
    except ImportError as error:
        raise OutputError(
            f"locking files needs filelock, which did not load ({error})", Install("filelock")
        ) from error
    return filelock


@contextmanager
def only_run(output: Path) -> Generator[None, None, None]:
    """Keep other runs on this file system from making ``output`` during the block.

    The lock is an empty file ``.NAME.lock`` beside it, which is gone afterwards.

    Args:
        output: the file or folder to make; its folder exists.

    Raises:
        OutputError: another run is making it, or the lock cannot be made.
    """
    place = output.with_name(f".{output.name}.lock")
    _check_lock(place)
    library = file_lock_library()
    lock = library.FileLock(place, timeout=0)
    busy = OutputError(f"another run is making {output}; wait for it, or choose another name")
    try:
        lock.acquire()
    except library.Timeout:
        raise busy from None
    except OSError as error:
        raise OutputError(
            f"lock {place} cannot be made ({error}); choose another folder"
        ) from error
    if not os.path.lexists(place):  # removed by a run that ended between open and lock
        lock.release()
        raise busy
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no file that is open
            place.unlink()
        lock.release()


def _check_lock(place: Path) -> None:
    """Refuse anything but an empty file: a lock is opened for writing, and removed."""
    with suppress(FileNotFoundError):
        status = os.lstat(place)
        if not stat.S_ISREG(status.st_mode) or status.st_size:
            raise OutputError(f"{place} exists and is not a lock; move it, or choose another name")
