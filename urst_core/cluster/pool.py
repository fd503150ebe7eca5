"""Workers of a Ray cluster: each gets a few tiles at a time; a dead worker's go to others."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ..errors import Change, ClusterError, Install, URSTError, first_line, last_line
from .ray import WorkerShare
from .worker import TileWorker

Item = TypeVar("Item")

CALLS_AT_ONCE = 2
"""Calls that wait at each worker: enough that it never idles, few enough for any picture."""

MOST_DEATHS = 4
"""How many workers one tile may cost, or may die in a row while they start."""

START_SECONDS = 300.0
"""How long to wait for the first worker: machines may have to be started for it."""

WAIT_SECONDS = 1.0

END_SECONDS = 10.0
"""How long to wait for workers to end."""


class WorkerPool:
    """Actors of one class, replaced when they die. A context manager that ends them.

    They start with the first call, all at once, and stay from one job to the next: starting a
    process and loading what it needs takes longer than many a level of a picture.

    Args:
        ray: connected.
        share: how many workers there are, and what each takes.
        worker: their class, with a method ``start(job)``.
        item: what a call is for, in messages.
        start_seconds: how long to wait while no worker is there.
    """

    def __init__(
        self,
        ray: Any,
        share: WorkerShare,
        *,
        worker: type = TileWorker,
        item: str = "tile",
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._ray = ray
        self._share = share
        self._item = item
        self._start_seconds = start_seconds
        self._job: Any = None
        self._actor_class = ray.remote(worker).options(
            num_cpus=0 if share.gpus else share.threads, num_gpus=share.gpus, max_restarts=0
        )
        self._starting: dict[Any, Any] = {}
        self._ready: list[Any] = []
        self._deaths_at_start = 0
        self._running: dict[Any, tuple[Any, Any]] = {}
        self._idle_since = 0.0

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_error: object) -> None:
        for actor in (*self._ready, *self._starting.values()):
            self._ray.kill(actor)
        if self._running:
            # Until they are gone they may write, and what they write to may be deleted next.
            open_calls = [*self._running]
            self._ray.wait(open_calls, num_returns=len(open_calls), timeout=END_SECONDS)

    def begin(self, job: Any) -> None:
        """Give all workers another job, sent to each machine once; the last one is done."""
        self._job = self._ray.put(job)
        # Calls of an actor run in order: one that is starting ends that first.
        actors = [*self._ready, *self._starting.values()]
        self._starting = {actor.start.remote(self._job): actor for actor in actors}
        self._ready = []

    def each(
        self, call: Callable[[Any, Item], Any], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Any]]:
        """Do a call for each item on any worker; yields items and results as they are done.

        Args:
            call: starts the work on an actor: returns the reference to its result.
            items: hashable; taken as workers become free.

        Raises:
            URSTError: that a worker raised.
            ClusterError: workers do not start, or keep dying.
        """
        if not self._ready:
            self._idle_since = time.monotonic()
            for _ in range(self._share.workers - len(self._starting)):
                self._start_one()
        pending, deaths = deque(items), Counter[Item]()
        running = self._running
        while pending or running:
            self._feed(call, pending, running)
            for reference in self._finished([*running, *self._starting], bool(running)):
                if reference in self._starting:
                    self._admit(reference)
                    continue
                actor, item = running.pop(reference)
                try:
                    result = self._result(reference)
                except _WorkerLostError as death:
                    self._replace(actor)
                    pending.appendleft(item)
                    deaths[item] += 1
                    self._check_deaths(deaths[item], f"{self._item} {item}", death)
                    continue
                yield item, result

    def _feed(
        self,
        call: Callable[[Any, Item], Any],
        pending: deque[Item],
        running: dict[Any, tuple[Any, Item]],
    ) -> None:
        """Hand items out, to the least busy workers first."""
        load = Counter(actor for actor, _ in running.values())
        for count in range(CALLS_AT_ONCE):
            for actor in self._ready:
                if load[actor] == count and pending:
                    item = pending.popleft()
                    running[call(actor, item)] = actor, item
                    load[actor] += 1

    def _finished(self, references: list[Any], is_running: bool) -> list[Any]:
        done, _ = self._ray.wait(references, timeout=WAIT_SECONDS)
        now = time.monotonic()
        if is_running or self._ready:
            self._idle_since = now
        elif now - self._idle_since > self._start_seconds:
            share = self._share
            raise ClusterError(
                f"no Ray worker started within {self._start_seconds:g} s (each takes "
                f"{share.threads} CPUs and {share.gpus} GPUs)",
                "wait until the cluster is less busy",
                Change("workers", how="lower"),
            )
        return done

    def _start_one(self) -> None:
        actor = self._actor_class.remote()
        self._starting[actor.start.remote(self._job)] = actor

    def _admit(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._result(reference)
        except _WorkerLostError as death:
            self._deaths_at_start += 1
            self._check_deaths(self._deaths_at_start, "their start", death)
            self._start_one()
            return
        self._deaths_at_start = 0
        self._ready.append(actor)

    def _replace(self, actor: Any) -> None:
        """Several calls learn of the same death; one new worker is enough."""
        if actor in self._ready:
            self._ready.remove(actor)
            self._start_one()

    def _check_deaths(self, count: int, where: str, death: _WorkerLostError) -> None:
        if count >= MOST_DEATHS:
            raise ClusterError(
                f"{count} Ray workers died at {where} (the last one: {first_line(death)})",
                "see Ray's logs, and whether the machines have memory left",
            )

    def _result(self, reference: Any) -> Any:
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except exceptions.RayTaskError as error:
            raise _cause(error) from error
        except (
            exceptions.RayActorError,
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.OutOfMemoryError,
        ) as error:
            raise _WorkerLostError(last_line(error)) from error


class _WorkerLostError(Exception):
    """A worker is gone, and with it the calls that it had."""


def _cause(error: Any) -> Exception:
    """What a worker raised, as it raised it; a lacking package is explained."""
    cause: Exception = error.cause
    if isinstance(cause, ImportError) and not isinstance(cause, URSTError):
        return ClusterError(
            f"a Ray worker lacks a package ({first_line(cause)})",
            Install('"urst[app,distributed]"', how="on every machine:"),
        )
    return cause
