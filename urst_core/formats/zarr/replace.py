"""What a new store may replace: a store with nothing else in it, or an unfinished one of ours.

A folder that is replaced is deleted with all that is in it, so each entry has to be of a store::

    X.zarr/  zarr.json                  a group: its metadata, and folders that are nodes
             0/  zarr.json              an array: its metadata, and chunks
                 c/0/1/2                chunks are named by numbers (version 2: 0.1.2 or 0/1/2)
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from ...errors import ImageError, OutputError
from .store import Location, is_unfinished, open_node

NODE_FILES = frozenset({"zarr.json", ".zarray", ".zgroup"})
"""One of them is in each folder that is a group or an array."""

METADATA_FILES = NODE_FILES | {".zattrs", ".zmetadata"}

CHUNK_NAME = re.compile(r"c|[0-9]+(\.[0-9]+)*", re.ASCII)

PARTIAL_NAME = re.compile(r".+\.[0-9a-f]{32}\.partial", re.ASCII)
"""What zarr leaves where it was killed in the middle of a file."""


def check_replaceable(location: Location) -> None:
    """Refuse to replace anything but a Zarr store, or one that contains something else.

    Raises:
        OutputError: names the first entry that is not part of a store.
    """
    if isinstance(location, str):
        with suppress(ImageError):
            open_node(location)
            return
    is_folder = isinstance(location, Path) and location.is_dir() and not location.is_symlink()
    foreign = _foreign_in(Path(location)) if is_folder else location
    if foreign == location:
        raise OutputError(f"{location} exists and is not a Zarr store", "choose another name")
    if foreign is not None:
        raise OutputError(
            f"{location} exists, and {foreign} is not part of a Zarr store",
            "move it",
            "choose another name",
        )


def check_unfinished(place: Path) -> None:
    """Refuse a folder under the name of an unfinished store that is not one of ours.

    Raises:
        OutputError: it is something else.
    """
    if not os.path.lexists(place):
        return
    if place.is_dir() and not place.is_symlink():
        if not any(place.iterdir()):
            return
        with suppress(ImageError):
            if _foreign_in(place) is None and is_unfinished(open_node(place)):
                return
    raise OutputError(
        f"{place} exists and is not of an earlier run", "move it", "choose another name"
    )


def _foreign_in(folder: Path) -> Path | None:
    """The first entry of a group or an array that does not belong there."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    names = {entry.name for entry in entries}
    if not names & NODE_FILES:
        return folder
    is_array = ".zarray" in names
    if "zarr.json" in names:
        node_type = _node_type(folder / "zarr.json")
        if node_type is None:
            return folder / "zarr.json"
        is_array = node_type == "array"
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink():
            return path
        if entry.is_file() and (entry.name in METADATA_FILES or PARTIAL_NAME.fullmatch(entry.name)):
            continue
        if is_array:
            foreign = _foreign_chunk(path, is_folder=entry.is_dir())
        else:
            foreign = _foreign_in(path) if entry.is_dir() else path
        if foreign is not None:
            return foreign
    return None


def _foreign_chunk(path: Path, *, is_folder: bool) -> Path | None:
    """Files that are not chunks, in a chunk's place or in a folder of chunks."""
    if not CHUNK_NAME.fullmatch(path.name) and (is_folder or not PARTIAL_NAME.fullmatch(path.name)):
        return path
    if not is_folder:
        return None
    for entry in os.scandir(path):
        inside = Path(entry.path)
        if entry.is_symlink():
            return inside
        foreign = _foreign_chunk(inside, is_folder=entry.is_dir())
        if foreign is not None:
            return foreign
    return None


def _node_type(metadata: Path) -> str | None:
    try:
        described = json.loads(metadata.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    kind = described.get("node_type") if isinstance(described, dict) else None
    return kind if kind in ("array", "group") else None
