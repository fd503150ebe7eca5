"""Run → the tiles of each of its levels, without making any."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..geometry import Size, largest_window, windows_area
from ..method.run import Run
from ..method.strokes import level_margins
from ..tiling.tile_size import cheapest_edge, largest_fitting


@dataclass(frozen=True)
class PlannedTiles:
    """The tiles of one level.

    Attributes:
        frame: height and width of the padded level, in px.
        edge: of a core, in px.
        fitting_edge: the edge that would be chosen for the free memory.
        halo: context around a core, in px.
    """

    frame: Size
    edge: int
    fitting_edge: int
    halo: int

    @property
    def count(self) -> int:
        return -(-self.frame[0] // self.edge) * -(-self.frame[1] // self.edge)

    @property
    def area(self) -> int:
        """Pixels of the frame."""
        return self.frame[0] * self.frame[1]

    @property
    def area_read(self) -> int:
        """Pixels of all windows."""
        return windows_area(self.frame, self.edge, self.halo)

    @property
    def window(self) -> Size:
        """Height and width of the largest window, in px."""
        return largest_window(self.frame, self.edge, self.halo)


def planned_tiles(run: Run, dtype: torch.dtype, free_bytes: int) -> list[PlannedTiles]:
    """The tiles of all levels, the coarsest first.

    Args:
        run: the run of the picture.
        dtype: type that the network computes in.
        free_bytes: free memory of the device.
    """
    traits, settings = run.backbone.traits, run.settings
    margins = level_margins(run.content.size, settings, traits.stride)
    most = largest_fitting(traits, dtype, free_bytes, margin=max(margins))
    tiles = []
    for size, margin in zip(run.level_sizes, margins):
        frame = traits.frame_of(size)
        fitting = cheapest_edge(frame, traits, most=most, margin=margin)
        edge = settings.tile_size or fitting
        tiles.append(PlannedTiles(frame, edge, fitting, traits.halo + margin))
    return tiles
