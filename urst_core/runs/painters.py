"""Painters of a job's pictures: one after another, or several at once.

A third one, for the machines of a cluster, is in :mod:`urst_core.cluster.pictures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import Protocol

from ..errors import URSTError
from ..identity import Identity
from ..progress import Listener, Progress
from ..tiling.settings import IfInterrupted
from .file_run import FileRun
from .paintings import Painting
from .plan import Plan


@dataclass(frozen=True)
class Task:
    """A picture to paint.

    Attributes:
        painting: its names.
        run: that makes it.
        identity: everything that determines the result.
        if_interrupted: what to do about an earlier, interrupted run.
        listener: told of its progress.
    """

    painting: Painting
    run: FileRun
    identity: Identity
    if_interrupted: IfInterrupted
    listener: Listener

    def paint(self) -> URSTError | None:
        """Paint the picture; returns the error if it cannot be painted."""
        try:
            self.run.run(self.listener, if_interrupted=self.if_interrupted)
        except URSTError as error:
            return error
        return None


class Painter(Protocol):
    """Paints pictures."""

    def paint(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, URSTError | None]]:
        """Paint pictures, and yield each when it is done, with the error if it cannot be painted.

        Args:
            tasks: taken when they can be begun.
        """
        ...


class InTurn:
    """Paints one picture after another."""

    def paint(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, URSTError | None]]:
        for task in tasks:
            yield task, task.paint()


@dataclass(frozen=True)
class AtOnce:
    """Paints several pictures at once, in threads, as far as they fit in memory.

    A picture is begun when it fits, together with the pictures in progress, in the memory that
    was free at first, or when no other is in progress. Each takes as many of PyTorch's threads as
    it would alone, so the results are the same; time is saved where a single picture leaves the
    device idle: while files are decoded and encoded, and with small pictures.

    Attributes:
        most: most pictures in progress.
    """

    most: int

    def paint(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, URSTError | None]]:
        running: dict[Future[URSTError | None], _Begun] = {}
        is_over = Event()
        memory: _Memory | None = None
        with ThreadPoolExecutor(self.most) as threads:
            try:
                for task in tasks:
                    try:
                        plan = task.run.plan()
                    except URSTError as error:
                        task.run.close()
                        yield task, error
                        continue
                    memory = memory or _Memory.free_in(plan)
                    needed = _Memory.needed_by(plan)
                    while running and not self._may_begin(needed, running, memory):
                        yield from _finished(running)
                    stoppable = replace(task, listener=_until(is_over, task.listener))
                    running[threads.submit(stoppable.paint)] = _Begun(task, needed)
                while running:
                    yield from _finished(running)
            except BaseException:
                # The others end at their next tile, and keep what is finished.
                is_over.set()
                raise

    def _may_begin(
        self, needed: _Memory, running: dict[Future[URSTError | None], _Begun], free: _Memory
    ) -> bool:
        if len(running) >= self.most:
            return False
        taken = [begun.needed for begun in running.values()]
        return (
            needed.host_bytes + sum(each.host_bytes for each in taken) <= free.host_bytes
            and needed.device_bytes + sum(each.device_bytes for each in taken) <= free.device_bytes
        )


def _until(is_over: Event, listener: Listener) -> Listener:
    """A listener that ends its run when the job is over."""

    def follow(progress: Progress) -> None:
        if is_over.is_set():
            raise KeyboardInterrupt
        listener(progress)

    return follow


@dataclass(frozen=True)
class _Memory:
    """Memory in bytes; on a CPU the device's is the host's."""

    host_bytes: int
    device_bytes: int

    @classmethod
    def free_in(cls, plan: Plan) -> _Memory:
        return cls(plan.host_free_bytes, plan.device_free_bytes)

    @classmethod
    def needed_by(cls, plan: Plan) -> _Memory:
        return cls(plan.needed_bytes, plan.device_bytes)


@dataclass(frozen=True)
class _Begun:
    """A picture in progress, and the memory that its plan says."""

    task: Task
    needed: _Memory


def _finished(
    running: dict[Future[URSTError | None], _Begun],
) -> Iterator[tuple[Task, URSTError | None]]:
    """Wait for a picture, and take those that are done out of the running ones."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future).task, future.result()
