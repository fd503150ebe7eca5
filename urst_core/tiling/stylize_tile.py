"""The steps of a tile: read its window, stylize it, write its core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import DeviceError, WeightsError
from ..geometry import Rectangle, Size, Tile
from ..networks.heap import return_free_memory
from ..networks.tile_network import RegionNetworks, TileNetwork
from ..pictures.colors import keep_chroma
from ..pictures.mask import Mask, blend
from ..pictures.padding import pad_to_frame, read_stored, window_of
from ..pictures.region_map import RegionMap
from ..pictures.source import Canvas, Source, from_unit
from .blocks import each_block
from .transfer import Download, Transfer, Upload
from .window_painter import FramedWindow, WindowPainter, WindowPlan, join_parts


class Refinement(Protocol):
    """The steps before and after the network when a picture refines a smaller one.

    Areas are those of windows, inside the picture; pixels are (C, h, w), on the computing device.
    """

    def margin(self, stride: int) -> int:
        """Additional halo that these steps need, in px, a multiple of the stride."""
        ...

    def read_below(self, area: Rectangle) -> Tensor | None:
        """Stored pixels of the smaller picture; called in the reading thread."""
        ...

    def read_noise(self, area: Rectangle) -> Tensor | None:
        """Noise for an area; called in the reading thread unless the CPU computes."""
        ...

    def join(
        self,
        content: Tensor,
        below: Tensor | None,
        area: Rectangle,
        *,
        noise: Tensor | None = None,
    ) -> Tensor:
        """The network's input for an area, floating, 0..1, from the stored content there.

        If ``noise`` is None, it is made here.
        """
        ...

    def merge(
        self,
        painted: Tensor,
        content: Tensor,
        below: Tensor | None,
        area: Rectangle,
        core: Rectangle,
    ) -> Tensor:
        """The picture of a core, from the network's result for the area around it."""
        ...


@dataclass(frozen=True)
class StoredWindow:
    """The input of a tile: the stored pixels of its window, alpha and coverage of its core.

    ``coverage``, (n, h, w), is how much of it the networks of the ``plan`` paint; None if a single
    one paints all of it. ``below`` and ``noise`` come from a :class:`Refinement`.
    """

    colors: Upload
    alpha: Tensor
    plan: WindowPlan
    coverage: Upload | None = None
    below: Upload | None = None
    noise: Upload | None = None


@dataclass(frozen=True)
class OpenWindow:
    """A window on the computing device: stored pixels, and the network's input made of them.

    Its ``coverage``, (n, h, w), and ``below`` were received from the :class:`StoredWindow`.
    """

    stored: Tensor
    alpha: Tensor
    framed: FramedWindow
    coverage: Tensor | None
    below: Tensor | None


@dataclass(frozen=True)
class KeptCore:
    """A core outside the mask: its stored pixels with their alpha, which are not changed."""

    pixels: Tensor


@dataclass(frozen=True)
class StylizedCore:
    """A finished core during its download: pixels to store, whether all are finite, alpha."""

    colors: Download
    is_finite: Download
    alpha: Tensor


TileInput = StoredWindow | KeptCore | None
TileResult = StylizedCore | KeptCore | None


