"""The part of Ray that the engine uses, in this process: for what the driver of a run decides.

Starting real workers takes seconds each; that they start, die and end is tested with real ones.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class TaskError(Exception):
    """What Ray raises where a result is asked for, around what the worker raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a long trace\n{cause}")
        self.cause = cause


class ActorError(Exception):
    """A worker is gone."""


EXCEPTIONS = SimpleNamespace(
    RayTaskError=TaskError,
    RayActorError=ActorError,
    WorkerCrashedError=ActorError,
    NodeDiedError=ActorError,
    OutOfMemoryError=ActorError,
)


@dataclass(eq=False)
class Call:
    """A call that waits until somebody waits for it."""

    work: Callable[..., Any]
    arguments: Sequence[Any]
    result: Any = None
    error: Exception | None = None
    is_done: bool = False

    def run(self) -> None:
        if self.is_done:
            return
        self.is_done = True
        try:
            values = (a.value if isinstance(a, Stored) else a for a in self.arguments)
            self.result = self.work(*values)
        except Exception as error:
            self.error = TaskError(error)


@dataclass(frozen=True, eq=False)
class Stored:
    """An object that was sent to the workers: each gets a copy."""

    content: bytes

    @property
    def value(self) -> Any:
        return pickle.loads(self.content)


@dataclass(eq=False)
class Actor:
    """Calls of an instance, in order."""

    instance: Any
    calls: list[Call] = field(default_factory=list)

    def __getattr__(self, name: str) -> SimpleNamespace:
        work = getattr(self.instance, name)

        def remote(*arguments: Any) -> Call:
            before = list(self.calls)

            def in_order(*values: Any) -> Any:
                for call in before:
                    call.run()
                return work(*values)

            call = Call(in_order, arguments)
            self.calls.append(call)
            return call

        return SimpleNamespace(remote=remote)


class RayInProcess:
    """Ray with room for two workers."""

    exceptions = EXCEPTIONS

    def __init__(self) -> None:
        self.killed: list[Actor] = []

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def put(self, value: Any) -> Stored:
        return Stored(pickle.dumps(value))

    def remote(self, actor_class: type) -> SimpleNamespace:
        made = SimpleNamespace(remote=lambda: Actor(actor_class()))
        return SimpleNamespace(options=lambda **_: made)

    def wait(
        self, references: list[Call], timeout: float, num_returns: int = 1
    ) -> tuple[list[Call], list[Call]]:
        del timeout
        for call in references[:num_returns]:
            call.run()
        return references[:num_returns], references[num_returns:]

    def get(self, reference: Call) -> Any:
        reference.run()
        if reference.error is not None:
            raise reference.error
        return reference.result

    def kill(self, actor: Actor) -> None:
        for call in actor.calls:
            call.is_done = True
        self.killed.append(actor)
