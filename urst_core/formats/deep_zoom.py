"""DeepZoom: a picture as a pyramid of small tiles, for viewers in web browsers.

A result is two things, ``NAME.dzi`` and the folder ``NAME_files``. They are made in a folder of
their own and then renamed, the ``.dzi``, which viewers read first, last of all.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..errors import OutputError
from ..pictures.metadata import metadata_of
from ..pictures.source import FULL_SCALE, Source
from .output_format import GROWTH, STORED_TILE_SIZE, Encoding, Format, tiled_bytes
from .output_options import DEFAULT_QUALITY, OutputOptions
from .vips import vips
from .vips_saver import picture_to_save
from .work_file import raw_bytes

NAME = "picture"
"""Temporary base name while the pyramid is written."""

OVERLAP = 1
"""Pixels that tiles share with each neighbor: viewers scale tiles one by one."""

CLUSTER_BYTES = 4096
"""What a small file takes at least."""

LONGEST_DESCRIPTION = 1 << 16
"""In bytes; a ``.dzi`` file has a few hundred."""

LEVEL_NAME = re.compile(r"0|[1-9][0-9]?")
TILE_NAME = re.compile(r"(0|[1-9][0-9]{0,9})_(0|[1-9][0-9]{0,9})\.([A-Za-z0-9]+)")


@dataclass(frozen=True)
class DeepZoomFormat(Format):
    """``NAME.dzi`` and ``NAME_files``."""

    def check_build(self, path: Path, options: OutputOptions) -> None:
        vips()

    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        edge = options.stored_tile_size or STORED_TILE_SIZE
        stored = tiled_bytes(like, edge, levels=True) * GROWTH
        tiles = stored / (edge * edge * raw_bytes(like) / math.prod(like.size))
        return stored + CLUSTER_BYTES * (tiles + 64)

    def replaces(self, output: Path) -> Sequence[Path]:
        return (output, tiles_folder(output))

    def check_replaced(self, output: Path) -> None:
        check_tiles_folder(output)

    def save(self, task: Encoding) -> None:
        """Make the tiles and their ``.dzi`` inside the folder ``task.partial``."""
        partial = task.partial
        partial.mkdir()
        with picture_to_save(task, metadata_of(task.like)) as image:
            image.dzsave(str(partial / NAME), **_arguments(task.like, task.options))
        # A list of what libvips says about the work file.
        (partial / f"{NAME}_files" / "vips-properties.xml").unlink(missing_ok=True)

    def publish(self, partial: Path, output: Path) -> None:
        publish_tiles(partial, output)

    def remove(self, partial: Path) -> None:
        shutil.rmtree(partial, ignore_errors=True)


def tiles_folder(path: Path) -> Path:
    """The folder with the tiles of a ``.dzi`` file."""
    return path.with_name(f"{path.stem}_files")


def check_tiles_folder(path: Path) -> None:
    """Refuse to replace a folder unless it is the pyramid that ``path`` describes, and no more.

    Web browsers, for one, save pages with a folder of such a name.

    Raises:
        OutputError: no ``.dzi`` describes it, levels are missing, or something else is in it.
    """
    folder = tiles_folder(path)
    if not os.path.lexists(folder):
        return
    pyramid = Pyramid.described_by(path)
    if pyramid is None or folder.is_symlink() or not pyramid.has_levels_in(folder):
        raise OutputError(
            f"{folder} exists, and {path} does not describe it", "move it", "choose another name"
        )
    for entry in pyramid.foreign_in(folder):
        raise OutputError(
            f"{entry} is not a tile that {path} describes", "move it", "choose another name"
        )


@dataclass(frozen=True)
class Pyramid:
    """What a ``.dzi`` file describes.

    Attributes:
        levels: columns and rows of tiles, from the level of 1 x 1 px to the whole picture.
        ending: of the tiles' names.
    """

    levels: tuple[tuple[int, int], ...]
    ending: str

    @classmethod
    def described_by(cls, path: Path) -> Pyramid | None:
        """The pyramid of a ``.dzi`` file; None where that is absent or makes no sense."""
        try:
            with path.open("rb") as file:
                image = ElementTree.fromstring(file.read(LONGEST_DESCRIPTION))
            size = next(child for child in image if child.tag.rpartition("}")[2] == "Size")
            width, height = int(size.attrib["Width"]), int(size.attrib["Height"])
            edge, ending = int(image.attrib["TileSize"]), image.attrib["Format"]
        except (OSError, ElementTree.ParseError, KeyError, ValueError, StopIteration):
            return None
        if not (0 < width < 2**31 and 0 < height < 2**31 and edge > 0 and ending.isalnum()):
            return None
        last = (max(width, height) - 1).bit_length()
        scales = [1 << (last - level) for level in range(last + 1)]
        return cls(
            tuple((-(-width // (edge * s)), -(-height // (edge * s))) for s in scales), ending
        )

    def has_levels_in(self, folder: Path) -> bool:
        return all((folder / str(number)).is_dir() for number in range(len(self.levels)))

    def foreign_in(self, folder: Path) -> Iterator[Path]:
        """Entries of the folder that are neither a level nor a tile."""
        for entry in os.scandir(folder):
            name, level = entry.name, Path(entry.path)
            is_level = LEVEL_NAME.fullmatch(name) and int(name) < len(self.levels)
            if not is_level or not entry.is_dir(follow_symlinks=False):
                yield level
                continue
            columns, rows = self.levels[int(name)]
            for tile in os.scandir(level):
                found = TILE_NAME.fullmatch(tile.name)
                if (
                    found is None
                    or int(found[1]) >= columns
                    or int(found[2]) >= rows
                    or found[3] != self.ending
                    or not tile.is_file(follow_symlinks=False)
                ):
                    yield Path(tile.path)


def publish_tiles(partial: Path, output: Path) -> None:
    """Rename tiles and ``.dzi`` to their names; earlier ones are removed only afterward."""
    old, folder = partial / "old", tiles_folder(output)
    had_tiles = folder.exists()
    if had_tiles:
        folder.replace(old)
    try:
        (partial / f"{NAME}_files").replace(folder)
        try:
            (partial / f"{NAME}.dzi").replace(output)
        except OSError:
            folder.replace(partial / f"{NAME}_files")
            raise
    except OSError:
        if had_tiles:
            old.replace(folder)
        raise


def _arguments(picture: Source, options: OutputOptions) -> dict[str, Any]:
    """What libvips's saver takes."""
    plain = picture.channels == 3 and FULL_SCALE.get(picture.dtype) == 255
    tile_format = options.tile_format or ("jpeg" if plain else "png")
    edge = options.stored_tile_size or STORED_TILE_SIZE
    quality = options.quality or DEFAULT_QUALITY
    return {
        "suffix": f".jpg[Q={quality}]" if tile_format == "jpeg" else ".png",
        "overlap": OVERLAP,
        "tile_width": edge,
        "tile_height": edge,
        # Metadata of the whole in each of thousands of tiles: the profile only, which colors need.
        "keep": "icc",
    }


DEEP_ZOOM = DeepZoomFormat(
    "DeepZoom", (".dzi",), takes=("quality", "stored_tile_size", "tile_format")
)
