"""A finished work file becomes a picture file, in one pass and with bounded memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .canvas import Source
from .errors import OutputError
from .formats import Format, format_of
from .libvips import forget_pictures, reason, vips
from .metadata import PictureMetadata, metadata_of
from .output_options import OutputOptions
from .work_file import WorkFile

EncodingListener = Callable[[float], None]
"""Told now and then which share, 0 to 1, is encoded; what it raises ends the encoding."""


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
    what was there. On errors nothing new stays behind; where the process is killed, an unfinished
    file does, in ``partial_folder``, and the same call overwrites it.

    Args:
        work_file: closed, or at least flushed; as :class:`~urst_core.work_file.WorkFile` makes it.
        output: the file to make, whose ending chooses the format; its folder exists.
        like: the size, channels and dtype of the work file, and the metadata to carry over; the
            content that the run began with.
        options: see :class:`~urst_core.output_options.OutputOptions`.
        partial_folder: where the file grows, on the disk of ``output``; by default beside it.
        listener: told of progress, at least at the beginning and the end.

    Raises:
        OutputError: the work file is not of that picture, the format cannot hold it, or the disk
            is full or failing.
    """
    options = options or OutputOptions()
    listener = listener or (lambda _share: None)
    format_ = format_of(output)
    format_.check(output, like, options)
    WorkFile.reopen(work_file, like).close()
    partial = (partial_folder or output.parent) / partial_name(output)
    try:
        listener(0.0)
        _save(work_file, partial, like, format_, options, listener)
        _flush_file(partial)
        partial.replace(output)
        listener(1.0)
    except (vips().Error, OSError) as error:
        raise OutputError(f"writing {output} failed ({reason(error)})") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()


def partial_name(output: Path) -> str:
    """A hidden name for the unfinished result; of bounded length, and the process's own."""
    return f".{output.stem[:40]}.{os.getpid()}.partial{output.suffix}"


def _save(
    work_file: Path,
    partial: Path,
    like: Source,
    format_: Format,
    options: OutputOptions,
    listener: EncodingListener,
) -> None:
    image = _with_metadata(_open_work_file(work_file, like), metadata_of(like))
    failures = _report_progress(image, listener)
    try:
        image.write_to_file(str(partial), **format_.saver_options(options))
    except vips().Error:
        if failures:
            raise failures[0] from None
        raise
    finally:
        del image
        forget_pictures()
    if failures:
        raise failures[0]


def _open_work_file(work_file: Path, like: Source) -> Any:
    """The picture, to be read once, from top to bottom."""
    image = vips().Image.tiffload(str(work_file), access="sequential", fail_on="warning")
    return image.copy(interpretation="rgb16" if like.dtype == torch.uint16 else "srgb")


def _with_metadata(image: Any, metadata: PictureMetadata) -> Any:
    """The picture with what its file should say; libvips leaves out what a format cannot hold."""
    if metadata.resolution:
        xres, yres = metadata.resolution
        image = image.copy(xres=xres, yres=yres)
    else:
        image = image.copy()
    blob = vips().GValue.blob_type
    for name, value in (
        ("icc-profile-data", metadata.profile),
        ("exif-data", metadata.exif),
        ("xmp-data", metadata.xmp),
        ("iptc-data", metadata.photoshop),
    ):
        if value:
            image.set_type(blob, name, value)
    # Also over the one inside the EXIF block.
    image.set_type(vips().GValue.gint_type, "orientation", 1)
    return image


def _report_progress(image: Any, listener: EncodingListener) -> list[BaseException]:
    """Pass libvips's progress on; what the listener raises stops it, and is in the list."""
    failures: list[BaseException] = []

    def report(running: Any, progress: Any) -> None:
        if failures:
            return
        try:
            listener(min(1.0, progress.percent / 100))
        except BaseException as error:  # raised again below
            failures.append(error)
            running.set_kill(True)

    image.set_progress(True)
    image.signal_connect("eval", report)
    return failures


def _flush_file(path: Path) -> None:
    """Return when the file's bytes are on the disk: a name must not survive what it names."""
    with path.open("r+b") as written:
        os.fsync(written.fileno())
