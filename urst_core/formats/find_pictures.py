"""The pictures of a folder, or those that match a pattern such as ``photos/**/*.jpg``."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import Change, ImageError
from .zarr.store import is_zarr

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".heic")
"""Endings of the image files in folders."""

PICTURE_ENDINGS = (*IMAGE_ENDINGS, ".jxl", ".exr", ".npy", ".zarr")
"""Endings of what is taken from a folder; a pattern takes all files that it matches."""

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class FoundPicture:
    """A picture file.

    Attributes:
        path: the file.
        label: its name without the ending, and the folders in which it was found below the
            searched one: ``2024/lake``.
    """

    path: Path
    label: str


def is_several(place: Path) -> bool:
    """Whether a path means several pictures: a folder (not a Zarr store), or a pattern."""
    return _is_folder(place) or is_pattern(place)


def is_pattern(place: Path) -> bool:
    """Whether a path is a pattern, and not a file whose name has brackets."""
    return _MAGIC.search(str(place)) is not None and not os.path.lexists(place)


def searched_folder(place: Path) -> Path | None:
    """The folder in which pictures are searched for; None if the path means a single one."""
    if _is_folder(place):
        return place
    return _split(place)[0] if is_pattern(place) else None


def find_pictures(
    place: Path,
    *,
    recursive: bool = False,
    leave_out: Path | None = None,
    endings: tuple[str, ...] = PICTURE_ENDINGS,
) -> list[FoundPicture]:
    """Find the pictures that a path means, ordered by name. Hidden files are left out.

    Args:
        place: a file, a folder, or a pattern, in which ``**`` means any folders.
        recursive: whether to search the subfolders of a folder.
        leave_out: a folder that is not searched, such as that of the results.
        endings: of the files in a folder that are meant.

    Raises:
        ImageError: there are none.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("lake.jpg", "notes.txt", "hut.png"):
        ...     folder.joinpath(name).touch()
        >>> [picture.label for picture in find_pictures(folder)]
        ['hut', 'lake']
    """
    if is_pattern(place):
        folder, pattern = _split(place)
        names = glob.glob(pattern, root_dir=folder, recursive=True)
        paths = [folder / name for name in names if not os.path.isdir(folder / name)]
        missing = ImageError(f"no file matches {place}", "check the path")
    elif _is_folder(place):
        folder, paths = place, list(_walk(place, endings, recursive=recursive))
        missing = _no_pictures(place, recursive=recursive)
    else:
        return [FoundPicture(place, place.stem)]
    if leave_out is not None and os.path.realpath(leave_out) != os.path.realpath(folder):
        outside = os.path.realpath(leave_out)
        paths = [path for path in paths if not Path(os.path.realpath(path)).is_relative_to(outside)]
    if not paths:
        raise missing
    return [FoundPicture(path, _label(path, folder)) for path in sorted(set(paths))]


def _is_folder(place: Path) -> bool:
    return os.path.isdir(place) and not is_zarr(place)


def _split(pattern: Path) -> tuple[Path, str]:
    """The folder before the first part with a wildcard, and the rest."""
    plain = 0
    while not _MAGIC.search(pattern.parts[plain]):
        plain += 1
    return Path(*pattern.parts[:plain]), str(Path(*pattern.parts[plain:]))


def _walk(folder: Path, endings: tuple[str, ...], *, recursive: bool) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        stores = [name for name in folders if is_zarr(name)]
        for name in (*files, *stores):
            if name.lower().endswith(endings) and not name.startswith("."):
                yield Path(path, name)
        is_searched = [n for n in folders if n not in stores and not n.startswith(".")]
        folders[:] = is_searched if recursive else []


def _no_pictures(folder: Path, *, recursive: bool) -> ImageError:
    remedies = [] if recursive else [Change("recursive", True)]
    return ImageError(f"folder {folder} has no pictures", "name another folder", *remedies)


def _label(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
