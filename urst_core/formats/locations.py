"""Pictures wherever they lie: files, Zarr stores, URLs."""

from __future__ import annotations

from pathlib import Path

from ..pictures.source import Source
from .open import open_picture
from .zarr.source import ZarrPicture
from .zarr.store import ZARR_ENDING, Location

ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them lies in every folder that is a Zarr store."""


def open_location(location: Location, *, flatten: bool = False) -> Source:
    """A picture file, or a Zarr store where the name or the folder says so; URLs are Zarr only.

    Raises:
        ImageError: it is missing, or of a kind that cannot be used.
    """
    if isinstance(location, Path) and not (
        any(part.endswith(ZARR_ENDING) for part in location.parts)
        or any((location / name).is_file() for name in ZARR_FILES)
    ):
        return open_picture(location, flatten=flatten)
    return ZarrPicture(location, flatten=flatten)
