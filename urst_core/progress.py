"""What the engine tells its listeners while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .geometry import Rectangle, Size


@dataclass(frozen=True)
class Progress:
    """What the engine tells when a stage begins and after each of its tiles.

    Attributes:
        stage: what the tiles are for.
        tiles_done, tiles_total: the total grows where tiles had to be halved; 0 where a stage
            has none.
        pixels_done, pixels_total: of the frame.
        core: what was just finished; None when the stage begins.
        pixels: the finished core's picture, (C, h, w), clipped to the image, for a preview;
            None where the stage makes none.

    Example:
        >>> import urst_core as urst
        >>> def tell(progress: urst.Progress) -> None:
        ...     share = progress.pixels_done / progress.pixels_total
        ...     print(f"{progress.stage}: {share:.0%}")
        >>> painted = urst.stylize("photo.jpg", "painting.jpg", progress=tell)
        tiles: 0%
        tiles: 100%
    """

    stage: str
    tiles_done: int
    tiles_total: int
    pixels_done: int
    pixels_total: int
    core: Rectangle | None = None
    pixels: Tensor | None = None
    frame: Size | None = None


Listener = Callable[[Progress], None]
"""Told of each step; what it raises ends the run, and that is how a run is cancelled."""


def ignore(progress: Progress) -> None:
    """The listener for those who do not listen."""
