"""The whole method on one screen: picture, thumbnail, statistics, tiles, canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .backbone import Backbone, TileNetwork
from .canvas import Canvas, Source, from_unit, make_thumbnail, read_stored, window_of
from .device import choose_tile_size, explained_out_of_memory, find_device, find_precision
from .errors import DeviceError
from .exact import exact_sites
from .geometry import Size, Tile
from .precision import fastest_proven
from .settings import Settings
from .stats import ThumbnailStats
from .tiling import Listener, TileLoop, ignore
from .transfer import Download, Transfer, Upload


def stylize(
    content: Source,
    styles: Sequence[Source | str],
    canvas: Canvas,
    backbone: Backbone,
    settings: Settings | None = None,
    *,
    style_weights: Sequence[float] | None = None,
    listener: Listener = ignore,
) -> ThumbnailStats:
    """Stylize a picture of any size: measure once, then tile by tile (arXiv:2103.11784).

    Args:
        content: the picture; its alpha, where it has one, is carried over untouched.
        styles: one or more style pictures; or names of styles inside the backbone's weights, none
            where there is one only.
        canvas: of the content's size, channels and dtype; every pixel of it is written once.
        backbone: network and weights; neither is changed.
        settings: see :class:`~urst_core.settings.Settings`.
        style_weights: share of each style, equal when not given.
        listener: told of each tile; what it raises ends the run.

    Returns:
        The statistics that were used.

    Raises:
        URSTError: one of its subclasses, for what cannot be used: pictures, settings, devices.
    """
    settings = settings or Settings()
    stats = measure(
        content, styles, backbone, settings, style_weights=style_weights, listener=listener
    )
    stylize_tiles(content, canvas, backbone, stats, settings, listener=listener)
    return stats


def measure(
    content: Source,
    styles: Sequence[Source | str],
    backbone: Backbone,
    settings: Settings,
    *,
    style_weights: Sequence[float] | None = None,
    listener: Listener = ignore,
) -> ThumbnailStats:
    """Image → statistics: what all tiles share. Arguments and errors as in :func:`stylize`."""
    settings.check(backbone.traits)
    device = find_device(settings.device)
    backbone = backbone.on(device)
    thumbnail = make_thumbnail(content, settings.thumbnail_size)
    with explained_out_of_memory(device, "the thumbnail and the styles", "smaller sizes of them"):
        small_styles = [
            style if isinstance(style, str) else make_thumbnail(style, settings.style_size)
            for style in styles
        ]
        code = backbone.encode_style(small_styles, style_weights)
        if settings.stats == "thumbnail":
            return backbone.collect(thumbnail, code, strength=settings.strength)
        code = backbone.code_for(thumbnail, code, strength=settings.strength)
    tiles = tile_loop(content, backbone, settings, device, torch.float32)
    sites = exact_sites(content, backbone, code, tiles, listener)
    return backbone.stats(code, sites, strength=settings.strength)


def stylize_tiles(
    content: Source,
    canvas: Canvas,
    backbone: Backbone,
    stats: ThumbnailStats,
    settings: Settings,
    *,
    listener: Listener = ignore,
) -> None:
    """Statistics → tiles → stylize → assemble. Arguments and errors as in :func:`stylize`."""
    settings.check(backbone.traits)
    device = find_device(settings.device)
    network = tile_network(backbone, stats, content, settings, device)
    tiles = tile_loop(content, backbone, settings, device, network.compute_dtype)
    work = TileStylizer(network, content, canvas, tiles.frame, device)
    tiles.run("tiles", work, listener)


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
    """What is done to each tile: read its window, stylize it, write its core.

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


def tile_network(
    backbone: Backbone,
    stats: ThumbnailStats,
    sample: Source,
    settings: Settings,
    device: torch.device,
) -> TileNetwork:
    """Statistics → network, in the precision asked for, or one that proves itself on a sample."""
    baked = backbone.bake(stats)
    asked = find_precision(settings.precision, backbone.traits)
    return baked.prepared(device, asked or fastest_proven(baked, sample, backbone.traits, device))


def tile_loop(
    content: Source,
    backbone: Backbone,
    settings: Settings,
    device: torch.device,
    dtype: torch.dtype,
) -> TileLoop:
    """Image → tiles: the cores of the content's frame, of the size asked for or one that fits."""
    traits = backbone.traits
    frame = traits.frame_of(content.size)
    edge = settings.tile_size or choose_tile_size(frame, traits, dtype, device)
    return TileLoop(frame, edge, traits, device)
