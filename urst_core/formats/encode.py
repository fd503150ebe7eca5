"""A finished work file becomes a picture file, in one pass and with bounded memory."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from pathlib import Path

from ..errors import OutputError, URSTError, last_line
from ..pictures.source import Source
from .output_format import Encoding, EncodingListener
from .output_options import OutputOptions
from .registry import check_format
from .vips import FULL_DISK_BYTES, vips_errors
from .work_file import WorkFile

PARTIAL_NAME = re.compile(r"\..*\.[0-9]+-[0-9a-f]{16}\.partial\.[^.]+", re.ASCII | re.DOTALL)


def encode(
    work_file: Path,
    output: Path,
    like: Source,
    options: OutputOptions | None = None,
    *,
    partial_folder: Path | None = None,
    listener: EncodingListener | None = None,
) -> None:
    """Make the picture file of a finished work file; neither file nor ``like`` is changed.

    The result appears under its name only when it is complete and on the disk, and then replaces
    what was there; where the name is a link, what it points to. On errors nothing new stays behind;
    where the process is killed, an unfinished file does, in ``partial_folder``.

    Args:
        work_file: closed, or at least flushed; made by
            :class:`~urst_core.formats.work_file.WorkFile`.
        output: the file to make, whose ending chooses the format; its folder exists.
        like: the size, channels and dtype of the work file, and the metadata to carry over; the
            content that the run began with.
        options: see :class:`~urst_core.formats.output_options.OutputOptions`.
        partial_folder: where the result grows, on the disk of ``output``; by default beside it.
        listener: told of progress, at least at the beginning and the end.

    Raises:
        OutputError: the work file is not of that picture, the format cannot hold it, or the disk
            is full or failing.
    """
    options = options or OutputOptions()
    format_ = check_format(output, like, options)
    WorkFile.reopen(work_file, like).close()
    target = output.resolve()
    partial = (partial_folder or target.parent) / partial_name(target)
    if os.path.lexists(partial):
        # A link would be followed. Nobody guesses that name, though.
        raise OutputError(f"{partial}, the temporary name of {output}, exists", "remove it")
    listener = listener or (lambda _share: None)
    try:
        listener(0.0)
        format_.save(Encoding(work_file, partial, like, options, listener, target.name))
        listener(1.0)
        format_.check_replaced(target)
        format_.publish(partial, target)
    except URSTError:
        raise
    except (OSError, *vips_errors()) as error:
        raise OutputError(_explained(output, partial.parent, error)) from error
    finally:
        format_.remove(partial)


def partial_name(output: Path) -> str:
    """A hidden name for the unfinished result; of bounded length, and one that nobody guesses."""
    return f".{output.stem[:40]}.{os.getpid()}-{secrets.token_hex(8)}.partial{output.suffix}"


def is_partial_name(name: str) -> bool:
    """Whether :func:`partial_name` made a name, perhaps in a process that was killed."""
    return PARTIAL_NAME.fullmatch(name) is not None


def _explained(output: Path, folder: Path, error: Exception) -> str:
    full = shutil.disk_usage(folder).free < FULL_DISK_BYTES
    hint = f"; the disk of {folder} is full, free some of it" if full else ""
    return f"writing {output} failed ({last_line(error)}){hint}"
