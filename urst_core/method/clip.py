"""Frames that stream: statistics are measured once, on a sample; each frame is painted by itself.

      sample of frames ──► shared statistics, one for each level       (once, a few KB)
                                     │
      frame, frame, frame, … ──► painter ──► frame, frame, frame, …    (one at a time)

As with :data:`~urst_core.choices.SHARED`, things that do not move do not flicker; but memory
does not grow with the number of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..choices import SHARED
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.tile_network import TileNetwork
from ..pictures.source import Canvas, Source
from ..progress import Listener, ignore
from ..tiling.device import PRECISIONS
from ..tiling.settings import Settings
from .level_pictures import level_contents, level_pictures
from .level_run import level_run
from .run import Run
from .strokes import Below
from .video import Frames, encode_for_each, measure_frames, measure_levels


def measure_sample(sample: Frames, backbone: Backbone, settings: Settings) -> list[FrozenStats]:
    """Measure frames together, as if they were one large picture.

    Args:
        sample: frames of one size.
        backbone, settings: as for :func:`~urst_core.method.pipeline.stylize`.

    Returns:
        The statistics of each level, the coarsest first; a single one for a plain pass.

    Raises:
        URSTError: a frame, a style or a setting cannot be used.
    """
    runs = sample.runs(backbone, settings)
    if runs[0].is_plain:
        return [next(measure_frames(sample, backbone, settings, batch_statistics=SHARED))]
    runs = [replace(run, listener=sample.listener_of(n)) for n, run in enumerate(runs)]
    codes = encode_for_each(sample, runs, together=True)
    return [each[0] for _, each in measure_levels(runs, codes, SHARED)]


@dataclass(frozen=True)
class FramePainter:
    """Paints frames of one size, all with the same statistics.

    Attributes:
        run: the run of one of the frames.
        networks: of each level, the coarsest first.
    """

    run: Run
    networks: Sequence[TileNetwork]

    @classmethod
    def of(
        cls,
        frame: Source,
        stats: Sequence[FrozenStats],
        backbone: Backbone,
        settings: Settings,
        *,
        pixels: int,
    ) -> FramePainter:
        """Make the networks; half precision, if it is automatic, is tried on ``frame``.

        Args:
            frame: one of the frames.
            stats: from :func:`measure_sample`, with the same backbone and settings.
            pixels: number of pixels in all frames.

        Raises:
            URSTError: as in :meth:`Run.of` and :meth:`Run.network`.
        """
        run = Run.of(frame, backbone, settings)
        # The statistics of the last levels are often the same.
        made = {id(each): run.network(each, pixels=pixels) for each in stats}
        networks = [made[id(each)] for each in stats]
        if len({network.compute_dtype for network in networks}) > 1:
            full = replace(settings, precision="fp32")
            return cls.of(frame, stats, backbone, full, pixels=pixels)
        return cls(run, networks)

    @property
    def precision(self) -> str:
        """The precision of the networks, by its name in the settings."""
        dtype = self.networks[0].compute_dtype
        return next(name for name in PRECISIONS if PRECISIONS[name] == dtype)

    def paint(self, content: Source, canvas: Canvas, listener: Listener = ignore) -> None:
        """Paint a frame.

        Args:
            content: the frame.
            canvas: of its size, channels and dtype.
            listener: called after each tile; if it raises, the frame is left unfinished.
        """
        run = replace(self.run, content=content, listener=listener)
        if run.is_plain:
            run.stylize(self.networks[0], canvas)
            return
        sizes, pixels = run.level_sizes, run.level_pixels()
        contents = level_contents(content, sizes, run.level_canvas, pixels.listener(0))
        below: Below | None = None
        for number, like in enumerate(level_pictures(sizes)):
            picture = run.level_canvas(like)
            level = level_run(run, number, contents[number], below, pixels.listener(number))
            level.stylize(self.networks[number], picture)
            below = Below(contents[number], picture)
        level = level_run(run, len(sizes) - 1, content, below, pixels.listener(len(sizes) - 1))
        level.stylize(self.networks[-1], canvas)
