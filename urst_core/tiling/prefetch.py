"""Reads tiles in advance and writes results in the background while the caller computes.

      reading thread        calling thread         writing thread
      ┌───────────────┐     ┌───────────────┐      ┌───────────────┐
      │ read  n+1 n+2 │ ──► │   compute n   │ ──►  │ write n-1 n-2 │ ──► finished(), in order
      └───────────────┘     └───────────────┘      └───────────────┘

At most :data:`AHEAD` tiles are read and not computed, and :data:`BEHIND` computed and not written,
so that memory does not grow if one step is slower than the others; or two batches, if tiles are
computed in batches. An exception in a step is raised in the calling thread; leaving the block ends
both threads in any case. The steps of a single tile all run in the calling thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from itertools import islice
from types import TracebackType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..geometry import Tile
from .device import io_thread

AHEAD = 2
"""Tiles that may be read and not yet computed."""

BEHIND = 2
"""Tiles that may be computed and not yet written."""


def tiles_ahead(batch: int) -> int:
    """Tiles that may be read and not yet computed, for batches of that many."""
    return max(AHEAD, 2 * batch)


Window = TypeVar("Window")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


class TileWork(Protocol[Window, Result]):
    """The three steps of a tile. They share nothing but the values that they pass on."""

    def read(self, tile: Tile) -> Window:
        """Read the input of a tile; called in the reading thread."""
        ...

    def compute(self, tile: Tile, window: Window) -> Result:
        """Compute the tile; called in the thread that runs the loop."""
        ...

    def write(self, tile: Tile, result: Result) -> Tensor | None:
        """Store the result, and return a picture to show, if any; called in the writing thread."""
        ...


@runtime_checkable
class BatchWork(Protocol):
    """Work that computes several tiles faster together than one after another."""

    def compute_batch(self, tiles: Sequence[Tile], windows: Sequence[Any]) -> list[Any]:
        """As :meth:`TileWork.compute`, for several tiles."""
        ...


def compute_together(
    work: TileWork[Window, Result], tiles: Sequence[Tile], windows: Sequence[Window]
) -> list[Result]:
    """The results of tiles, as a batch if there are several and the work takes batches."""
    if len(tiles) > 1 and isinstance(work, BatchWork):
        return work.compute_batch(tiles, windows)
    return [work.compute(tile, window) for tile, window in zip(tiles, windows)]


class Overlap(Generic[Window, Result]):
    """A context in which the steps of neighboring tiles overlap in time.

    Args:
        work: the steps of a tile.
        in_threads: whether to read and write in threads; a single tile needs none.
        on_cpu: whether the CPU computes: then reading and writing each take one of its cores.
        batch: most tiles that are computed at once.
    """

    def __init__(
        self,
        work: TileWork[Window, Result],
        *,
        in_threads: bool = True,
        on_cpu: bool = True,
        batch: int = 1,
    ) -> None:
        self._work, self._ahead_limit = work, tiles_ahead(batch)
        self._behind_limit = max(BEHIND, batch)
        self._ahead: deque[tuple[Tile, Future[Window]]] = deque()
        self._behind: deque[tuple[Tile, Future[Tensor | None]]] = deque()
        self._reader, self._writer = (
            io_thread(name, on_cpu=on_cpu) if in_threads else _CallingThread()
            for name in ("urst-read", "urst-write")
        )

    def __enter__(self) -> Overlap[Window, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # No more tiles are read, but all computed ones are written, even if another one failed.
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._writer.shutdown(wait=True)

    @property
    def has_room(self) -> bool:
        """Whether one more tile may be read."""
        return len(self._ahead) < self._ahead_limit

    @property
    def is_computing(self) -> bool:
        """Whether there are tiles to compute."""
        return bool(self._ahead)

    def __len__(self) -> int:
        """Number of tiles that are started but not finished."""
        return len(self._ahead) + len(self._behind)

    def read(self, tile: Tile) -> None:
        """Start to read a tile."""
        self._ahead.append((tile, self._reader.submit(self._read, tile)))

    def compute(self, count: int = 1) -> None:
        """Compute the tiles that were read first. If this raises, they stay the first.

        Args:
            count: most tiles to compute together.
        """
        batch = list(islice(self._ahead, count))
        tiles = [tile for tile, _ in batch]
        with torch.inference_mode():
            windows = [reading.result() for _, reading in batch]
            results = compute_together(self._work, tiles, windows)
        for tile, result in zip(tiles, results):
            self._ahead.popleft()
            self._behind.append((tile, self._writer.submit(self._write, tile, result)))

    def finished(self, *, wait_for_all: bool = False) -> Iterator[tuple[Tile, Tensor | None]]:
        """Yield written tiles, in order; wait until at most :data:`BEHIND` are unwritten."""
        most = 0 if wait_for_all else self._behind_limit
        while self._behind and (self._behind[0][1].done() or len(self._behind) > most):
            tile, writing = self._behind.popleft()
            yield tile, writing.result()

    def take_back(self) -> list[Tile]:
        """Drop the tiles that were read, with their windows; return them, to be read again."""
        tiles = [tile for tile, _ in self._ahead]
        readings = [reading for _, reading in self._ahead if not reading.cancel()]
        self._ahead.clear()
        wait(readings)
        return tiles

    # Each thread has its own inference mode, so each step enters it.

    def _read(self, tile: Tile) -> Window:
        with torch.inference_mode():
            return self._work.read(tile)

    def _write(self, tile: Tile, result: Result) -> Tensor | None:
        with torch.inference_mode():
            return self._work.write(tile, result)


class _CallingThread(Executor):
    """Runs each call at once, in the calling thread."""

    def submit(
        self,
        fn: Callable[Arguments, Value],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Value]:
        future: Future[Value] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
