"""The loop over tiles: progress, and smaller batches and tiles when memory runs out."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

import torch
from torch import Tensor

from ..errors import DeviceError
from ..geometry import Rectangle, Size, Tile, cut, tile_around
from ..networks.network import Traits
from ..progress import Listener, Progress, ignore
from .device import is_out_of_memory, release_memory
from .prefetch import Overlap, Result, TileWork, Window, compute_together


class Ledger(Protocol):
    """A record of the cores that are finished in a stage, by an earlier run and by this one."""

    @property
    def cores(self) -> Collection[Rectangle]:
        """Finished cores, of any size."""
        ...

    @property
    def edges(self) -> Sequence[int]:
        """The tile edges that were used after each halving so far, descending."""
        ...

    def add_core(self, core: Rectangle) -> None:
        """Record a core whose pixels have just been written; called in the writing thread."""
        ...

    def add_edge(self, edge: int) -> None:
        """Record the edge of all tiles from now on."""
        ...


@dataclass(frozen=True)
class TileLoop:
    """Runs work on every tile of a frame, and on smaller tiles if memory runs out.

    With frozen statistics the tile size does not change the picture, so it may change in the middle
    of a run: finished tiles stay finished, and the run continues with the tile that failed.
    """

    frame: Size
    edge: int
    traits: Traits
    device: torch.device
    margin: int = 0
    """Additional halo, in px, a multiple of the stride."""
    batch: int = 1
    """Most tiles that are computed at once; see :mod:`urst_core.tiling.batch_size`."""

    @property
    def halo(self) -> int:
        """Context around a core, in px."""
        return self.traits.halo + self.margin

    def run(
        self,
        stage: str,
        work: TileWork[Window, Result],
        listener: Listener = ignore,
        *,
        ledger: Ledger | None = None,
    ) -> None:
        """Do the work on each tile, in inference mode.

        Args:
            stage: name of the stage, for the listener.
            work: the steps of a tile; those of neighboring tiles overlap in time, see
                :mod:`urst_core.tiling.prefetch`.
            listener: called at the start and after each tile, in their order, in the calling
                thread.
            ledger: cores that it lists as finished are skipped; new ones are recorded.

        Raises:
            DeviceError: memory is too small even for tiles of one stride.
        """
        if ledger is not None:
            work = _Recorded(work, ledger)
        pending = _Pending(self.cores_to_do(ledger), [self.edge, *(ledger.edges if ledger else ())])
        count = _Count(stage, self.frame, pending, done=len(ledger.cores) if ledger else 0)
        listener(count.progress(left=len(pending)))
        batch, on_cpu = self.batch, self.device.type == "cpu"
        in_threads = len(pending) > 1
        with Overlap(work, in_threads=in_threads, on_cpu=on_cpu, batch=batch) as overlap:
            while pending or overlap.is_computing:
                while pending and overlap.has_room:
                    overlap.read(tile_around(pending.take(), self.halo, self.frame))
                fits = self._attempt(overlap, batch)
                is_last = not (pending or overlap.is_computing)
                for tile, pixels in overlap.finished(wait_for_all=is_last or not fits):
                    left = len(pending) + len(overlap)
                    listener(count.progress(left=left, core=tile.core, pixels=pixels))
                    del pixels  # Not kept while the next tile is computed.
                if not fits and batch > 1:
                    release_memory(self.device)
                    batch //= 2
                elif not fits:
                    cores = [tile.core for tile in overlap.take_back()]
                    release_memory(self.device)
                    pending.put_back(cores, self._half(cores[0]))
                    if ledger is not None:
                        ledger.add_edge(pending.edge)

    def cores_to_do(self, ledger: Ledger | None = None) -> list[Rectangle]:
        """The cores of the frame, in order, without those that a ledger lists as finished."""
        cores = cut(Rectangle.of_size(self.frame), self.edge)
        if ledger is None:
            return list(cores)
        finished = set(ledger.cores)
        cores = [core for core in cores if core not in finished]
        # Few, if any: parts of tiles that had to be halved.
        parts = finished.difference(cut(Rectangle.of_size(self.frame), self.edge))
        if not parts:
            return cores
        return [part for core in cores for part in _unfinished(core, parts, ledger.edges)]

    def _attempt(self, overlap: Overlap[Window, Result], batch: int) -> bool:
        """Compute the next tiles; False if memory runs out."""
        try:
            overlap.compute(batch)
            return True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Only here the error is released, with the tensors that its traceback refers to.
        return False

    def _half(self, core: Rectangle) -> int:
        stride = self.traits.stride
        if max(core.size) <= stride:
            edge = stride + 2 * self.halo
            raise DeviceError(
                f"{self.device} has too little free memory for even {edge} x {edge} px; "
                "free some there, or use another device"
            )
        return max(stride, max(core.size) // 2 // stride * stride)


class _Pending:
    """The cores that are not begun yet, each no larger than the current edge."""

    def __init__(self, cores: Iterable[Rectangle], edges: Iterable[int]) -> None:
        self._cores = deque(cores)
        self.edge = min(edges)

    def __len__(self) -> int:
        return len(self._cores)

    def take(self) -> Rectangle:
        """The next core, cut if tiles were halved since it was planned."""
        core = self._cores.popleft()
        if max(core.size) > self.edge:
            core, *others = cut(core, self.edge)
            self._cores.extendleft(reversed(others))
        return core

    def put_back(self, cores: Sequence[Rectangle], edge: int) -> None:
        """Return cores that were taken, and use a smaller edge for these and all others."""
        self._cores.extendleft(reversed(cores))
        self.edge = edge

    @property
    def area(self) -> int:
        return sum(core.area for core in self._cores)


class _Count:
    """Counts the finished tiles of a stage."""

    def __init__(self, stage: str, frame: Size, pending: _Pending, *, done: int) -> None:
        self._stage = stage
        self._tiles_done = done
        self._pixels_total = frame[0] * frame[1]
        self._pixels_done = self._pixels_total - pending.area

    def progress(
        self, *, left: int, core: Rectangle | None = None, pixels: Tensor | None = None
    ) -> Progress:
        """Count a core, if there is one, and report that many tiles left after it."""
        if core is not None:
            self._tiles_done += 1
            self._pixels_done += core.area
        return Progress(
            self._stage,
            self._tiles_done,
            self._tiles_done + left,
            self._pixels_done,
            self._pixels_total,
            core,
            pixels,
        )


@dataclass(frozen=True)
class _Recorded(Generic[Window, Result]):
    """Work whose finished tiles are recorded in a ledger."""

    work: TileWork[Window, Result]
    ledger: Ledger

    def read(self, tile: Tile) -> Window:
        return self.work.read(tile)

    def compute(self, tile: Tile, window: Window) -> Result:
        return self.work.compute(tile, window)

    def compute_batch(self, tiles: Sequence[Tile], windows: Sequence[Window]) -> list[Result]:
        return compute_together(self.work, tiles, windows)

    def write(self, tile: Tile, result: Result) -> Tensor | None:
        pixels = self.work.write(tile, result)
        self.ledger.add_core(tile.core)
        return pixels


def _unfinished(
    core: Rectangle, parts: Collection[Rectangle], edges: Sequence[int]
) -> Iterator[Rectangle]:
    """The unfinished parts of a core, cut as they were when its finished parts were made.

    A tile that is halved is cut at once; one that waits is cut when its turn comes, by the edge of
    that moment. So a core was cut by the first edge whose pieces contain whole finished parts.
    """
    inside = [part for part in parts if core.contains(part)]
    if not inside:
        yield core
    elif core not in inside:
        pieces = next(
            pieces
            for edge in (*edges, 1)
            if edge < max(core.size)
            for pieces in [list(cut(core, edge))]
            if all(any(piece.contains(part) for piece in pieces) for part in inside)
        )
        for piece in pieces:
            yield from _unfinished(piece, inside, edges)
