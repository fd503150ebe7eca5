"""``urst stylize`` with a folder for its results: every picture in every style."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType

from ..cluster.pictures import OnMachines
from ..errors import OutputError, SettingsError, URSTError
from ..formats.find_pictures import (
    PICTURE_ENDINGS,
    FoundPicture,
    find_pictures,
    is_several,
    searched_folder,
)
from ..formats.registry import has_known_ending
from ..networks.model import Backbone
from ..progress import Progress
from ..runs.file_run import FileRun
from ..runs.job import Job, JobOutcome
from ..runs.painters import AtOnce, InTurn, Painter
from ..runs.paintings import DEFAULT_NAME, Painting, StyleChoice, pair_up
from .bars import Bar, ProgressBar, warn_above_bar
from .console import say, warn
from .options import if_interrupted_of, mask_of, settings_of
from .remedies import error_words
from .signals import StopSignals

STYLE_ENDINGS = (*PICTURE_ENDINGS, ".style.safetensors")
"""Endings of the files in a folder of styles."""

JOB_FORMAT = "{desc} |{bar:30}| {n_fmt}/{total_fmt}{postfix}, {remaining} left"


def add_job_arguments(command: argparse.ArgumentParser) -> None:
    """Add ``--name``, ``--recursive`` and ``--jobs``."""
    add = command.add_argument_group("if OUT is a folder").add_argument
    add(
        "--name",
        default=DEFAULT_NAME,
        metavar="NAME",
        help="name of each result, with {content} and {style}; without an ending, results are "
        "stored in the format of their CONTENT (default: %(default)s)",
    )
    add("--recursive", action="store_true", help="also paint the pictures in subfolders")
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="most pictures to paint at once, as far as they fit in memory (default: %(default)s)",
    )


def is_job(options: argparse.Namespace) -> bool:
    """Whether pictures are to be painted into a folder: it exists, or its name has no ending."""
    content, output = options.content, options.output
    if not isinstance(content, Path) or not isinstance(output, Path):
        return False
    pictures = [content, *map(Path, options.styles)]
    return is_several(output) or not output.suffix or any(map(is_several, pictures))


def run_job(
    options: argparse.Namespace, backbone: Backbone, run_of: Callable[[Painting], FileRun]
) -> None:
    """Paint every picture in every style, with a bar for all and one for each.

    Args:
        options: of ``urst stylize``.
        backbone: the network.
        run_of: makes the run of one picture.

    Raises:
        URSTError: the job cannot begin, or some pictures could not be painted.
    """
    started = time.monotonic()
    folder: Path = options.output
    _check(options, backbone)
    contents = find_pictures(options.content, recursive=options.recursive, leave_out=folder)
    paintings = pair_up(contents, styles_of(options, backbone), folder, options.name)
    job = Job(
        paintings,
        folder,
        run_of,
        if_interrupted_of(options),
        options.overwrite,
        _painter_of(options),
    )
    with JobBars(len(paintings), options.stop, quiet=options.quiet) as bars:
        try:
            outcome = job.run(bars)
        except BaseException:
            if bars.has_begun:
                options.kept = (
                    f"{bars.finished} of {len(paintings)} pictures are finished in {folder}; "
                    "continue with --resume"
                )
            raise
    if not options.quiet:
        say(_summary(outcome, folder, time.monotonic() - started))
    if outcome.failed:
        raise OutputError(f"{len(outcome.failed)} of {len(paintings)} pictures were not painted")


def _painter_of(options: argparse.Namespace) -> Painter:
    if options.ray is not None:
        return OnMachines(options.ray, options.ray_workers, options.device)
    return AtOnce(options.jobs) if options.jobs > 1 else InTurn()


def _check(options: argparse.Namespace, backbone: Backbone) -> None:
    """Check everything that would otherwise fail for each picture."""
    output: Path = options.output
    if has_known_ending(output) and not output.is_dir():
        raise SettingsError(
            f"{output} names one file, and there are several pictures", "name a folder"
        )
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is not a folder", "choose another name")
    searched = searched_folder(options.content)
    if searched is not None and output.exists() and output.samefile(searched):
        raise OutputError(
            f"results in {output} would be among the pictures to paint", "choose another folder"
        )
    if options.jobs < 1:
        raise SettingsError(f"--jobs {options.jobs} paints nothing; use 1 or more")
    if options.ray is not None and options.jobs > 1:
        raise SettingsError(
            f"--jobs {options.jobs} is for one machine; leave out --jobs or --ray, or use "
            "--ray-workers"
        )
    settings_of(options).check(backbone.traits)
    mask_of(options)
    if not options.styles:
        backbone.encode_style()  # refuses if there is no single built-in style


def styles_of(options: argparse.Namespace, backbone: Backbone) -> list[StyleChoice]:
    """Each style by itself; one mixture of all if they have weights.

    Raises:
        ImageError: a folder has no pictures.
        SettingsError: the number of weights is not that of the styles.
    """
    found = find_styles(options.styles, backbone, recursive=options.recursive)
    weights = options.style_weights
    if weights is None:
        return [StyleChoice((str(style.path),), _flat(style.label)) for style in found] or [
            StyleChoice((), backbone.traits.name)
        ]
    if len(weights) != len(found):
        raise SettingsError(
            f"{len(found)} styles with {len(weights)} weights; give one weight for each style"
        )
    mixed = tuple(str(style.path) for style in found)
    return [StyleChoice(mixed, "+".join(_flat(style.label) for style in found))]


def find_styles(
    places: Sequence[str], backbone: Backbone, *, recursive: bool
) -> list[FoundPicture]:
    """Find the pictures and style files that users name, by themselves or in folders.

    Args:
        places: files, folders, patterns, or names of the backbone's built-in styles.
        backbone: the network.
        recursive: whether to search the subfolders of folders.

    Raises:
        ImageError: a folder has no pictures.
    """
    names = backbone.network.style_names
    found: list[FoundPicture] = []
    for place in places:
        if place in names:
            found.append(FoundPicture(Path(place), place))
            continue
        pictures = find_pictures(Path(place), recursive=recursive, endings=STYLE_ENDINGS)
        found += [replace(p, label=p.label.removesuffix(".style")) for p in pictures]
    return found


def _flat(label: str) -> str:
    return label.replace("/", "_")


def _summary(outcome: JobOutcome, folder: Path, seconds: float) -> str:
    painted = len(outcome.painted)
    parts = [f"{folder}: {painted} pictures painted in {seconds:.1f} s"]
    if painted:
        parts.append(f"{seconds / painted:.1f} s each")
    if outcome.finished_before:
        parts.append(f"{len(outcome.finished_before)} finished before")
    if outcome.failed:
        parts.append(f"{len(outcome.failed)} failed")
    return ", ".join(parts)


class JobBars:
    """A :class:`~urst_core.runs.job.JobListener` with a bar for all pictures and one for each.

    Args:
        total: number of pictures.
        stop: raises at the next tile if a signal arrived.
        quiet: whether to draw no bars; errors are printed nevertheless.

    Attributes:
        finished: number of finished pictures.
        has_begun: whether a picture has been begun.
    """

    def __init__(self, total: int, stop: StopSignals, *, quiet: bool) -> None:
        self.finished, self.has_begun = 0, False
        self._failed, self._reported = 0, set[str]()
        self._stop, self._quiet = stop, quiet
        self._all = (
            None if quiet else Bar(total=total, desc="pictures", position=0, bar_format=JOB_FORMAT)
        )
        self._each: dict[Painting, ProgressBar] = {}
        self._positions: dict[Painting, int] = {}
        # Several threads may paint at once, and bars are drawn by one at a time.
        self._lock = Lock()

    def begin(self, painting: Painting) -> None:
        del painting
        self.has_begun = True

    def update(self, painting: Painting, progress: Progress) -> None:
        self._stop.check()
        with self._lock:
            if painting not in self._each:
                self._add_bar(painting)
                self._show()
            self._each[painting].update(progress)

    def finish(self, painting: Painting) -> None:
        self.finished += 1
        self._end(painting)

    def fail(self, painting: Painting, error: URSTError) -> None:
        self._failed += 1
        self._end(painting)
        words = error_words(error)
        # A style that cannot be used is reported once, not with every picture.
        if words not in self._reported:
            self._reported.add(words)
            message = f"{painting.output.name} is left out: {words}"
            if self._quiet:
                warn(message)
            else:
                warn_above_bar(message)

    def _add_bar(self, painting: Painting) -> None:
        """A bar in the first line that is free, below the bar of all pictures."""
        taken = self._positions.values()
        position = next(line for line in count(1) if line not in taken)
        self._positions[painting] = position
        self._each[painting] = ProgressBar(quiet=self._quiet, position=position, leave=False)

    def _end(self, painting: Painting) -> None:
        with self._lock:
            bar = self._each.pop(painting, None)
            self._positions.pop(painting, None)
            if bar is not None:
                bar.close()
            self._show()
        self._stop.check()

    def _show(self) -> None:
        if self._all is not None:
            failed = [f"{self._failed} failed"] if self._failed else []
            names = [painting.output.name for painting in self._each]
            self._all.show(self.finished + self._failed, ", ".join([*failed, *names]))

    def __enter__(self) -> JobBars:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bar in self._each.values():
            bar.close()
        if self._all is not None:
            self._all.close()
