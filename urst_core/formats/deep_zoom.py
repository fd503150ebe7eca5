"""DeepZoom: a picture as a pyramid of small tiles, for viewers in web browsers.

A result is two things, ``NAME.dzi`` and the folder ``NAME_files``. They are made in a folder of
their own and then renamed, the ``.dzi``, which viewers read first, last of all.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..pictures.source import FULL_SCALE, Source
from .output_options import DEFAULT_QUALITY, OutputOptions

NAME = "picture"
"""What is made is called by it until it is complete."""

OVERLAP = 1
"""Pixels that tiles share with each neighbor: viewers scale tiles one by one."""


def tiles_folder(path: Path) -> Path:
    """Where the tiles of a ``.dzi`` file lie."""
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


def saver_options(picture: Source, options: OutputOptions) -> dict[str, Any]:
    """What libvips's saver takes beside sizes: the tiles' format."""
    plain = picture.channels == 3 and FULL_SCALE.get(picture.dtype) == 255
    tile_format = options.tile_format or ("jpeg" if plain else "png")
    quality = options.quality or DEFAULT_QUALITY
    suffix = f".jpg[Q={quality}]" if tile_format == "jpeg" else ".png"
    # Metadata of the whole in each of thousands of tiles: the profile only, which colors need.
    return {"suffix": suffix, "overlap": OVERLAP, "keep": "icc"}


def save_tiles(image: Any, partial: Path, arguments: Mapping[str, Any]) -> None:
    """Make the tiles and their ``.dzi`` inside the folder ``partial``."""
    remove_tiles(partial)
    partial.mkdir()
    image.dzsave(str(partial / NAME), **arguments)
    # A list of what libvips knows about the work file.
    (partial / f"{NAME}_files" / "vips-properties.xml").unlink(missing_ok=True)


def publish_tiles(partial: Path, output: Path) -> None:
    """Give what ``save_tiles`` made its names; what was there goes only when that succeeded."""
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


def remove_tiles(partial: Path) -> None:
    """Remove what an encoding left."""
    shutil.rmtree(partial, ignore_errors=True)
