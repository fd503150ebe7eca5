"""A work file as a picture of libvips, with the metadata of the result, ready to be saved."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch

from ..pictures.metadata import PAINTING_KEYWORD, PictureMetadata
from ..pictures.source import Source
from .output_format import Encoding, EncodingListener
from .vips import forget_pictures, vips


@contextlib.contextmanager
def picture_to_save(task: Encoding, metadata: PictureMetadata) -> Generator[Any]:
    """The work file as libvips's picture, which tells the listener how much of it is saved.

    Args:
        task: the work file, and the listener.
        metadata: metadata of the result; libvips drops those that the format does not support.

    Raises:
        BaseException: the listener's exception, which ended the saving.
    """
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
    spaces = {torch.uint8: "srgb", torch.uint16: "rgb16"}
    return image.copy(interpretation=spaces.get(like.dtype, "scrgb"))


def _with_metadata(image: Any, metadata: PictureMetadata) -> Any:
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
    if PAINTING_KEYWORD in metadata.texts:
        # TIFF's ImageDescription; other formats have none.
        text = metadata.texts[PAINTING_KEYWORD]
        image.set_type(vips().GValue.gstr_type, "image-description", text)
    # Also over the one inside the EXIF block.
    image.set_type(vips().GValue.gint_type, "orientation", 1)
    if metadata.resolution and metadata.is_resolution_chosen:
        # Once more, since libvips has taken over that of the EXIF block.
        xres, yres = metadata.resolution
        return image.copy(xres=xres, yres=yres)
    return image


def _report_progress(image: Any, listener: EncodingListener) -> list[BaseException]:
    """Report libvips's progress; an exception of the listener stops it and goes into the list."""
    failures: list[BaseException] = []

    def report(running: Any, progress: Any) -> None:
        if failures:
            return
        try:
            listener(min(1.0, progress.percent / 100))
        except BaseException as error:  # raised again above
            failures.append(error)
            running.set_kill(True)

    image.set_progress(True)
    image.signal_connect("eval", report)
    return failures
