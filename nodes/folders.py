"""ComfyUI's own folders: pictures are read and written only inside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths

from ..urst_core.errors import ImageError, OutputError
from ..urst_core.formats.clip_endings import CLIP_ENDINGS
from ..urst_core.formats.vips import vips
from .remedies import naming_inputs

if TYPE_CHECKING:
    from ..urst_core.geometry import Size

READABLE = (
    *(".avif", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".npy", ".png", ".tif", ".tiff", ".webp"),
)
"""Endings of files that the engine reads; libvips reads no .bmp, for example."""


def picture_choices() -> list[str]:
    """Names of the pictures in ComfyUI's input folder; empty if it cannot be read."""
    return _input_files(READABLE)


def video_choices() -> list[str]:
    """Names of the videos in ComfyUI's input folder; empty if it cannot be read."""
    return _input_files(CLIP_ENDINGS)


def _input_files(endings: tuple[str, ...]) -> list[str]:
    folder = folder_paths.get_input_directory()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        # An error while ComfyUI collects schemas would disable other nodes, too.
        return []
    return sorted(name for name in names if name.lower().endswith(endings))


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
        with naming_inputs():
            # None if the choice comes from another node, which has not run yet.
            if choice is not None:
                vips()
                picture_path(choice)
    except ImageError as error:
        return str(error)
    return True


def fingerprint(path: Path) -> str:
    """A text that changes when the file does."""
    status = path.stat()
    return f"{path}:{status.st_mtime_ns}:{status.st_size}"


def check_output_prefix(prefix: str) -> Path:
    """Refuse a name of output files before any work; returns the output folder.

    Raises:
        OutputError: it is empty, or leads out of the output folder.
    """
    base = Path(folder_paths.get_output_directory())
    if not prefix.strip() or prefix.endswith(("/", os.sep)):
        raise OutputError(
            f"output name {prefix!r} has no file name; give one, for example urst/painted"
        )
    if _inside(base, prefix) is None:
        raise _outside(prefix, base)
    return base


def without_ending(name: str) -> str:
    """A name of an output without the extension of any format of pictures."""
    from ..urst_core.formats.registry import FORMATS

    for ending in (ending for format_ in FORMATS for ending in format_.endings):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


@dataclass(frozen=True)
class NumberedOutput:
    """Names of output files, numbered as ComfyUI's own nodes number theirs.

    Attributes:
        folder: the files' folder.
        name: beginning of their names.
        number: the first free number.
    """

    folder: Path
    name: str
    number: int

    def path(self, ending: str, *, later: int = 0) -> Path:
        """Path of a new file: the first free number, or one of the next ones.

        An interrupted run keeps the number of its file.
        """
        taken = max(self._interrupted_numbers(ending), default=0)
        return self._numbered(max(self.number, taken + 1) + later, ending)

    def interrupted(self, ending: str) -> list[Path]:
        """Files of interrupted runs, the latest number first."""
        numbers = sorted(self._interrupted_numbers(ending), reverse=True)
        return [self._numbered(number, ending) for number in numbers]

    def _interrupted_numbers(self, ending: str) -> list[int]:
        work_folder = re.compile(rf"\.{re.escape(self.name)}_(\d{{5,}})_{re.escape(ending)}\.urst")
        found = map(work_folder.fullmatch, os.listdir(self.folder))
        return [int(match[1]) for match in found if match]

    def _numbered(self, number: int, ending: str) -> Path:
        return self.folder / f"{self.name}_{number:05}_{ending}"


STYLE_ENDING = ".style.safetensors"


def style_path(base: Path, name: str) -> Path:
    """Path of a style file below a folder, which is created.

    Raises:
        OutputError: the name is empty, or leads out of the folder.
    """
    name = name.strip().removesuffix(STYLE_ENDING)
    if not name or name.endswith(("/", os.sep)):
        raise OutputError(f"style name {name!r} has no file name; give one, for example starry")
    path = _inside(base, name + STYLE_ENDING)
    if path is None:
        raise _outside(name, base)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {path.parent} cannot be created ({error}); choose another name"
        ) from error
    return path


def numbered_output(prefix: str, size: Size) -> NumberedOutput:
    """Number files with a prefix like ComfyUI's own nodes do; their folder is created.

    Args:
        prefix: with ``/`` between folders; ``%year%``, ``%width%`` and the like are replaced.
        size: (height, width), in px, of the pictures.

    Raises:
        OutputError: the prefix is empty, or leads out of the output folder.
    """
    base = check_output_prefix(prefix)
    height, width = size
    try:
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            prefix, str(base), width, height
        )
    except OSError as error:
        raise OutputError(
            f"the folder of output {prefix!r} cannot be created ({error}); choose another name"
        ) from error
    # Again, since the replaced parts may name another folder.
    if _inside(base, subfolder) is None:
        raise _outside(prefix, base)
    return NumberedOutput(Path(folder), name, number)


def view_of(path: Path) -> dict[str, str]:
    """A file in the output folder, as the page and its address ``/view`` name it."""
    *parents, name = path.relative_to(folder_paths.get_output_directory()).parts
    return {"filename": name, "subfolder": "/".join(parents), "type": "output"}


def _outside(name: str, base: Path) -> OutputError:
    return OutputError(
        f"output {name!r} is outside the folder {base}; give a name inside it, without '..'"
    )


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
