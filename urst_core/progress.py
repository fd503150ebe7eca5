"""Progress reports from the engine to its listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .geometry import Rectangle, Size

UNPACKING_STAGE = "unpacking"
"""Name of the stage in which a picture is unpacked that cannot be read in parts."""

PREPARATION_STAGE = "thumbnail"
"""Name of the stage in which a large picture's thumbnail is made, band by band."""

CONTENTS_STAGE = "contents"
"""Name of the stage in which the contents of the levels of larger strokes are made."""

TILES_STAGE = "tiles"
"""Name of the stage in which tiles are stylized."""


@dataclass(frozen=True)
class Progress:
    """One report: sent when a stage begins, and after each of its tiles.

    Attributes:
        stage: name of the stage, as in ``tiles`` or ``encoding``.
        tiles_done, tiles_total: the total grows if tiles have to be halved; both are 0 in a stage
            without tiles.
        pixels_done, pixels_total: pixels of the frame.
        core: the core that was just finished; None when the stage begins.
        pixels: the finished core's picture, (C, h, w), clipped to the image, for a preview;
            None if the stage makes no picture.
        frame: size of the smaller picture that the core is part of, if one is made before the
            result: a level of :mod:`urst_core.method.strokes`. None for the result itself.

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
"""Called with each report. An exception that it raises ends the run: this is how to cancel one."""


def ignore(progress: Progress) -> None:
    """A listener that does nothing."""
