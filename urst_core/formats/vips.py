"""libvips, loaded on use, with a way to release what it caches."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from ..errors import ImageError, Install

FULL_DISK_BYTES = 16_000_000
"""Where a failure finds less than this free, the disk is what failed."""


_CACHE_LOCK = Lock()


def vips() -> Any:
    """libvips's Python module.

    Raises:
        ImageError: it is not installed.
    """
    try:
        import pyvips  # noqa: PLC0415 - heavy, and not needed for pictures in memory
    except (ImportError, OSError) as error:
        raise ImageError(
            f"image files need libvips, which did not load ({error})", Install('"pyvips[binary]"')
        ) from error
    return pyvips


def vips_errors() -> tuple[type[Exception], ...]:
    """What libvips raises; nothing where it is not installed."""
    try:
        return (vips().Error,)
    except ImageError:
        return ()


def can_save(ending: str, arguments: Mapping[str, Any]) -> bool:
    """Whether this build of libvips writes such files: it may lack encoders."""
    try:
        vips().Image.black(16, 16, bands=3).write_to_buffer(ending, **arguments)
    except vips().Error:
        return False
    return True


def forget_pictures() -> None:
    """Empty libvips's cache of operations.

    Else the last hundred keep their files open, which Windows does not rename or remove, their
    decoded pixels in memory, and those of removed files on the disk.
    """
    with _CACHE_LOCK:
        most = vips().cache_get_max()
        vips().cache_set_max(0)
        vips().cache_set_max(most)
