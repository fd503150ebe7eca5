"""The steps of a tile: read its window, stylize it, write its core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import DeviceError, WeightsError
from ..geometry import Rectangle, Size, Tile
from ..networks.tile_network import TileNetwork
from ..pictures.colors import keep_chroma
from ..pictures.mask import Mask, blend
from ..pictures.padding import pad_to_frame, read_stored, window_of
from ..pictures.source import Canvas, Source, from_unit
from .transfer import Download, Transfer, Upload


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
        """Noise for an area; called in the reading thread."""
        ...

    def join(
        self, content: Tensor, below: Tensor | None, noise: Tensor | None, area: Rectangle
    ) -> Tensor:
        """The network's input for an area, floating, 0..1, from the stored content there."""
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
    """The input of a tile: the stored pixels of its window, and alpha and mask of its core.

    ``coverage`` is None without a mask, and if the whole core is stylized. ``below`` and ``noise``
    come from a :class:`Refinement`.
    """

    colors: Upload
    alpha: Tensor
    coverage: Upload | None = None
    below: Upload | None = None
    noise: Upload | None = None


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
    copied, not computed. With ``keeps_colors``, the result keeps the content's chroma.
    """

    def __init__(
        self,
        network: TileNetwork,
        content: Source,
        canvas: Canvas,
        frame: Size,
        device: torch.device,
        *,
        mask: Mask | None = None,
        refinement: Refinement | None = None,
        keeps_colors: bool = False,
    ) -> None:
        self._refinement, self._keeps_colors = refinement, keeps_colors
        self._network, self._content, self._canvas = network, content, canvas
        self._frame, self._mask = frame, mask
        self._transfer = Transfer(device)

    def read(self, tile: Tile) -> TileInput:
        core = tile.core.clipped(self._content.size)
        if not core.area:
            return None
        coverage = None if self._mask is None else self._mask.coverage(core)
        if coverage is not None and not bool(coverage.any()):
            return KeptCore(read_stored(self._content, core))
        stored = read_stored(self._content, tile.window)
        alpha = stored[(slice(3, None), *core.relative_to(tile.window).slices)]
        if coverage is not None and bool((coverage == 1.0).all()):
            coverage = None
        below = noise = None
        if self._refinement is not None:
            area = tile.window.clipped(self._content.size)
            below, noise = self._refinement.read_below(area), self._refinement.read_noise(area)
        colors, *others = (
            None if pixels is None else self._transfer.upload(pixels)
            for pixels in (stored, coverage, below, noise)
        )
        assert colors is not None
        return StoredWindow(colors, alpha, *others)

    def compute(self, tile: Tile, window: TileInput) -> TileResult:
        if window is None or isinstance(window, KeptCore):
            return window
        stored = window.colors.receive()
        core = tile.core.clipped(self._content.size)
        inner_slices = core.relative_to(tile.window).slices
        if self._refinement is None:
            pixels = window_of(stored, tile.window.size)
            inner = self._paint(tile, pixels)[(..., *inner_slices)]
        else:
            inner = self._refine(self._refinement, tile, core, window)
        # Checked after the download, since a check here would wait for the device. A sum is
        # finite only if all summands are, and takes hardly any memory.
        is_finite = self._transfer.download(inner.sum(dtype=torch.float32).isfinite())
        kept = stored[(slice(3), *core.relative_to(tile.window).slices)]
        if self._keeps_colors:
            inner = keep_chroma(kept, inner)
        if window.coverage is None:
            colors = from_unit(inner, self._content.dtype)
        else:
            colors = blend(kept, inner.clamp(0.0, 1.0), window.coverage.receive())
        return StylizedCore(self._transfer.download(colors), is_finite, window.alpha)

    def _paint(self, tile: Tile, pixels: Tensor) -> Tensor:
        return self._network(pixels, at_border=tile.touches_border(self._frame))[0]

    def _refine(
        self, refinement: Refinement, tile: Tile, core: Rectangle, window: StoredWindow
    ) -> Tensor:
        """Join, paint, and merge a core."""
        area = tile.window.clipped(self._content.size)
        content = window.colors.receive()[:3]
        below = None if window.below is None else window.below.receive()
        noise = None if window.noise is None else window.noise.receive()
        joined = refinement.join(content, below, noise, area).unsqueeze(0)
        painted = self._paint(tile, pad_to_frame(joined, tile.window.size))
        height, width = area.size
        return refinement.merge(painted[:, :height, :width], content, below, area, core)

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
        dtype = self._network.compute_dtype
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
