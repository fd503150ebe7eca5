"""The levels of a file run, each in its own work files, so that any level and tile can be resumed.

A resumed run makes contents again, which takes no longer than checking them; finished cores and
statistics are kept for every level.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from ..errors import OutputError
from ..formats.work_file import WorkFile
from ..method.level_pictures import LevelPicture, level_contents, level_pictures
from ..method.level_run import LevelPainter, level_run, make_painter
from ..method.run import Run
from ..method.strokes import Below
from ..networks.style import StyleCode
from ..pictures.source import Raster, Source
from ..progress import Listener
from ..tiling.tile_size import cheapest_edge
from .checked_pixels import CheckedPixels
from .journal import Journal
from .work_folder import LevelFiles, WorkFolder


def make_levels(
    run: Run, folder: WorkFolder, encode: Callable[[Run], StyleCode], *, largest_tile: int
) -> None:
    """Make all unfinished levels of a picture, the last one in the folder's pixels.

    Args:
        run: the run of the picture.
        folder: work folder, which has the result's work file.
        encode: encodes the styles.
        largest_tile: the largest edge of cores that fit when the run started, in px; not used
            if the settings say how large tiles are.

    Raises:
        URSTError: as in :meth:`urst_core.runs.file_run.FileRun.run`.
    """
    sizes, pixels = run.level_sizes, run.level_pixels()
    code = encode(run)
    with ExitStack() as files:

        def new_content(like: LevelPicture) -> WorkFile:
            path = folder.level(sizes.index(like.size)).content
            assert path is not None  # the last level's content is the picture
            return files.enter_context(WorkFile.create(path, like))

        contents = level_contents(run.content, sizes, new_content, pixels.listener(0))
        below: Below | None = None
        painter: LevelPainter | None = None
        for number, like in enumerate(level_pictures(sizes)):
            content, level_files = contents[number], folder.level(number)
            level = _level(run, number, content, below, pixels.listener(number), largest_tile)
            if not level_files.pixels.is_file():
                WorkFile.create(level_files.pixels, like).close()
            painter = _make_level(level, folder, level_files, like, code, painter)
            picture = files.enter_context(level_files.open_pixels(like))
            below = Below(content, picture)
        number = len(sizes) - 1
        level = _level(run, number, run.content, below, pixels.listener(number), largest_tile)
        _make_level(level, folder, folder.last_level(), run.content, code, painter)


def _level(
    run: Run,
    number: int,
    content: Source,
    below: Below | None,
    listener: Listener,
    largest_tile: int,
) -> Run:
    """The run of a level, whose tiles are the same if it is resumed."""
    level = level_run(run, number, content, below, listener)
    edge = run.settings.tile_size or cheapest_edge(
        level.frame, run.backbone.traits, most=largest_tile, margin=level.margin
    )
    return replace(level, settings=replace(level.settings, tile_size=edge))


def _make_level(
    level: Run,
    folder: WorkFolder,
    files: LevelFiles,
    like: Raster,
    code: StyleCode,
    below: LevelPainter | None,
) -> LevelPainter:
    with finishing(folder, files, like) as (pixels, journal):
        earlier = files.load_stats()
        painter = make_painter(level, code, below, earlier=earlier, keep=files.save_stats)
        if painter.stats is not earlier:
            files.save_stats(painter.stats)
        level.stylize(painter.network, pixels, ledger=journal)
    return painter


@contextmanager
def finishing(
    folder: WorkFolder, files: LevelFiles, like: Raster | Source
) -> Generator[tuple[CheckedPixels, Journal], None, None]:
    """Open a level's pixels and journal; finished cores are recorded even if the disk is full.

    Args:
        folder: its reserve is released for the last records.
        files: files of the level.
        like: has the size, channels and dtype of the pixels.
    """
    folder.take_reserve()
    with files.open_pixels(like) as file:
        pixels = CheckedPixels(file)
        journal = Journal(files.journal, pixels)
        try:
            yield pixels, journal
            journal.save()
        finally:
            folder.give_reserve()
            with suppress(OutputError):
                journal.save()
            journal.close()
