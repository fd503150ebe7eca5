"""ComfyUI's own folders: pictures are read and written inside them, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths

from ..urst_core.errors import ImageError, OutputError
from ..urst_core.geometry import Size


def picture_choices() -> list[str]:
    """Names of the pictures in ComfyUI's input folder; none where it cannot be read."""
    folder = folder_paths.get_input_directory()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        # Raised while a schema is asked for, it would take other nodes along.
        return []
    return sorted(folder_paths.filter_files_content_types(names, ["image"]))


def picture_path(choice: str) -> Path:
    """The file of a choice, which may end in ``[input]``, ``[output]`` or ``[temp]``.

    Raises:
        ImageError: it is not there, or outside of the folder.
    """
    name, folder = folder_paths.annotated_filepath(choice)
    base = Path(folder or folder_paths.get_input_directory())
    path = _inside(base, name)
    if path is None:
        raise ImageError(
            f"picture {choice!r} leads out of the folder {base}; "
            "put the file itself there, and give its name"
        )
    if not path.is_file():
        raise ImageError(f"picture {choice!r} is not in the folder {base}; put the file there")
    return path


def complaint_about(choice: str | None) -> bool | str:
    """What ComfyUI wants of a node that looks at a choice itself: True, or what is wrong."""
    try:
        # None where the choice comes from another node, which has not run yet.
        if choice is not None:
            picture_path(choice)
    except ImageError as error:
        return str(error)
    return True


def fingerprint(path: Path) -> str:
    """Changes when the file on disk does."""
    status = path.stat()
    return f"{path}:{status.st_mtime_ns}:{status.st_size}"


def output_path(name: str, endings: Sequence[str]) -> Path:
    """The file of a name in ComfyUI's output folder; makes the folder that it lies in.

    Args:
        name: with ``/`` between folders, with or without an ending.
        endings: of its format, with the dot; the first is added where the name has none of them.

    Raises:
        OutputError: the name is empty, or outside of the output folder.
    """
    base = Path(folder_paths.get_output_directory())
    if not name.strip() or name.endswith(("/", os.sep)):
        raise OutputError(f"output name {name!r} names no file; give one, as urst/painted")
    path = _inside(base, name if name.lower().endswith(tuple(endings)) else name + endings[0])
    if path is None or _inside(base, name) is None:
        raise _outside(name, base)
    _make_folder(path.parent)
    return path


def numbered_output(prefix: str, size: Size) -> tuple[Path, str, int]:
    """Where files with a prefix go, as ComfyUI's own nodes number them.

    Args:
        prefix: with ``/`` between folders; ``%year%``, ``%width%`` and the like are replaced.
        size: (height, width), in px, of the pictures.

    Returns:
        The folder, the beginning of the file names, and the first number that is free.

    Raises:
        OutputError: the prefix is outside of the output folder.
    """
    base = Path(folder_paths.get_output_directory())
    if _inside(base, prefix) is None:
        raise _outside(prefix, base)
    height, width = size
    folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
        prefix, str(base), width, height
    )
    # Again: what was replaced may name another folder.
    if _inside(base, subfolder) is None:
        raise _outside(prefix, base)
    return Path(folder), name, number


def _outside(name: str, base: Path) -> OutputError:
    return OutputError(
        f"output {name!r} leads out of the folder {base}; give a name inside it, without '..'"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be made ({error}); choose another") from error


def _inside(base: Path, name: str) -> Path | None:
    """A path below a folder; None where the name leads out of it, by itself or by links."""
    relative = Path(name)
    if relative.anchor or ".." in relative.parts:
        return None
    try:
        target = (base / relative).resolve()
        return base / relative if target.is_relative_to(base.resolve()) else None
    except (OSError, ValueError, RuntimeError):
        # Links in a circle, or characters that no path can have.
        return None
