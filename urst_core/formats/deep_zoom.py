"""DeepZoom: a picture as a pyramid of small tiles, for viewers in web browsers.

A result is two things, ``NAME.dzi`` and the folder ``NAME_files``. They are made in a folder of
their own and then renamed, the ``.dzi``, which viewers read first, last of all.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        self.remove(partial)
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
    """Refuse to replace a folder that does not hold the tiles of ``path``.

    Web browsers, for one, save pages with a folder of such a name.

    Raises:
        OutputError: it is no DeepZoom folder, or no ``.dzi`` belongs with it.
    """
    folder = tiles_folder(path)
    if not folder.exists() and not folder.is_symlink():
        return
    levels = (
        folder.is_dir()
        and not folder.is_symlink()
        and all(entry.name.isdigit() or entry.suffix == ".xml" for entry in folder.iterdir())
    )
    if not levels or not path.is_file():
        raise OutputError(
            f"{folder}, where the tiles of {path} would lie, exists and is not of an earlier "
            "result; move it, or choose another name"
        )


def publish_tiles(partial: Path, output: Path) -> None:
    """Give tiles and ``.dzi`` their names; what was there goes only when that succeeded."""
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
