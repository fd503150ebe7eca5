"""A picture file as libvips opens it: carefully at first, and with an eye on the disk.

What cannot be read at random (JPEG, PNG, TIFF in strips) is unpacked as a whole when its first
pixels are read, beyond 100 MB into a temporary file.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import Change, ImageError, last_line
from .vips import FULL_DISK_BYTES, vips

LARGEST_IN_MEMORY = 100 << 20
"""In bytes: libvips unpacks larger pictures into a file."""

BYTES_OF_VALUES = {"ushort": 2, "float": 4}
"""Bytes of a value, where it is not one, by libvips's names of types."""

SUSPICIOUS_BYTES = 1 << 30
SUSPICIOUS_RATIO = 1000
"""A picture that unpacks to more than so many bytes, and to so many times its file, is confirmed
first. Photographs unpack to 3 to 50 times their files."""

NO_ROOM = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), 'unable to write to "')
"""One of them is in what libvips says when it cannot unpack."""

_SAYS_LITTLE = re.compile(r"\w+: load error|unable to write to memory|\w+: write failed")


_HANDLERS: list[Any] = []
"""Those of pictures that were unpacked: libvips may call them for as long as the process lives."""


@contextmanager
def told_of_unpacking(image: Any, tell: Callable[[float], None]) -> Generator[list[BaseException]]:
    """Tell which share of a picture is decoded, during the block.

    Args:
        image: as :func:`load` returned it.
        tell: if it raises, decoding ends with an error of libvips, and the exception is listed.
    """
    failures: list[BaseException] = []
    is_over = False

    def report(running: Any, progress: Any) -> None:
        if is_over or failures:
            return
        try:
            tell(min(1.0, progress.percent / 100))
        except BaseException as error:  # raised again by whoever asked for pixels
            failures.append(error)
            running.set_kill(True)

    image.signal_connect("eval", report)
    # pyvips keeps them with its object, libvips calls them as long as its own lives.
    _HANDLERS.append(image._handles)
    image.set_progress(True)
    try:
        yield failures
    finally:
        is_over = True
        image.set_progress(False)


def load(path: Path, *, lenient: bool = False) -> Any:
    """Open a picture as it is stored; damage causes an error when it is read.

    Args:
        path: the file.
        lenient: pass over what its decoder can live with.

    Raises:
        pyvips.Error: it is not a picture, or its beginning is damaged.
    """
    return vips().Image.new_from_file(
        str(path),
        access="random",
        fail_on="truncated" if lenient else "warning",
        # Else libvips hands out an earlier picture of that name, though replaced.
        revalidate=True,
    )


def loader_of(image: Any) -> str:
    """What decodes a picture, as in ``jpegload``; nothing for libvips's own format."""
    return image.get("vips-loader") if image.get_typeof("vips-loader") else ""


def may_be_lenient(image: Any) -> bool:
    """Whether a warning may be passed over.

    libvips only warns about missing parts of a TIFF, and leaves them black.
    """
    return loader_of(image) != "tiffload"


def temporary_bytes(image: Any) -> int:
    """What unpacking a picture takes on the disk of temporary files; 0 where that is not needed."""
    needed = _unpacked_bytes(image)
    return needed if needed > LARGEST_IN_MEMORY else 0


def _unpacked_bytes(image: Any) -> int:
    # Tiles are read one by one, and libvips's own files are mapped.
    if image.get_typeof("tile-width") or not loader_of(image):
        return 0
    return image.width * image.height * image.bands * BYTES_OF_VALUES.get(image.format, 1)


def check_expansion(path: Path, image: Any) -> None:
    """Refuse a file that unpacks to far more than pictures do.

    Raises:
        ImageError: with the sizes.
    """
    needed, stored = _unpacked_bytes(image), path.stat().st_size
    if needed > SUSPICIOUS_BYTES and needed > SUSPICIOUS_RATIO * stored:
        raise ImageError(
            f"picture {path} of {image.width} x {image.height} px unpacks from {stored / 1e6:.1f} "
            f"MB to {needed / 1e9:.1f} GB, as files do that are made to fill memory and disk",
            Change("any_size", True),
        )


def check_room(path: Path, needed: int) -> None:
    """Refuse to unpack a picture that does not fit on the disk of temporary files.

    Raises:
        ImageError: with the space needed.
    """
    folder = temporary_folder()
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ImageError(
            f"picture {path} takes {needed / 1e9:.2f} GB to be unpacked, {free / 1e9:.2f} GB are "
            f"free in {folder}",
            "free some",
            "let TMPDIR name a folder with more",
            "convert the picture to a TIFF in tiles",
        )


def temporary_folder() -> Path:
    """The folder for temporary files, that of libvips too."""
    return Path(tempfile.gettempdir())


def damage(path: Path, error: Exception) -> ImageError:
    """What a failure to read pixels means: no room to unpack them, or a damaged file."""
    folder, text = temporary_folder(), str(error)
    full = shutil.disk_usage(folder).free < FULL_DISK_BYTES
    if full or any(sign in text for sign in NO_ROOM):
        return ImageError(
            f"picture {path} cannot be unpacked in {folder} ({cause(error)})",
            "free some space there",
            "let TMPDIR name another folder",
        )
    return ImageError(f"picture {path} is damaged or truncated ({cause(error)})", "get it again")


def cause(error: Exception) -> str:
    """The line of libvips's many that says most."""
    lines = [line.strip().removeprefix("system error: ") for line in str(error).splitlines()]
    telling = [line for line in lines if line and not _SAYS_LITTLE.fullmatch(line)]
    for line, why in pairwise(telling):
        if NO_ROOM[-1] in line:
            return f"{line}: {why}"
    return telling[-1] if telling else last_line(error)
