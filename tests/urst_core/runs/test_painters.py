"""Several pictures at once: as many as fit in memory, and an end for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Event
from types import SimpleNamespace

import pytest

from urst_core.errors import ImageError
from urst_core.progress import Progress, ignore
from urst_core.runs.painters import AtOnce, InTurn, Task
from urst_core.runs.paintings import Painting, StyleChoice
from urst_core.tiling.settings import IfInterrupted

PROGRESS = Progress("tiles", 1, 2, 10, 20)


@dataclass
class FakeRun:
    """A run that does what a function says, and is planned to need memory."""

    work: object
    needed: int = 1
    broken: bool = False

    def plan(self):
        if self.broken:
            raise ImageError("it is damaged")
        return SimpleNamespace(
            needed_bytes=self.needed, device_bytes=0, host_free_bytes=10, device_free_bytes=10
        )

    def run(self, listener, *, if_interrupted):
        assert if_interrupted is IfInterrupted.REFUSE
        self.work(listener)

    def close(self):
        pass


def tasks_of(runs, listener=ignore):
    for number, run in enumerate(runs):
        painting = Painting(Path(f"{number}.png"), StyleChoice((), "style"), Path(f"{number}.jpg"))
        yield Task(painting, run, {}, IfInterrupted.REFUSE, listener)


def most_in_progress(painter, needed) -> int:
    """How many of the pictures are in progress together, at most."""
    open_runs, most = [], [0]

    def work(listener):
        del listener
        open_runs.append(1)
        most[0] = max(most[0], len(open_runs))
        Event().wait(0.02)
        open_runs.pop()

    done = list(painter.paint(tasks_of([FakeRun(work, each) for each in needed])))
    assert len(done) == len(needed)
    return most[0]


@pytest.mark.parametrize(
    ("painter", "needed", "most"),
    [
        (InTurn(), [1, 1, 1], 1),
        (AtOnce(3), [1, 1, 1, 1, 1], 3),
        (AtOnce(3), [4, 4, 4, 4], 2),  # of 10 bytes
        (AtOnce(3), [20, 20], 1),
    ],
)
def test_as_many_pictures_as_fit_are_painted_at_once(painter, needed, most):
    assert most_in_progress(painter, needed) == most


def test_they_are_really_painted_together():
    together = Barrier(2, timeout=10)
    done = AtOnce(2).paint(tasks_of([FakeRun(lambda _: together.wait())] * 2))
    assert [error for _, error in done] == [None, None]


@pytest.mark.parametrize("painter", [InTurn(), AtOnce(2)])
def test_errors_are_returned_with_their_pictures(painter):
    def fail(_listener):
        raise ImageError("it is damaged")

    runs = [FakeRun(ignore), FakeRun(fail), FakeRun(ignore)]
    found = {t.painting.content.name: error for t, error in painter.paint(tasks_of(runs))}
    assert found["0.png"] is found["2.png"] is None
    assert str(found["1.png"]) == "it is damaged"


def test_a_picture_that_cannot_be_planned_is_an_error():
    [(_, error)] = AtOnce(2).paint(tasks_of([FakeRun(ignore, broken=True)]))
    assert str(error) == "it is damaged"


def test_when_one_ends_the_job_the_others_end_at_their_next_tile():
    """The first raises when the second is in progress, whose next report ends it."""
    begun, ends = Event(), []

    def stop(_listener):
        begun.wait(10)
        raise RuntimeError("stop")

    def tile_after_tile(listener):
        begun.set()
        try:
            for _ in range(500):
                listener(PROGRESS)
                Event().wait(0.01)
        except KeyboardInterrupt:
            ends.append("interrupted")
            raise

    painter = AtOnce(2)
    with pytest.raises(RuntimeError, match="stop"):
        list(painter.paint(tasks_of([FakeRun(stop), FakeRun(tile_after_tile)])))
    assert ends == ["interrupted"]
