"""Many pictures in many styles: a job of file runs that share their network and style codes.

A picture that cannot be painted is reported and skipped. An interrupted job resumes: finished
results are not painted again, and the unfinished one continues at its last tile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from ..errors import Change, OutputError, Remedy, URSTError, abbreviated
from ..formats.places import check_not_replaced
from ..identity import Identity, differences
from ..networks.style import StyleCode
from ..progress import Listener, Progress
from ..tiling.settings import IfInterrupted
from .file_run import FileRun
from .painters import InTurn, Painter, Task
from .paintings import Painting, StyleChoice
from .result_list import ResultList
from .work_folder import WorkFolder


class JobListener(Protocol):
    """Follows a job. If a method raises, the job ends, and can be resumed."""

    def begin(self, painting: Painting) -> None:
        """Called before a picture is painted."""

    def update(self, painting: Painting, progress: Progress) -> None:
        """Called with the progress of a picture, by the thread that paints it."""

    def finish(self, painting: Painting) -> None:
        """Called when a result is complete, even if it was before the job began."""

    def fail(self, painting: Painting, error: URSTError) -> None:
        """Called when a picture cannot be painted; the job continues."""


@dataclass
class JobOutcome:
    """What became of a job's pictures.

    Attributes:
        painted: painted by this job.
        finished_before: finished by an earlier, interrupted job.
        failed: could not be painted.
    """

    painted: list[Painting] = field(default_factory=list[Painting])
    finished_before: list[Painting] = field(default_factory=list[Painting])
    failed: list[Painting] = field(default_factory=list[Painting])


@dataclass(frozen=True)
class Job:
    """Paints pictures.

    Attributes:
        paintings: what to paint, from :func:`~urst_core.runs.paintings.pair_up`.
        folder: folder of the results; it is created if necessary.
        run_of: makes the run of a painting.
        if_interrupted: what to do about an earlier, interrupted job.
        overwrite: whether to replace existing results.
        painter: who paints: one picture after another, or several at once.
    """

    paintings: Sequence[Painting]
    folder: Path
    run_of: Callable[[Painting], FileRun]
    if_interrupted: IfInterrupted = IfInterrupted.REFUSE
    overwrite: bool = False
    painter: Painter = field(default_factory=InTurn)

    def run(self, listener: JobListener) -> JobOutcome:
        """Paint all pictures.

        Raises:
            OutputError: a result exists or would replace an input, the folder cannot be written to,
                or inputs or settings differ from those of the job to be resumed.
        """
        self._check_inputs()
        results = ResultList(self.folder)
        self._check_results(results)
        outcome = JobOutcome()
        for task, error in self.painter.paint(self._tasks(results, outcome, listener)):
            painting = task.painting
            if error is not None:
                outcome.failed.append(painting)
                listener.fail(painting, error)
                continue
            if results.identity(painting.output) != task.identity:
                results.add(painting.output, task.identity)
            outcome.painted.append(painting)
            listener.finish(painting)
        return outcome

    def _tasks(
        self, results: ResultList, outcome: JobOutcome, listener: JobListener
    ) -> Iterator[Task]:
        """The pictures to paint; those that are finished or cannot be painted are reported."""
        codes = dict[StyleChoice, StyleCode]()
        for painting in self.paintings:
            try:
                run = self.run_of(painting)
                identity = run.identity()
                run.close()
            except URSTError as error:
                outcome.failed.append(painting)
                listener.fail(painting, error)
                continue
            if self._is_finished(painting.output, identity, results):
                run.remove_leftovers()
                outcome.finished_before.append(painting)
                listener.finish(painting)
                continue
            listener.begin(painting)
            follow = partial(listener.update, painting)
            try:
                run = self._prepared(run, painting, results, codes, follow)
            except URSTError as error:
                outcome.failed.append(painting)
                listener.fail(painting, error)
                continue
            if not os.path.lexists(painting.output):
                results.add(painting.output, identity)
            yield Task(painting, run, identity, self.if_interrupted, follow)

    def _prepared(
        self,
        run: FileRun,
        painting: Painting,
        results: ResultList,
        codes: dict[StyleChoice, StyleCode],
        listener: Listener,
    ) -> FileRun:
        """The run with the code of its styles, which are encoded once."""
        output = painting.output
        _create_folder(output.parent)
        # A run that resumes encodes its styles itself, with its own number of threads.
        if run.shares_style_code and WorkFolder(output).load_record() is None:
            if painting.style not in codes:
                codes[painting.style] = run.encode_styles(listener)
                run.close()
            run = replace(run, style_code=codes[painting.style])
        may_replace = self.if_interrupted is IfInterrupted.DISCARD and output in results
        return replace(run, overwrite=self.overwrite or may_replace)

    def _is_finished(self, output: Path, identity: Identity, results: ResultList) -> bool:
        """Whether a result exists, and needs not be painted again.

        Raises:
            OutputError: it was made from other inputs, or with other settings.
        """
        earlier = results.identity(output)
        is_there = earlier is not None and os.path.lexists(output)
        if self.if_interrupted is not IfInterrupted.RESUME or earlier is None or not is_there:
            return False
        changes = differences(earlier, identity)
        if changes and not self.overwrite:
            raise OutputError(
                f"{output} cannot be kept, it had: {'; '.join(changes)}",
                "use the same inputs and settings",
                Change("overwrite", True),
            )
        return not changes

    def _check_inputs(self) -> None:
        """Check that no result would replace an input."""
        inputs = {painting.content: "content" for painting in self.paintings}
        inputs |= {Path(s): "style" for p in self.paintings for s in p.style.styles}
        places = {os.path.realpath(path): path for path in inputs}
        for painting in self.paintings:
            path = places.get(os.path.realpath(painting.output))
            if path is not None:
                check_not_replaced(painting.output, [painting.output], inputs[path], path)

    def _check_results(self, results: ResultList) -> None:
        """Check that existing results may be kept or replaced, before anything is painted."""
        outputs = [painting.output for painting in self.paintings]
        existing = [output for output in outputs if os.path.lexists(output)]
        listed = [output for output in existing if output in results]
        remedies: list[Remedy] = []
        if self.if_interrupted is IfInterrupted.REFUSE:
            interrupted = [o for o in outputs if WorkFolder(o).interruption() is not None]
            if listed or interrupted:
                remedies = [Change("if_interrupted", "resume"), Change("if_interrupted", "restart")]
            if interrupted:
                raise OutputError(
                    f"an earlier job in {self.folder} was interrupted with {len(listed)} of "
                    f"{len(outputs)} pictures finished",
                    *remedies,
                )
        else:
            existing = [output for output in existing if output not in results]
        if existing and not self.overwrite:
            raise OutputError(
                f"{len(existing)} of {len(outputs)} results exist in {self.folder} "
                f"({abbreviated(str(output.relative_to(self.folder)) for output in existing)})",
                *remedies,
                Change("overwrite", True),
            )


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be created ({error})", "choose another"
        ) from error
