"""Previews of interrupted runs: what is finished is shown before the run resumes."""

from __future__ import annotations

from collections.abc import Sequence

from ..geometry import Size
from ..method.level_pictures import level_pictures
from ..pictures.preview import LayeredPreview, Preview, SampledPreview
from ..pictures.source import Raster, Source
from .journal import finished_cores
from .work_folder import LevelFiles, WorkFolder


def add_finished_cores(
    preview: Preview | SampledPreview | LayeredPreview,
    folder: WorkFolder,
    content: Source,
    sizes: Sequence[Size] = (),
) -> None:
    """Add the finished cores of an interrupted run to a preview, before the run resumes.

    Args:
        preview: still empty, of the content's size.
        folder: work folder of the run.
        content: the picture that is stylized.
        sizes: sizes of all levels, the coarsest first; only a layered preview shows several.

    Raises:
        OutputError: the run's files cannot be read, or belong to another picture.
    """
    if isinstance(preview, LayeredPreview):
        for number, like in enumerate(level_pictures(sizes)):
            files = folder.level(number)
            if files.journal.is_file():
                _add_cores(preview, files, like)
    _add_cores(preview, folder.last_level(), content)


def _add_cores(
    preview: Preview | SampledPreview | LayeredPreview,
    files: LevelFiles,
    like: Raster,
) -> None:
    with files.open_pixels(like) as pixels:
        for core in finished_cores(files.journal):
            inside = core.clipped(like.size)
            if not inside.area:
                continue
            if isinstance(preview, LayeredPreview):
                preview.add(inside, pixels.read(inside), like.size)
            else:
                preview.add(inside, pixels.read(inside))
