"""Zarr stores: their locations, whether they are finished, and the meaning of their errors.

A location is a local path or a URL that fsspec supports (``s3://…``, ``memory://…``). A store that
is being made says so in its root's attributes, and locally has another name until it is done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import ImageError, Install, OutputError, URSTError, first_line

Location = Path | str
"""A local path, or a URL as text."""

ZARR_ENDING = ".zarr"

OWN_ATTRIBUTE = "urst"
"""Name of the root's attribute that holds what OME-Zarr has no place for."""

UNFINISHED = "incomplete"
"""Key in our attribute, there while a store is being made."""


def parse_location(text: str | Path) -> Location:
    """A path for local files (``file://`` too), the text itself for other URLs."""
    if isinstance(text, Path) or "://" not in text:
        return Path(text)
    parts = urlsplit(text)
    if parts.scheme != "file":
        return text
    path = unquote(parts.path)
    # file:///C:/pictures
    return Path(path.removeprefix("/") if os.name == "nt" else path)


def is_zarr(location: Location) -> bool:
    """Whether a name asks for Zarr: it ends with .zarr (.ome.zarr does too)."""
    return str(location).rstrip("/").lower().endswith(ZARR_ENDING)


def zarr_module() -> Any:
    """The zarr package, version 3.

    Raises:
        ImageError: it is not installed, or older.
    """
    try:
        import zarr  # noqa: PLC0415 - optional, and not needed for image files
    except ImportError as error:
        raise ImageError(
            f"Zarr pictures need zarr, which did not load ({error})", Install('"zarr>=3"')
        ) from error
    if int(zarr.__version__.split(".")[0]) < 3:
        raise ImageError(
            f"zarr {zarr.__version__} is too old for Zarr pictures",
            Install('"zarr>=3"', how="with Python 3.11 or newer,"),
        )
    return zarr


@contextmanager
def translate_errors(
    what: str, remedy: str, kind: type[URSTError] = ImageError
) -> Generator[None, None, None]:
    """Turn whatever a store's reading or writing raises into one of our errors.

    Every kind of storage raises errors of its own (of botocore, aiohttp, a codec …), which have no
    common base below Exception.

    Raises:
        URSTError: of ``kind``.
    """
    try:
        yield
    except (URSTError, MemoryError):
        raise
    except Exception as error:
        raise kind(f"{what} ({first_line(error)}); {remedy}") from error


def open_node(location: Location, mode: str = "r") -> Any:
    """The array or group at a location.

    Raises:
        ImageError: there is none, or its storage cannot be reached.
    """
    zarr = zarr_module()
    with translate_errors(
        f"picture {location} cannot be read as Zarr", "check the path, the network and the rights"
    ):
        return zarr.open(str(location), mode=mode)


def own_attributes(node: Any) -> Mapping[str, Any]:
    """What this project noted in a store's root; empty in other people's."""
    attributes = node.attrs.get(OWN_ATTRIBUTE)
    return attributes if isinstance(attributes, dict) else {}


def is_unfinished(node: Any) -> bool:
    return UNFINISHED in own_attributes(node)


def unfinished_location(location: Location) -> Location:
    """The location of a store while it is made: beside its final one locally, the same elsewhere.

    A folder is renamed at the end in one step; objects behind a URL cannot be.
    """
    return location if isinstance(location, str) else unfinished_path(location)


def unfinished_path(path: Path) -> Path:
    """Where a local store is while it is made."""
    return path.with_name(f"{path.name}.unfinished")


def exists(location: Location) -> bool:
    """Whether anything exists at a location.

    Raises:
        OutputError: the storage cannot be reached.
    """
    if isinstance(location, Path):
        return location.exists()
    with translate_errors(
        f"{location} cannot be reached", "check the URL and the rights", OutputError
    ):
        system, path = _file_system(location)
        return bool(system.exists(path))


def remove(location: Location) -> None:
    """Delete a store and all that is in it; one that is not there is fine.

    Raises:
        OutputError: it cannot be deleted.
    """
    with translate_errors(f"{location} cannot be deleted", "delete it by hand", OutputError):
        if not exists(location):
            return
        if isinstance(location, Path):
            is_folder = location.is_dir() and not location.is_symlink()
            shutil.rmtree(location) if is_folder else location.unlink()
            return
        system, path = _file_system(location)
        system.rm(path, recursive=True)


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # noqa: PLC0415 - optional

    return url_to_fs(url)
