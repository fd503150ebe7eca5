"""Where results go: names that can be, folders that can be written to, inputs that must stay."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import OutputError
from ..pictures.source import Raster


def check_name(path: Path) -> None:
    """Refuse a name that libraries and systems cannot take.

    Raises:
        OutputError: it contains a NUL, or bytes that are not Unicode.
    """
    text, rule = str(path), None
    if "\0" in text:
        rule = "a NUL"
    else:
        try:
            text.encode()
        except UnicodeEncodeError:
            rule = "bytes that are not Unicode"
    if rule is not None:
        raise OutputError(f"{text!r} has {rule} in its name", "choose another name")


def check_folder(folder: Path) -> None:
    """Refuse a folder in which nothing can be made.

    Raises:
        OutputError: it does not exist or is not writable.
    """
    if not folder.is_dir():
        raise OutputError(f"folder {folder} does not exist", "create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"folder {folder} is not writable", "choose another")


def check_not_replaced(
    output: Path, replaced: Iterable[Path], kind: str, path: Path | None
) -> None:
    """Refuse a result that would replace a picture it is made from, or a folder around it.

    Args:
        output: as the user calls it.
        replaced: the files and folders that the result takes the place of.
        kind: of the picture: content, style, mask.
        path: of the picture; None passes, and so does what does not exist.

    Raises:
        OutputError: it would.
    """
    if path is None or not path.exists():
        return
    real = Path(os.path.realpath(path))
    for place in replaced:
        with suppress(FileNotFoundError):
            if place.samefile(path):
                raise OutputError(f"output {output} is the {kind} itself", "choose another name")
        if real.is_relative_to(os.path.realpath(place)):
            raise OutputError(
                f"output {output} would replace the {kind} {path}", "choose another name"
            )


def path_of(picture: Raster) -> Path | None:
    """The file or folder that a picture is read from; None for one in memory or behind a URL."""
    path = getattr(picture, "path", None)
    return path if isinstance(path, Path) else None
