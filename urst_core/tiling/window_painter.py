"""Networks → the stylized window of a tile, or the pieces of it that they paint.

Several styles that touch a tile share everything that depends on the content only::

      window ──► content features ──┬──► styled layers of style 1 ──► its pieces of the core
                 (once)             └──► styled layers of style 2 ──► its pieces of the core
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..geometry import Rectangle, Size, Tile
from ..networks.tile_network import TileNetwork
from .pieces import painted_pieces


@dataclass(frozen=True)
class WindowPlan:
    """The parts of a window that networks compute.

    Attributes:
        networks: numbers of the networks that touch the tile.
        pieces: for each of them, the pieces of the core that it paints.
        shared: the piece of which they share the content features; None if they share none.
    """

    networks: Sequence[int]
    pieces: Sequence[Sequence[Rectangle]]
    shared: Rectangle | None = None


@dataclass(frozen=True)
class FramedWindow:
    """The network's input for a tile, (1, 3, H, W), floating, 0..1, and what is computed of it."""

    pixels: Tensor
    tile: Tile
    plan: WindowPlan

    @property
    def is_whole(self) -> bool:
        """Whether a single network paints all of the core."""
        return len(self.plan.networks) == 1 and list(self.plan.pieces[0]) == [self.tile.core]


@dataclass(frozen=True)
class ContentFeatures:
    """Features that do not depend on a style, (1, C, h, w), and their area of the frame."""

    values: Tensor
    area: Rectangle

    def of(self, part: Rectangle) -> Tensor:
        """The features of a part of the area."""
        inside = part.relative_to(self.area).scaled(self.values.shape[3], self.area.width)
        return self.values[(..., *inside.slices)]


