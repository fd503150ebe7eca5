"""A finished work file becomes a picture file, in one pass and with bounded memory.

libvips takes the rows as they come. But the encoders of WebP and AVIF know no rows and take the
whole picture into memory (10 bytes a pixel for WebP); and the smaller levels of a TIFF's pyramid,
a third of the file, are kept there until the first is complete.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import OutputError
from ..geometry import Rectangle
from ..pictures.metadata import PictureMetadata, metadata_of, wrapped_iptc
from ..pictures.source import Source
from ..tiling.settings import IfInterrupted
from . import deep_zoom
from .output_format import Format, format_of
from .output_options import OutputOptions
from .pixel_types import NUMPY_TYPES
from .png_text import append_texts
from .vips import FULL_DISK_BYTES, forget_pictures, reason, vips, vips_errors
from .work_file import WorkFile
from .zarr.canvas import ZarrCanvas, put_in_place
from .zarr.store import remove

EncodingListener = Callable[[float], None]
"""Told now and then which share, 0 to 1, is encoded; what it raises ends the encoding."""

COPY_BYTES = 1 << 24


@dataclass(frozen=True)
class Encoding:
    """One work file on its way to a result.

    Attributes:
        work_file: finished.
        partial: where the result grows.
        like: what the work file holds.
        format_, options: what it becomes.
        listener: told of progress.
    """

    work_file: Path
    partial: Path
    like: Source
    format_: Format
    options: OutputOptions
    listener: EncodingListener


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
    format_ = format_of(output)
    format_.check(output, like, options)
    WorkFile.reopen(work_file, like).close()
    target = output.resolve()
    partial = (partial_folder or target.parent) / partial_name(target)
    listener = listener or (lambda _share: None)
    save, publish, remove = STEPS.get(format_.name, PLAIN_STEPS)
    try:
        listener(0.0)
        save(Encoding(work_file, partial, like, format_, options, listener))
        listener(1.0)
        publish(partial, target)
    except (OSError, *vips_errors()) as error:
        raise OutputError(_explained(output, partial.parent, error)) from error
    finally:
        remove(partial)


def partial_name(output: Path) -> str:
    """A hidden name for the unfinished result; of bounded length, and the process's own."""
    return f".{output.stem[:40]}.{os.getpid()}.partial{output.suffix}"


def _save_picture(task: Encoding) -> None:
    with _picture_to_save(task) as image:
        image.write_to_file(str(task.partial), **task.format_.saver_options(task.options))
    if task.format_.name == "PNG":
        append_texts(task.partial, metadata_of(task.like).texts)
    _flush_file(task.partial)


def _save_tiles(task: Encoding) -> None:
    arguments = task.format_.saver_options(task.options)
    arguments |= deep_zoom.saver_options(task.like, task.options)
    with _picture_to_save(task) as image:
        deep_zoom.save_tiles(image, task.partial, arguments)


def _save_array(task: Encoding) -> None:
    """A NumPy file is a header and the very bytes of a work file."""
    like = task.like
    header = {
        "descr": NUMPY_TYPES[like.dtype].str,
        "fortran_order": False,
        "shape": (*like.size, like.channels),
    }
    total = task.work_file.stat().st_size
    with WorkFile.reopen(task.work_file, like) as work:
        pixels_offset = work.pixels_offset
    with task.work_file.open("rb") as raw, task.partial.open("wb") as array:
        np.lib.format.write_array_header_1_0(array, header)
        raw.seek(pixels_offset)
        while block := raw.read(COPY_BYTES):
            array.write(block)
            task.listener(raw.tell() / total)
    _flush_file(task.partial)


def _save_zarr(task: Encoding) -> None:
    height, width = task.like.size
    with (
        WorkFile.reopen(task.work_file, task.like) as work,
        ZarrCanvas(task.partial, task.like, if_interrupted=IfInterrupted.DISCARD) as canvas,
    ):
        for top in range(0, height, canvas.edge):
            band = Rectangle(top, 0, min(top + canvas.edge, height), width)
            canvas.write(band, work.read(band))
            task.listener(band.bottom / height)


@contextlib.contextmanager
def _picture_to_save(task: Encoding) -> Generator[Any]:
    """The work file as libvips's picture, with metadata, telling the listener how far it is."""
    metadata = _stored_as(task.format_, metadata_of(task.like))
    image = _with_metadata(_open_work_file(task.work_file, task.like), metadata)
    failures = _report_progress(image, task.listener)
    try:
        yield image
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


def _stored_as(format_: Format, metadata: PictureMetadata) -> PictureMetadata:
    """Metadata in the form in which libvips wants it for a format."""
    iptc = metadata.iptc
    if iptc and format_.name == "JPEG":
        return replace(metadata, iptc=wrapped_iptc(iptc))
    if iptc and format_.name == "TIFF":
        # libvips counts it in words of 4 bytes, libtiff takes the count for one of bytes; where
        # both mean words, it only ends with zeros.
        return replace(metadata, iptc=iptc + bytes(3 * len(iptc)))
    return metadata


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
        ("iptc-data", metadata.iptc),
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


def _publish_file(partial: Path, output: Path) -> None:
    partial.replace(output)


def _remove_file(partial: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()


def _explained(output: Path, folder: Path, error: Exception) -> str:
    full = shutil.disk_usage(folder).free < FULL_DISK_BYTES
    hint = f"; the disk of {folder} is full, free some of it" if full else ""
    return f"writing {output} failed ({reason(error)}){hint}"


PLAIN_STEPS = (_save_picture, _publish_file, _remove_file)
STEPS = {
    "DeepZoom": (_save_tiles, deep_zoom.publish_tiles, deep_zoom.remove_tiles),
    "NumPy": (_save_array, _publish_file, _remove_file),
    "Zarr": (_save_zarr, put_in_place, remove),
}
"""How a format is saved, published under its name, and removed where that failed."""
