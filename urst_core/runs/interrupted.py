"""Interrupted runs: which of them can be resumed, and what becomes of their work folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Change, OutputError, URSTError
from ..identity import Identity
from ..tiling.settings import IfInterrupted
from .record import RunRecord
from .work_folder import WorkFolder

IdentityOf = Callable[[RunRecord], Identity]
"""Computes a run's identity with the automatic choices of an earlier run."""


def record_to_resume(
    folder: WorkFolder, if_interrupted: IfInterrupted, identity_of: IdentityOf
) -> RunRecord | None:
    """The record of the run to resume; None to start a new one.

    Args:
        folder: work folder of the result.
        if_interrupted: what to do about an earlier run.
        identity_of: of the run that is to start.

    Raises:
        OutputError: the earlier run differs, or is neither to be resumed nor discarded.
    """
    if if_interrupted is IfInterrupted.RESUME and (record := folder.load_record()) is not None:
        record.check_same(identity_of(record))
        return record
    if (
        if_interrupted is not IfInterrupted.DISCARD
        and (interruption := folder.interruption()) is not None
    ):
        raise OutputError(
            f"an earlier run for {folder.output} was interrupted with {interruption}",
            Change("if_interrupted", "resume"),
            Change("if_interrupted", "restart"),
        )
    return None


def is_same_run(folder: WorkFolder, identity_of: IdentityOf) -> bool:
    """Whether an earlier run was interrupted and had the same inputs.

    False, too, if its record cannot be read.

    Raises:
        URSTError: an input of the run that is to start cannot be used.
    """
    try:
        record = folder.load_record()
    except OutputError:
        return False
    return record is not None and record.identity == identity_of(record)


def discard_interrupted(output: Path) -> None:
    """Remove the finished work of an earlier, interrupted run.

    Args:
        output: the result of that run.

    Raises:
        OutputError: another run is using it, or it cannot be removed.
    """
    folder = WorkFolder(output)
    with folder.locked():
        folder.clear()
        folder.remove()


def remove_leftovers(output: Path, identity_of: IdentityOf) -> None:
    """Remove the work folder of a finished run that was killed before it could do so.

    It is kept if another run is using it, or if it has the work of a run with other inputs.

    Args:
        output: the result of the finished run.
        identity_of: of the finished run.

    Raises:
        URSTError: an input of the finished run cannot be used.
    """
    folder = WorkFolder(output)
    if not os.path.lexists(folder.path):
        return
    with suppress(OutputError):
        record = folder.load_record()
        if record is None or record.identity == identity_of(record):
            with folder.locked():
                folder.remove()


@contextmanager
def removed_at_end(folder: WorkFolder) -> Generator[None, None, None]:
    """Remove a locked work folder after the block; after an error, only if it has no work."""
    try:
        yield
    except BaseException:
        with suppress(URSTError):
            if folder.interruption() is None:
                folder.remove()
        raise
    folder.remove()
