"""The whole method on one screen: picture, thumbnail, statistics, tiles, canvas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.statistics import SiteStats
from ..networks.style import StyleCode
from ..networks.tile_network import TileNetwork
from ..pictures.mask import Mask
from ..pictures.source import Canvas, Source
from ..pictures.thumbnail import make_thumbnail
from ..progress import Listener, Progress, ignore
from ..tiling.device import explained_out_of_memory, find_device, find_precision
from ..tiling.exact_statistics import exact_sites
from ..tiling.loop import TileLoop
from ..tiling.precision import fastest_proven
from ..tiling.settings import Settings
from ..tiling.stylize_tile import TileStylizer
from ..tiling.tile_size import choose_tile_size

PREPARATION_STAGE = "thumbnail"
"""What listeners are told after each band that a large picture's thumbnail is made from."""

TILES_STAGE = "tiles"
"""What they are told after each tile."""


def stylize(
    content: Source,
    styles: Sequence[Source | str],
    canvas: Canvas,
    backbone: Backbone,
    settings: Settings | None = None,
    *,
    style_weights: Sequence[float] | None = None,
    mask: Mask | None = None,
    listener: Listener = ignore,
) -> FrozenStats:
    """Stylize a picture of any size: measure once, then tile by tile (arXiv:2103.11784).

    Args:
        content: the picture; its alpha, where it has one, is carried over untouched.
        styles: one or more style pictures; or names of styles inside the backbone's weights, none
            where there is one only.
        canvas: of the content's size, channels and dtype; every pixel of it is written once.
        backbone: network and weights; neither is changed.
        settings: see :class:`~urst_core.tiling.settings.Settings`.
        style_weights: share of each style, equal when not given.
        mask: where to stylize; tiles outside it are copied. The statistics remain the whole
            picture's.
        listener: told of each tile; what it raises ends the run.

    Returns:
        The statistics that were used.

    Raises:
        URSTError: one of its subclasses, for what cannot be used: pictures, settings, devices.
    """
    settings = settings or Settings()
    if mask is not None:
        mask.check_size(content.size)
    stats = measure(
        content, styles, backbone, settings, style_weights=style_weights, listener=listener
    )
    stylize_tiles(content, canvas, backbone, stats, settings, mask=mask, listener=listener)
    return stats


def measure(
    content: Source,
    styles: Sequence[Source | str] | StyleCode,
    backbone: Backbone,
    settings: Settings,
    *,
    style_weights: Sequence[float] | None = None,
    listener: Listener = ignore,
    earlier: FrozenStats | None = None,
    keep: Callable[[FrozenStats], None] | None = None,
) -> FrozenStats:
    """Image → statistics: what all tiles share. Arguments and errors as in :func:`stylize`.

    Args:
        styles: what they are for :func:`stylize`, or the code of :func:`encode_styles`.
        earlier: exact statistics that an interrupted run kept; their sites are not measured again.
        keep: handed exact statistics, as far as they are, after each site.
    """
    settings.check(backbone.traits)
    device = find_device(settings.device)
    backbone = backbone.on(device)
    if earlier is not None:
        earlier = earlier.to(device)
        return _measure_exactly(content, backbone, settings, earlier, listener, keep)
    thumbnail = thumbnail_of(content, settings.thumbnail_size, listener)
    with explained_out_of_memory(device, "the thumbnail and the styles", "smaller sizes of them"):
        code = styles
        if not isinstance(code, StyleCode):
            code = encode_styles(code, backbone, settings, style_weights, listener=listener)
        if settings.stats == "thumbnail":
            return backbone.collect(thumbnail, code, strength=settings.strength)
        code = backbone.code_for(thumbnail, code, strength=settings.strength)
    stats = backbone.stats(code, {}, strength=settings.strength)
    return _measure_exactly(content, backbone, settings, stats, listener, keep)


def encode_styles(
    styles: Sequence[Source | str],
    backbone: Backbone,
    settings: Settings,
    style_weights: Sequence[float] | None,
    *,
    listener: Listener = ignore,
) -> StyleCode:
    """Styles → their code, each no larger than the settings say; on the backbone's device.

    Errors as in :func:`stylize`.
    """
    small_styles = [
        style if isinstance(style, str) else thumbnail_of(style, settings.style_size, listener)
        for style in styles
    ]
    return backbone.encode_style(small_styles, style_weights)


def thumbnail_of(picture: Source, longest_side: int, listener: Listener) -> torch.Tensor:
    """Image → thumbnail, in as many steps as a large picture takes."""
    area = picture.size[0] * picture.size[1]

    def tell(share: float) -> None:
        listener(Progress(PREPARATION_STAGE, 0, 0, round(share * area), area))

    return make_thumbnail(picture, longest_side, tell=tell)


def _measure_exactly(
    content: Source,
    backbone: Backbone,
    settings: Settings,
    stats: FrozenStats,
    listener: Listener,
    keep: Callable[[FrozenStats], None] | None,
) -> FrozenStats:
    """Measure the sites that are missing from statistics."""
    tiles = tile_loop(content, backbone, settings, backbone.device, torch.float32)

    def keep_sites(sites: Mapping[str, SiteStats]) -> None:
        if keep is not None:
            keep(replace(stats, sites=dict(sites)))

    sites = exact_sites(
        content, backbone, stats.code, tiles, listener, earlier=stats.sites, keep=keep_sites
    )
    return replace(stats, sites=sites)


def stylize_tiles(
    content: Source,
    canvas: Canvas,
    backbone: Backbone,
    stats: FrozenStats,
    settings: Settings,
    *,
    mask: Mask | None = None,
    listener: Listener = ignore,
) -> None:
    """Statistics → tiles → stylize → assemble. Arguments and errors as in :func:`stylize`."""
    settings.check(backbone.traits)
    if mask is not None:
        mask.check_size(content.size)
    network = tile_network(backbone, stats, content, settings, find_device(settings.device))
    run_network(network, content, canvas, backbone, settings, mask=mask, listener=listener)


def run_network(
    network: TileNetwork,
    content: Source,
    canvas: Canvas,
    backbone: Backbone,
    settings: Settings,
    *,
    mask: Mask | None = None,
    stage: str = TILES_STAGE,
    listener: Listener = ignore,
) -> None:
    """Tiles → stylize → assemble, with what :func:`tile_network` made for the settings' device."""
    device = find_device(settings.device)
    tiles = tile_loop(content, backbone, settings, device, network.compute_dtype)
    work = TileStylizer(network, content, canvas, tiles.frame, device, mask=mask)
    tiles.run(stage, work, listener)


def tile_network(
    backbone: Backbone,
    stats: FrozenStats,
    sample: Source,
    settings: Settings,
    device: torch.device,
    *,
    pixels: int | None = None,
) -> TileNetwork:
    """Statistics → network, in the precision asked for, or one that proves itself on a sample.

    Args:
        pixels: of all that will be computed; those of the sample when not given.
    """
    baked = backbone.bake(stats)
    dtype = find_precision(settings.precision, backbone.traits)
    if dtype is None:
        dtype = fastest_proven(baked, sample, backbone.traits, device, pixels=pixels)
    return baked.prepared(device, dtype)


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
