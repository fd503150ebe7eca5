"""Zarr stores as canvases: OME-Zarr images with a pyramid, written by one process or by many."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from torch import Tensor

from ...errors import Change, ImageError, OutputError
from ...geometry import Rectangle, cut
from ...pictures.metadata import metadata_of
from ...pictures.source import Raster
from ...tiling.settings import IfInterrupted
from ..pixel_types import NUMPY_TYPES
from ..places import check_folder, check_name, check_not_replaced, path_of
from .level import LARGEST_CHUNK, ZarrLevel, chunk_of
from .ome import BLOBS, describe, level_sizes
from .replace import check_replaceable, check_unfinished
from .store import (
    OWN_ATTRIBUTE,
    UNFINISHED,
    Location,
    exists,
    is_unfinished,
    is_zarr,
    open_node,
    own_attributes,
    remove,
    translate_errors,
    unfinished_location,
    unfinished_path,
    zarr_module,
)


class ZarrCanvas:
    """An OME-Zarr 0.5 image, written by rectangles; readers refuse it until it is complete.

    Used as a context manager: leaving the block normally adds the pyramid and finishes the store,
    leaving it by an error deletes it. Locally it is called ``NAME.unfinished`` until it is renamed;
    behind a URL it has its final name, and its attributes say that it is unfinished.

    In this process any rectangle may be written: chunks covered in part are read and rewritten,
    by one thread at a time. Other processes open a :class:`ZarrLevel` at ``working_location``,
    which takes whole chunks only.

    Args:
        location: path or URL, ending with .zarr.
        like: whose size, channels, dtype and metadata it gets.
        edge: of cores, in px, when several processes write.
        overwrite: replace a finished store.
        if_interrupted: what to do with an unfinished one; one that was resumed is kept on errors.
        pyramid: write smaller levels as well.
        name: of the picture; the location's last part if None.

    Raises:
        OutputError: the name is not valid or taken, or the store cannot be made.
    """

    def __init__(
        self,
        location: Location,
        like: Raster,
        *,
        edge: int = LARGEST_CHUNK,
        overwrite: bool = False,
        if_interrupted: IfInterrupted = IfInterrupted.REFUSE,
        pyramid: bool = True,
        name: str | None = None,
    ) -> None:
        goes_on = check_zarr_output(
            location, like, overwrite=overwrite, if_interrupted=if_interrupted
        )
        self.location = location
        self._name = name or str(location).rstrip("/").rsplit("/", 1)[-1]
        self.working_location = unfinished_location(location)
        self.edge = edge
        self.keep_on_error = goes_on
        self._overwrite = overwrite
        self._lock = Lock()
        self._pyramid_is_ours = pyramid
        self._sizes = level_sizes(like.size, chunk_of(edge)) if pyramid else [like.size]
        what = f"{location} cannot be made"
        with translate_errors(what, "choose another place, or free some space", OutputError):
            if not goes_on:
                self._create(like)
            self._group = open_node(self.working_location, "r+")
            self._levels = [
                ZarrLevel(self._group[str(number)], self.working_location)
                for number in range(len(self._sizes))
            ]

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        """Store the pixels of a rectangle.

        Raises:
            OutputError: storage is full or out of reach.
        """
        with self._lock:
            self._levels[0].write_anywhere(rectangle, pixels)

    def note(self, notes: Mapping[str, Any]) -> None:
        """Store notes for a run that resumes this store; removed when it is finished."""
        own = {**own_attributes(self._group), UNFINISHED: dict(notes)}
        with translate_errors(f"writing {self.location} failed", "check the storage", OutputError):
            self._group.attrs[OWN_ATTRIBUTE] = own

    def take_pyramid(self) -> list[list[Rectangle]]:
        """Hand the making of the pyramid over: the cores of each level above the picture."""
        work = [list(cut(Rectangle.of_size(size), self.edge)) for size in self._sizes[1:]]
        self._pyramid_is_ours = False
        return work

    def finish(self) -> None:
        """Mark the store as complete, and give it its name.

        Raises:
            OutputError: it cannot be.
        """
        if isinstance(self.location, Path) and exists(self.location):
            if not self._overwrite:
                raise OutputError(
                    f"{self.location} exists", "choose another name", Change("overwrite", True)
                )
            check_replaceable(self.location)
        own = {k: v for k, v in own_attributes(self._group).items() if k != UNFINISHED}
        with translate_errors(
            f"finishing {self.location} failed", "check the storage", OutputError
        ):
            self._group.attrs[OWN_ATTRIBUTE] = own
            if isinstance(self.location, Path) and isinstance(self.working_location, Path):
                put_in_place(self.working_location, self.location)

    def __enter__(self) -> ZarrCanvas:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                if self._pyramid_is_ours:
                    self._add_pyramid()
                self.finish()
            except BaseException:
                if not self.keep_on_error:
                    self.drop()
                raise
        elif not self.keep_on_error:
            self.drop()

    def drop(self) -> None:
        """Delete the unfinished store.

        Raises:
            OutputError: it cannot be deleted.
        """
        remove(self.working_location)

    def _create(self, like: Raster) -> None:
        remove(self.working_location)
        own: dict[str, Any] = {UNFINISHED: {}}
        metadata = metadata_of(like)
        blobs = {name: getattr(metadata, name) for name in sorted(BLOBS)}
        own["metadata"] = {
            name: base64.b64encode(blob).decode("ascii") for name, blob in blobs.items() if blob
        }
        ome = describe(
            self._name,
            len(self._sizes),
            channels=like.channels,
            dtype=like.dtype,
            resolution=metadata.resolution,
        )
        attributes = {OWN_ATTRIBUTE: own, "ome": ome}
        place, zarr = str(self.working_location), zarr_module()
        group = zarr.open_group(place, mode="w-", zarr_format=3, attributes=attributes)
        chunk = chunk_of(self.edge)
        for number, size in enumerate(self._sizes):
            group.create_array(
                str(number),
                shape=(like.channels, *size),
                chunks=(like.channels, chunk, chunk),
                dtype=NUMPY_TYPES[like.dtype].name,
                dimension_names=("c", "y", "x"),
            )

    def _add_pyramid(self) -> None:
        for number, cores in enumerate(self.take_pyramid()):
            for core in cores:
                self._levels[number].shrink_into(self._levels[number + 1], core)


def check_zarr_output(
    location: Location,
    like: Raster,
    *,
    overwrite: bool = False,
    if_interrupted: IfInterrupted = IfInterrupted.REFUSE,
) -> bool:
    """Refuse, before any work, a store that could not be written; whether to resume one.

    Raises:
        OutputError: see the messages.
    """
    if not is_zarr(location):
        raise OutputError(f"{location} is not a valid name of a Zarr store; end it with .zarr")
    working = unfinished_location(location)
    _check_content(location, like)
    if isinstance(location, Path):
        check_name(location)
        check_folder(location.parent)
        _check_room(location, like)
        check_unfinished(unfinished_path(location))
    is_begun = exists(working) and (working != location or _is_unfinished_at(location))
    if exists(location) and not overwrite and not (is_begun and working == location):
        raise OutputError(f"{location} exists", "choose another name", Change("overwrite", True))
    if exists(location) and not (is_begun and working == location):
        check_replaceable(location)
    if is_begun and if_interrupted is IfInterrupted.REFUSE:
        raise OutputError(
            f"an earlier run for {location} was interrupted",
            Change("if_interrupted", "resume"),
            Change("if_interrupted", "restart"),
        )
    return is_begun and if_interrupted is IfInterrupted.RESUME


def notes_at(location: Location) -> Mapping[str, Any]:
    """What :meth:`ZarrCanvas.note` left in an unfinished store; nothing where there is none."""
    try:
        return own_attributes(open_node(unfinished_location(location))).get(UNFINISHED, {})
    except ImageError:
        return {}


def _is_unfinished_at(location: Location) -> bool:
    try:
        return is_unfinished(open_node(location))
    except ImageError:
        return False


def _check_content(location: Location, like: Raster) -> None:
    """Refuse a store in whose place the content is, or is a part of."""
    if isinstance(location, Path):
        check_not_replaced(location, [location], "content", path_of(like))
        return
    content = getattr(like, "location", None)
    if isinstance(content, str) and f"{content}/".startswith(f"{location.rstrip('/')}/"):
        itself = content.rstrip("/") == location.rstrip("/")
        rule = "is the content itself" if itself else f"would replace the content {content}"
        raise OutputError(f"output {location} {rule}", "choose another name")


def _check_room(location: Path, like: Raster) -> None:
    folder = location.parent
    # The pyramid adds a third.
    needed = like.size[0] * like.size[1] * like.channels * like.dtype.itemsize * 4 // 3
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{location} may take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in {folder}; "
            "free some or choose another folder"
        )


def put_in_place(finished: Path, place: Path) -> None:
    """Rename a folder; an earlier one of that name is removed only afterward."""
    if not place.exists():
        finished.rename(place)
        return
    aside = place.with_name(f"{place.name}.replaced")
    place.rename(aside)
    finished.rename(place)
    remove(aside)