class TileStylizer:
    """The steps of a tile, for :class:`~urst_core.tiling.loop.TileLoop`.

    A tile whose core is only padding is skipped: its steps pass None on. A tile outside the mask is
    copied, not computed. With ``regions``, each tile is computed with the networks that touch it.
    With ``keeps_colors``, the result keeps the content's chroma. ``halo`` is the network's, and
    ``margin`` what the refinement needs around a core in addition.
    """

    def __init__(
        self,
        network: TileNetwork,
        content: Source,
        canvas: Canvas,
        frame: Size,
        device: torch.device,
        *,
        halo: int,
        margin: int = 0,
        mask: Mask | None = None,
        refinement: Refinement | None = None,
        regions: RegionMap | None = None,
        keeps_colors: bool = False,
    ) -> None:
        self._refinement, self._keeps_colors = refinement, keeps_colors
        self._content, self._canvas = content, canvas
        self._mask, self._regions = mask, regions
        self._transfer, self._device = Transfer(device), device
        networks = network.parts if isinstance(network, RegionNetworks) else (network,)
        self._painter = WindowPainter(networks, frame, content.size, halo, margin)

    def read(self, tile: Tile) -> TileInput:
        core = tile.core.clipped(self._content.size)
        if not core.area:
            return None
        coverage, networks = self._coverage(core)
        if not networks:
            return KeptCore(read_stored(self._content, core))
        stored = read_stored(self._content, tile.window)
        # A copy: a view would keep the whole window until the core is written.
        alpha = stored[(slice(3, None), *core.relative_to(tile.window).slices)].clone()
        below = noise = None
        if self._refinement is not None:
            area = tile.window.clipped(self._content.size)
            below = self._refinement.read_below(area)
            # A CPU makes it block by block when it computes, which saves memory.
            if self._device.type != "cpu":
                noise = self._refinement.read_noise(area)
        colors, *others = (
            None if pixels is None else self._transfer.upload(pixels)
            for pixels in (stored, coverage, below, noise)
        )
        assert colors is not None
        plan = self._painter.plan(tile, networks, coverage)
        return StoredWindow(colors, alpha, plan, *others)

    def _coverage(self, core: Rectangle) -> tuple[Tensor | None, Sequence[int]]:
        """How much of a core each network paints, and the numbers of those that paint any of it.

        None if a single one paints all of it.
        """
        mask = None if self._mask is None else self._mask.coverage(core)
        regions = None if self._regions is None else self._regions.read(core)
        if mask is None and regions is None:
            return None, [0]
        if regions is None or mask is None:
            coverage = regions if mask is None else mask[None]
            assert coverage is not None
        else:
            coverage = regions * mask
        networks = [number for number, share in enumerate(coverage) if bool(share.any())]
        if len(networks) == 1 and bool((coverage[networks] == 1.0).all()):
            return None, networks
        return coverage[networks], networks

    def compute(self, tile: Tile, window: TileInput) -> TileResult:
        return self.compute_batch([tile], [window])[0]

    def compute_batch(
        self, tiles: Sequence[Tile], windows: Sequence[TileInput]
    ) -> list[TileResult]:
        opened = [
            self._open(tile, window) if isinstance(window, StoredWindow) else window
            for tile, window in zip(tiles, windows)
        ]
        return_free_memory(self._device, tiles[0].window)
        framed = [each.framed for each in opened if isinstance(each, OpenWindow)]
        outputs = iter(self._painter.paint_each(framed))
        return [
            self._core_of(each, next(outputs)) if isinstance(each, OpenWindow) else each
            for each in opened
        ]

    def _open(self, tile: Tile, window: StoredWindow) -> OpenWindow:
        """Receive a window, and make the network's input of it."""
        stored = window.colors.receive()
        coverage, below, noise = (
            None if part is None else part.receive()
            for part in (window.coverage, window.below, window.noise)
        )
        if self._refinement is None:
            pixels = window_of(stored, tile.window.size)
        else:
            area = tile.window.clipped(self._content.size)
            joined = self._refinement.join(stored[:3], below, area, noise=noise).unsqueeze(0)
            pixels = pad_to_frame(joined, tile.window.size)
        framed = FramedWindow(pixels, tile, window.plan)
        return OpenWindow(stored, window.alpha, framed, coverage, below)

    def _core_of(self, window: OpenWindow, outputs: Iterable[Tensor]) -> StylizedCore:
        """The core of a window, from what its networks painted."""
        tile = window.framed.tile
        core = tile.core.clipped(self._content.size)
        kept = window.stored[(slice(3), *core.relative_to(tile.window).slices)]
        painted = list(self._cropped(window, outputs, core))
        # Checked after the download, since a check here would wait for the device. A sum is
        # finite only if all summands are, and takes hardly any memory.
        sums = [each.sum(dtype=torch.float32).isfinite() for each in painted]
        is_finite = self._transfer.download(torch.stack(sums).all())
        colors = torch.empty_like(kept, memory_format=torch.contiguous_format)

        def finish(block: Rectangle) -> None:
            here = (..., *block.slices)
            shares = None if window.coverage is None else window.coverage[here]
            colors[here] = self._finished(kept[here], [each[here] for each in painted], shares)

        each_block(Rectangle.of_size(core.size), kept.device, finish)
        return StylizedCore(self._transfer.download(colors), is_finite, window.alpha)

    def _finished(self, kept: Tensor, painted: list[Tensor], coverage: Tensor | None) -> Tensor:
        """Stored content, paintings and their coverage → the pixels to store."""
        inner, total = _composite(painted, coverage)
        if self._keeps_colors:
            inner = keep_chroma(kept, inner)
        if total is None:
            return from_unit(inner, kept.dtype)
        return blend(kept, inner.clamp(0.0, 1.0), total)

    def _cropped(
        self, window: OpenWindow, outputs: Iterable[Tensor], core: Rectangle
    ) -> Iterator[Tensor]:
        """The core as each of the window's networks paints it, (3, h, w); 0 where none does."""
        tile, plan = window.framed.tile, window.framed.plan
        if self._refinement is None:
            inner = (..., *core.relative_to(tile.window).slices)
            for output in outputs:
                yield output[inner]
            return
        area = tile.window.clipped(self._content.size)
        height, width = area.size
        for output, pieces in zip(outputs, plan.pieces):
            return_free_memory(self._device, area)
            inside = [piece.clipped_to(core) for piece in pieces]
            painted = output[:, :height, :width]
            merged = [
                self._refinement.merge(painted, window.stored[:3], window.below, area, piece)
                for piece in inside
            ]
            yield join_parts(inside, merged, core)

    def write(self, tile: Tile, result: TileResult) -> Tensor | None:
        """Write the core, and return its pixels as written; None if it is only padding.

        Raises:
            DeviceError: half precision overflowed.
            WeightsError: the network's result is NaN or infinite even in float32.
        """
        if result is None:
            return None
        core = tile.core.clipped(self._content.size)
        if isinstance(result, KeptCore):
            pixels = result.pixels.cpu()
            self._canvas.write(core, pixels)
            return pixels
        if not bool(result.is_finite.receive()):
            raise self._not_finite(core)
        pixels = result.colors.receive()
        if result.alpha.shape[0]:
            pixels = torch.cat([pixels, result.alpha.cpu()])
        self._canvas.write(core, pixels)
        return pixels

    def _not_finite(self, core: Rectangle) -> DeviceError | WeightsError:
        """The error for a tile with NaN or infinite values."""
        where = (
            f"the tile at row {core.top}, column {core.left} ({core.height} x {core.width} px) "
            "is NaN or infinite"
        )
        dtype = self._painter.networks[0].compute_dtype
        if dtype.itemsize < torch.float32.itemsize:
            name = str(dtype).removeprefix("torch.")
            return DeviceError(
                f"{where}: {name} is too narrow for this picture and style; "
                "use precision fp32 or auto"
            )
        return WeightsError(
            f"{where}: the network's values overflowed; "
            "use other weights, or get the weights file again"
        )


def _composite(painted: list[Tensor], coverage: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Mean of paintings by their coverage, (3, h, w), and the sum of the coverages, (h, w)."""
    if coverage is None:
        return painted[0], None
    if len(painted) == 1:
        return painted[0], coverage[0]
    shares = coverage.to(painted[0])
    total = shares.sum(0)
    mean = torch.zeros_like(painted[0])
    for share, each in zip(shares, painted):
        mean += each.clamp(0.0, 1.0) * share
    return mean / total.clamp(min=1e-12), total
