"""Runs from file to file, of pictures and videos: names of results, resuming, styles as files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import folder_paths
import torch
from comfy_api.latest import io

from ..urst_core.formats.output_options import OutputOptions
from ..urst_core.pictures.source import TensorSource, read_bands
from ..urst_core.tiling.settings import IfInterrupted
from . import folders
from .convert import StoredPicture

if TYPE_CHECKING:
    from ..urst_core.geometry import Size
    from ..urst_core.networks.style import StyleCode
    from .sockets import LoadedBackbone


class ResumableRun(Protocol):
    """A run of the engine that keeps finished work if it is interrupted."""

    def can_resume(self) -> bool: ...

    def discard_interrupted(self) -> None: ...


AnyRun = TypeVar("AnyRun", bound=ResumableRun)


def output_name_input(default: str) -> io.Input:
    """Beginning of the result's name."""
    return io.String.Input(
        "output_name",
        default=default,
        tooltip="Beginning of the result's name in ComfyUI's output folder, with / "
        "between folders; a number and the format's extension follow. Replaced are "
        "%year%, %month%, %day%, %hour%, %minute%, %second%, %width%, %height%, "
        "%date:yyyy-MM-dd%, and widgets, as in %Load Backbone.backbone%.",
    )


def resume_input(kind: str) -> io.Input:
    """Whether interrupted runs are resumed, for a content called ``picture`` or ``video``."""
    return io.Boolean.Input(
        "resume",
        default=True,
        label_on="auto",
        label_off="start over",
        tooltip="auto: an earlier run of this name that was cancelled or crashed is "
        f"resumed if {kind} and settings are the same; otherwise a new file is "
        "started. start over: such runs are discarded.",
    )


def overwrite_input() -> io.Input:
    return io.Boolean.Input(
        "overwrite",
        default=False,
        tooltip="On: the name gets no number, and an existing file of that name is replaced.",
    )


def output_paths(name: str, ending: str, size: Size, *, overwrite: bool) -> list[Path]:
    """Files of interrupted runs that may be resumed, then the file for a new run.

    Args:
        name: beginning of the name in ComfyUI's output folder.
        ending: of the format.
        size: (height, width) of the content, in px.
        overwrite: whether the file gets exactly that name.
    """
    numbered = folders.numbered_output(name, size)
    if overwrite:
        return [numbered.folder / f"{numbered.name}{ending}"]
    return [*numbered.interrupted(ending), numbered.path(ending)]


def choose_run(runs: Sequence[AnyRun], *, resume: bool) -> tuple[AnyRun, IfInterrupted]:
    """The interrupted run to resume, or else the last one, which is new."""
    for run in runs if resume else ():
        if run.can_resume():
            return run, IfInterrupted.RESUME
    if not resume:
        for run in runs[:-1]:
            run.discard_interrupted()
    return runs[-1], IfInterrupted.DISCARD


@contextmanager
def style_files(
    styles: Sequence[TensorSource | str | StyleCode], backbone: LoadedBackbone
) -> Iterator[list[str]]:
    """Styles as a file run takes them: names, or temporary files (pictures of 16 bits)."""
    name = backbone.backbone.traits.name
    temporary = Path(folder_paths.get_temp_directory())
    temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=temporary, ignore_cleanup_errors=True) as folder:
        yield [
            style if isinstance(style, str) else _save_style(style, Path(folder) / str(index), name)
            for index, style in enumerate(styles)
        ]


def _save_style(style: TensorSource | StyleCode, path: Path, backbone_name: str) -> str:
    from ..urst_core.formats.open import ImageFileCanvas
    from ..urst_core.networks.saved_style import ENDING, SavedStyle
    from ..urst_core.pictures.metadata import PictureMetadata

    if not isinstance(style, TensorSource):
        path = path.with_suffix(ENDING)
        SavedStyle(style, backbone_name).save(path)
        return str(path)
    path = path.with_suffix(".tif")
    # Without alpha, as in Stylize Image.
    colors = style.pixels[:3].permute(1, 2, 0)
    picture = StoredPicture(colors, torch.uint16, PictureMetadata())
    with ImageFileCanvas(path, picture, OutputOptions(compression="none")) as canvas:
        for band, pixels in read_bands(picture, "styles"):
            canvas.write(band, pixels)
    return str(path)
