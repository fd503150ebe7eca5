"""The layer of tile networks that depends on where in the picture a window is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ...errors import StatsError
from ...geometry import Rectangle, Size
from ..local_statistics import LocalMap, centers, local_map
from ..statistics import ChannelStats
from .banded import Bands, RowLayer


@dataclass(frozen=True)
class Place:
    """Where a window is: its pixels, and the size of the whole picture without padding."""

    window: Rectangle
    picture: Size

    def part(self, inner: Rectangle) -> Place:
        """The place of a part of this window."""
        return Place(inner.shifted(self.window.top, self.window.left), self.picture)

    def rows(self, count: int, step: float, first: int) -> Tensor:
        """Centers of rows of features, 0..1; ``step`` is their height in px."""
        # Divided last: until then, values are exact, whatever the window.
        return centers(count, step, self.window.top + first * step) / self.picture[0]

    def columns(self, count: int, step: float) -> Tensor:
        """Centers of columns of features, likewise."""
        return centers(count, step, self.window.left) / self.picture[1]


class LocalAffine(RowLayer):
    """``scale * x + shift``, which vary over the picture, optionally followed by a ReLU.

    At least in float32, like :class:`~urst_core.networks.layers.elementwise.Affine`.

    Attributes:
        place: where the window is; see
            :meth:`~urst_core.networks.tile_network.TileNetwork.at`.
    """

    def __init__(self, local: LocalMap, *, relu: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(local.scale.detach().clone())
        self.shift = nn.Parameter(local.shift.detach().clone())
        self.relu = relu
        self.place: Place | None = None

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return self._mapped(features, 0)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        done = 0

        def mapped(band: Tensor) -> Tensor:
            nonlocal done
            first, done = done, done + band.shape[2]
            return self._mapped(band, first)

        return map(mapped, bands)

    def _mapped(self, features: Tensor, first: int) -> Tensor:
        if self.place is None:
            raise StatsError(
                "local statistics need the place of a tile in the picture, which is not known here"
            )
        height, width = features.shape[2:]
        step = self.place.window.width / width
        local = LocalMap(self.scale, self.shift)
        result = local.apply(
            features, self.place.rows(height, step, first), self.place.columns(width, step)
        )
        return result.relu_() if self.relu else result


def with_local(
    make: Callable[[bool], RowLayer], local: LocalMap | None, *, relu: bool
) -> list[RowLayer]:
    """A layer that ends with a folded normalization, and what follows where statistics vary.

    Args:
        make: creates the layer, with or without a ReLU at its end.
        local: from :func:`~urst_core.networks.local_statistics.local_map`.
        relu: whether a ReLU follows all of it.
    """
    return [make(relu)] if local is None else [make(False), LocalAffine(local, relu=relu)]


def local_layers(stats: ChannelStats, target: ChannelStats) -> list[RowLayer]:
    """What follows a folded normalization without a ReLU; empty if statistics do not vary."""
    local = local_map(stats, target)
    return [] if local is None else [LocalAffine(local)]
