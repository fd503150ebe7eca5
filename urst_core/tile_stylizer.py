"""What is done to each tile: read its window, stylize it, write its core."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .backbone import TileNetwork
from .canvas import Canvas, Source, from_unit, read_stored, window_of
from .errors import DeviceError
from .geometry import Size, Tile
from .transfer import Download, Transfer, Upload


@dataclass(frozen=True)
class StoredWindow:
    """What a tile is computed from: its window's stored pixels, and its core's alpha."""

    colors: Upload
    alpha: Tensor


@dataclass(frozen=True)
class StylizedCore:
    """A core on its way back: the pixels to store, whether all were finite, and its alpha."""

    colors: Download
    is_finite: Download | None
    alpha: Tensor


class TileStylizer:
    """The steps of a tile, for :class:`~urst_core.tiling.TileLoop`.

    A tile whose core holds nothing but padding is left out: its steps are handed None.
    """

    def __init__(
        self,
        network: TileNetwork,
        content: Source,
        canvas: Canvas,
        frame: Size,
        device: torch.device,
    ) -> None:
        self._network, self._content, self._canvas = network, content, canvas
        self._frame = frame
        self._transfer = Transfer(device)

    def read(self, tile: Tile) -> StoredWindow | None:
        core = tile.core.clipped(self._content.size)
        if not core.area:
            return None
        stored = read_stored(self._content, tile.window)
        alpha = stored[(slice(3, None), *core.relative_to(tile.window).slices)]
        return StoredWindow(self._transfer.upload(stored), alpha)

    def compute(self, tile: Tile, window: StoredWindow | None) -> StylizedCore | None:
        if window is None:
            return None
        pixels = window_of(window.colors.receive(), tile.window.size)
        stylized = self._network(pixels, at_border=tile.touches_border(self._frame))[0]
        core = tile.core.clipped(self._content.size)
        inner = stylized[(..., *core.relative_to(tile.window).slices)]
        is_finite = None
        if self._network.compute_dtype != torch.float32:
            # Looked at when it has arrived: asking here would wait for the device.
            is_finite = self._transfer.download(inner.isfinite().all())
        colors = self._transfer.download(from_unit(inner, self._content.dtype))
        return StylizedCore(colors, is_finite, window.alpha)

    def write(self, tile: Tile, result: StylizedCore | None) -> Tensor | None:
        """The core's pixels as they were written; None where it holds nothing but padding.

        Raises:
            DeviceError: half precision overflowed.
        """
        if result is None:
            return None
        if result.is_finite is not None and not bool(result.is_finite.receive()):
            raise DeviceError(
                f"{self._network.compute_dtype} is too narrow for this picture and style: values "
                "overflowed; use precision fp32 or auto"
            )
        pixels = result.colors.receive()
        if result.alpha.shape[0]:
            pixels = torch.cat([pixels, result.alpha.cpu()])
        self._canvas.write(tile.core.clipped(self._content.size), pixels)
        return pixels
