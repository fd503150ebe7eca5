"""The loop over tiles: progress, and survival where memory runs out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .backbone import Traits
from .device import is_out_of_memory, release_memory
from .errors import DeviceError
from .geometry import Rectangle, Size, Tile, cut, tile_around


@dataclass(frozen=True)
class Progress:
    """What the engine tells when a stage begins and after each of its tiles.

    Attributes:
        stage: what the tiles are for.
        tiles_done, tiles_total: the total grows where tiles had to be halved.
        pixels_done, pixels_total: of the frame.
        core: what was just finished; None when the stage begins.
        pixels: the finished core's picture, (C, h, w), clipped to the image, for a preview;
            None where the stage makes none.
    """

    stage: str
    tiles_done: int
    tiles_total: int
    pixels_done: int
    pixels_total: int
    core: Rectangle | None = None
    pixels: Tensor | None = None


Listener = Callable[[Progress], None]
"""Told of each step; what it raises ends the run, and that is how a run is cancelled."""


def ignore(progress: Progress) -> None:
    """The listener for those who do not listen."""


@dataclass(frozen=True)
class TileLoop:
    """Runs work on every tile of a frame, on smaller tiles where memory runs out.

    With frozen statistics the tile size does not show in the picture, so it may change in the
    middle of a run: what is done stays done, and the run goes on from the tile that failed.
    """

    frame: Size
    edge: int
    traits: Traits
    device: torch.device

    def run(
        self,
        stage: str,
        work: Callable[[Tile], Tensor | None],
        listener: Listener = ignore,
    ) -> None:
        """Call ``work`` for each tile in inference mode, and ``listener`` before and between.

        Raises:
            DeviceError: memory does not even suffice for tiles of one stride.
        """
        edge = self.edge
        pending = deque(cut(Rectangle.of_size(self.frame), edge))
        tiles_done = pixels_done = 0
        pixels_total = self.frame[0] * self.frame[1]
        listener(Progress(stage, 0, len(pending), 0, pixels_total))
        while pending:
            core = pending.popleft()
            if max(core.size) > edge:
                pending.extendleft(reversed(list(cut(core, edge))))
                continue
            finished, pixels = self._attempt(work, core)
            if not finished:
                pending.appendleft(core)
                edge = self._half(core)
                continue
            tiles_done += 1
            pixels_done += core.area
            tiles_total = tiles_done + len(pending)
            listener(
                Progress(stage, tiles_done, tiles_total, pixels_done, pixels_total, core, pixels)
            )

    def _attempt(
        self, work: Callable[[Tile], Tensor | None], core: Rectangle
    ) -> tuple[bool, Tensor | None]:
        try:
            with torch.inference_mode():
                return True, work(tile_around(core, self.traits.halo, self.frame))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Only out here the error is gone, and with it the tensors that its frames held.
        release_memory(self.device)
        return False, None

    def _half(self, core: Rectangle) -> int:
        stride = self.traits.stride
        if max(core.size) <= stride:
            edge = stride + 2 * self.traits.halo
            raise DeviceError(
                f"{self.device} has too little free memory for even {edge} x {edge} px; "
                "free some there, or use another device"
            )
        return max(stride, max(core.size) // 2 // stride * stride)