@dataclass(frozen=True)
class WindowPainter:
    """Computes networks on windows.

    Attributes:
        networks: of all styles.
        frame: height and width of the padded picture, in px.
        picture: the same without padding.
        halo: of the networks.
        margin: what the steps after the network need around a core.
    """

    networks: Sequence[TileNetwork]
    frame: Size
    picture: Size
    halo: int
    margin: int

    def plan(self, tile: Tile, networks: Sequence[int], coverage: Tensor | None) -> WindowPlan:
        """Decide what networks compute for a tile.

        Args:
            tile: the tile.
            networks: numbers of those that touch it.
            coverage: how much of each pixel each of them paints, (n, h, w); None if a single one
                paints all of the core.
        """
        if coverage is None:
            return WindowPlan(networks, [[tile.core]])
        shared = self._shared_piece(tile, coverage)
        needed = partial(self._needed, halo=self._halo_of(is_shared=shared is not None))
        pieces = [painted_pieces(share, tile.core, needed) for share in coverage]
        return WindowPlan(networks, pieces, shared)

    def paint_each(self, windows: Sequence[FramedWindow]) -> list[Iterable[Tensor]]:
        """As :meth:`paint`; equal windows that one network paints whole go through it together."""
        if len(windows) == 1:
            return [self.paint(windows[0])]
        alike: dict[Hashable, list[int]] = {}
        for index, window in enumerate(windows):
            alike.setdefault(self._what_is_alike(window) or index, []).append(index)
        painted: list[Iterable[Tensor]] = [()] * len(windows)
        for indices in alike.values():
            window = windows[indices[0]]
            if len(indices) == 1:
                painted[indices[0]] = self.paint(window)
                continue
            pixels = torch.cat([windows[index].pixels for index in indices])
            network = self.networks[window.plan.networks[0]]
            at_border = window.tile.touches_border(self.frame)
            needed = self._merged(window.tile.core).relative_to(window.tile.window)
            outputs = network(pixels, at_border=at_border, needed=needed)
            for index, output in zip(indices, outputs):
                painted[index] = [output]
        return painted

    def _what_is_alike(self, window: FramedWindow) -> Hashable:
        """What windows must share to go through a network together; None if they never do."""
        if not window.is_whole or self.networks[window.plan.networks[0]].is_local:
            return None
        tile = window.tile
        core = tile.core_in_window
        return window.plan.networks[0], tile.window.size, core, tile.touches_border(self.frame)

    def paint(self, window: FramedWindow) -> Iterator[Tensor]:
        """A window as its networks paint it, (3, h, w) each; anything outside their pieces."""
        pixels, tile, plan = window.pixels, window.tile, window.plan
        features = None if plan.shared is None else self._features(pixels, tile, plan.shared)
        for number, pieces in zip(plan.networks, plan.pieces):
            network = self.networks[number]
            if features is None and list(pieces) == [tile.core]:
                merged = self._merged(tile.core)
                yield self._painted(network, pixels, tile, tile.window, needed=merged)
                continue
            painted = [self._piece(network, pixels, tile, piece, features) for piece in pieces]
            yield join_parts([self._merged(piece) for piece in pieces], painted, tile.window)

    def _halo_of(self, *, is_shared: bool) -> int:
        """The halo of what each network computes: of all of it, or behind shared features."""
        styled_halo = self.networks[0].styled_halo
        return styled_halo if is_shared and styled_halo is not None else self.halo

    def _shared_piece(self, tile: Tile, coverage: Tensor) -> Rectangle | None:
        if self.networks[0].styled_halo is None or len(coverage) == 1:
            return None
        union = painted_pieces(coverage.amax(0), tile.core, partial(self._needed, halo=self.halo))
        return union[0] if len(union) == 1 else None

    def _merged(self, piece: Rectangle) -> Rectangle:
        """The part of a network's result that a piece of the core depends on."""
        return piece.grown(self.margin).clipped(self.frame)

    def _needed(self, piece: Rectangle, halo: int) -> Rectangle:
        """The part of the window that is computed for a piece of the core."""
        return self._merged(piece).grown(halo).clipped(self.frame)

    def _features(self, pixels: Tensor, tile: Tile, piece: Rectangle) -> ContentFeatures:
        needed = self._needed(piece, self.halo)
        part = pixels[(..., *needed.relative_to(tile.window).slices)]
        at_border = Tile(tile.core, needed).touches_border(self.frame)
        return ContentFeatures(self.networks[0].content_features(part, at_border=at_border), needed)

    def _piece(
        self,
        network: TileNetwork,
        pixels: Tensor,
        tile: Tile,
        piece: Rectangle,
        features: ContentFeatures | None,
    ) -> Tensor:
        """A network's result for one piece of a core, and for what merging needs around it."""
        needed = self._needed(piece, self._halo_of(is_shared=features is not None))
        merged = self._merged(piece)
        painted = self._painted(network, pixels, tile, needed, features, needed=merged)
        return painted[(..., *merged.relative_to(needed).slices)]

    def _painted(
        self,
        network: TileNetwork,
        pixels: Tensor,
        tile: Tile,
        area: Rectangle,
        features: ContentFeatures | None = None,
        *,
        needed: Rectangle,
    ) -> Tensor:
        """A network's result for an area of the window, (3, h, w), of which a part is needed."""
        part = pixels[(..., *area.relative_to(tile.window).slices)]
        at_border = Tile(tile.core, area).touches_border(self.frame)
        here = network.at(area, self.picture)
        inner = needed.relative_to(area)
        if features is None:
            return here(part, at_border=at_border, needed=inner)[0]
        return here.from_features(features.of(area), part, at_border=at_border, needed=inner)[0]


def join_parts(areas: Sequence[Rectangle], parts: Sequence[Tensor], whole: Rectangle) -> Tensor:
    """Parts of a picture, (C, h, w) each, as one; 0 between them."""
    if list(areas) == [whole]:
        return parts[0]
    picture = parts[0].new_zeros((parts[0].shape[0], *whole.size))
    for area, part in zip(areas, parts):
        picture[(..., *area.relative_to(whole).slices)] = part
    return picture
