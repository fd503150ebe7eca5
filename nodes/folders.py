"""ComfyUI's own folders: pictures are read and written only inside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths

from ..urst_core.errors import ImageError, OutputError
from ..urst_core.geometry import Size


def picture_choices() -> list[str]:
    """Names of the pictures in ComfyUI's input folder; empty if it cannot be read."""
    folder = folder_paths.get_input_directory()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        # An error while ComfyUI collects schemas would disable other nodes, too.
        return []
    return sorted(folder_paths.filter_files_content_types(names, ["image"]))


def picture_path(choice: str) -> Path:
    """The file of a choice, which may end in ``[input]``, ``[output]`` or ``[temp]``.

    Raises:
        ImageError: the file is missing, or outside the folder.
    """
    name, folder = folder_paths.annotated_filepath(choice)
    base = Path(folder or folder_paths.get_input_directory())
    path = _inside(base, name)
    if path is None:
        raise ImageError(
            f"picture {choice!r} is outside the folder {base}; "
            "put the file itself there, and give its name"
        )
    if not path.is_file():
        raise ImageError(f"picture {choice!r} is not in the folder {base}; put the file there")
    return path


def complaint_about(choice: str | None) -> bool | str:
    """Validate a choice as ComfyUI asks nodes to: True, or an error message."""
    try:
        # None if the choice comes from another node, which has not run yet.
        if choice is not None:
            picture_path(choice)
    except ImageError as error:
        return str(error)
    return True


def fingerprint(path: Path) -> str:
    """A text that changes when the file does."""
    status = path.stat()
    return f"{path}:{status.st_mtime_ns}:{status.st_size}"


def output_path(name: str, endings: Sequence[str]) -> Path:
    """Path of an output file in ComfyUI's output folder; its folder is created.

    Args:
        name: with ``/`` between folders, with or without an extension.
        endings: extensions of its format, with the dot; the first is added if the name has none.

    Raises:
        OutputError: the name is empty, or leads out of the output folder.
    """
    base = Path(folder_paths.get_output_directory())
    if not name.strip() or name.endswith(("/", os.sep)):
        raise OutputError(
            f"output name {name!r} has no file name; give one, for example urst/painted"
        )
    path = _inside(base, name if name.lower().endswith(tuple(endings)) else name + endings[0])
    if path is None or _inside(base, name) is None:
        raise _outside(name, base)
    _make_folder(path.parent)
    return path


def numbered_output(prefix: str, size: Size) -> tuple[Path, str, int]:
    """Folder, name and number of files with a prefix, numbered like ComfyUI's own nodes do.

    Args:
        prefix: with ``/`` between folders; ``%year%``, ``%width%`` and the like are replaced.
        size: (height, width), in px, of the pictures.

    Returns:
        The folder, the beginning of the file names, and the first free number.

    Raises:
        OutputError: the prefix leads out of the output folder.
    """
    base = Path(folder_paths.get_output_directory())
    if _inside(base, prefix) is None:
        raise _outside(prefix, base)
    height, width = size
    folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
        prefix, str(base), width, height
    )
    # Again, since the replaced parts may name another folder.
    if _inside(base, subfolder) is None:
        raise _outside(prefix, base)
    return Path(folder), name, number


def _outside(name: str, base: Path) -> OutputError:
    return OutputError(
        f"output {name!r} is outside the folder {base}; give a name inside it, without '..'"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be created ({error}); choose another") from error


def _inside(base: Path, name: str) -> Path | None:
    """Path of a name below a folder; None if it leads out of the folder, also by links."""
    relative = Path(name)
    if relative.anchor or ".." in relative.parts:
        return None
    try:
        target = (base / relative).resolve()
        return base / relative if target.is_relative_to(base.resolve()) else None
    except (OSError, ValueError, RuntimeError):
        # Circular links, or characters that are not allowed in paths.
        return None
