"""The levels of a distributed run: contents and pictures in Zarr stores that every machine reads.

They are beside the output, ``OUT.level-N.content.zarr`` and ``OUT.level-N.picture.zarr``, and never
get their final names: the result is all that stays of a run. Contents are made here, and again by a
run that resumes; pictures are made tile by tile by the workers, and keep their finished tiles.
"""

from __future__ import annotations

import base64
import itertools
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import Change, OutputError, URSTError
from ..formats.zarr.canvas import ZarrCanvas, notes_at
from ..formats.zarr.source import ZarrPicture
from ..formats.zarr.store import Location, exists, remove, unfinished_location
from ..geometry import Rectangle, Size
from ..method.level_pictures import LevelPicture
from ..method.strokes import Below, Level
from ..tiling.settings import IfInterrupted
from .output import OvertakenError, Target, with_kept_tiles


@dataclass(frozen=True)
class SharedLevel:
    """A level as workers get it: they open the pictures that it refines themselves.

    Attributes:
        level: without the level below.
        content_below, picture_below: stores of the level below; None for the coarsest.
    """

    level: Level
    content_below: Location | None = None
    picture_below: Location | None = None

    def open(self) -> Level:
        """The level with the one below, on the machine that calls.

        Raises:
            ImageError: a store cannot be read here.
        """
        if self.content_below is None or self.picture_below is None:
            return self.level
        content, picture = (
            ZarrPicture(store, unfinished=True)
            for store in (self.content_below, self.picture_below)
        )
        return replace(self.level, below=Below(content, picture))

    def identity(self) -> dict[str, str]:
        """What decides a level's pixels beside its content and the statistics."""
        level = self.level
        height, width = level.size
        return {
            "level": f"{level.number}, {width} x {height} px",
            "detail": repr(level.detail),
            "brushwork": repr(level.brushwork),
            "seed": str(level.seed),
        }


class ContentStore:
    """The content of a level below the picture, written here and read by everyone."""

    def __init__(self, location: Location, like: LevelPicture) -> None:
        discard = IfInterrupted.DISCARD
        self._canvas = ZarrCanvas(location, like, if_interrupted=discard, pyramid=False)
        self.location = self._canvas.working_location
        self._picture = ZarrPicture(self.location, unfinished=True)

    @property
    def size(self) -> Size:
        return self._picture.size

    @property
    def channels(self) -> int:
        return self._picture.channels

    @property
    def dtype(self) -> torch.dtype:
        return self._picture.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        return self._picture.read(rectangle)

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        self._canvas.write(rectangle, pixels)


@dataclass(frozen=True)
class LevelStores:
    """Names of the stores of a run's levels.

    Attributes:
        store: of the result's tiles.
        count: of the levels below the result.
    """

    store: Location
    count: int

    def content(self, number: int) -> Location:
        return self._named(f"level-{number}.content.zarr")

    def picture(self, number: int) -> Location:
        return self._named(f"level-{number}.picture.zarr")

    def begun(self) -> list[Location]:
        """The pictures that have finished tiles, the coarsest first."""
        pictures = [self.picture(number) for number in range(self.count)]
        return [unfinished_location(p) for p in itertools.takewhile(has_finished_tiles, pictures)]

    def drop(self, *, pictures: bool) -> None:
        """Delete the contents, and the pictures too where they are not wanted any more."""
        for number in range(self.count):
            names = [self.content(number), *([self.picture(number)] if pictures else [])]
            for name in names:
                if exists(unfinished_location(name)):
                    remove(unfinished_location(name))

    def _named(self, ending: str) -> Location:
        if isinstance(self.store, Path):
            return self.store.with_name(f"{self.store.name}.{ending}")
        return f"{self.store.rstrip('/')}.{ending}"


def has_finished_tiles(store: Location) -> bool:
    """Whether an unfinished store has any, by the notes of its driver; a damaged note counts."""
    done = notes_at(store).get("done")
    try:
        return done is not None and any(zlib.decompress(base64.b64decode(done)))
    except (TypeError, ValueError, zlib.error):
        return True


@contextmanager
def kept_levels(
    stores: LevelStores,
    output: Location,
    if_interrupted: IfInterrupted,
    target: Target | None = None,
) -> Generator[None, None, None]:
    """Delete the stores of the levels at the end; on errors keep finished tiles.

    Args:
        stores: of the levels.
        output: of the run, for messages.
        if_interrupted: what to do with those of an earlier run.
        target: of the result; where it keeps tiles itself, its message says so.

    Raises:
        OutputError: an earlier run left such tiles, and it was not said what to do with them.
    """
    if if_interrupted is IfInterrupted.REFUSE and stores.begun():
        raise OutputError(
            f"an earlier run for {output} was interrupted",
            Change("if_interrupted", "resume"),
            Change("if_interrupted", "restart"),
        )
    if if_interrupted is IfInterrupted.DISCARD:
        stores.drop(pictures=True)
    try:
        yield
    except OvertakenError:
        raise  # they are another driver's
    except BaseException as error:
        begun = stores.begun()
        stores.drop(pictures=not begun)
        canvas = target.canvas if target else None
        is_last = canvas is not None and canvas.keep_on_error
        if begun and not is_last and isinstance(error, URSTError):
            kept = f"the finished tiles of smaller sizes are kept in {begun[-1]}"
            raise with_kept_tiles(error, kept) from error
        raise
    stores.drop(pictures=True)
