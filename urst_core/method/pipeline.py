"""The whole method on one screen: picture, thumbnail, statistics, tiles, canvas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch

from ..errors import Change, SettingsError
from ..geometry import Rectangle, Size
from ..networks.frozen_stats import FrozenStats, RegionStats
from ..networks.model import Backbone
from ..networks.statistics import SiteStats
from ..networks.style import AnyStyle, RegionCodes, StyleCode, blend
from ..networks.tile_network import RegionNetworks, TileNetwork
from ..pictures.colors import ColorStatistics
from ..pictures.mask import Mask
from ..pictures.source import Canvas, Source, TensorCanvas
from ..pictures.thumbnail import make_thumbnail
from ..progress import Listener, Progress, ignore
from ..tiling.device import explained_out_of_memory, find_device, find_precision
from ..tiling.exact_statistics import exact_sites
from ..tiling.loop import Ledger, TileLoop
from ..tiling.precision import fastest_proven
from ..tiling.settings import Settings
from ..tiling.stylize_tile import TileStylizer
from ..tiling.tile_size import choose_tile_size
from .level_pictures import (
    PREPARATION_STAGE,
    TILES_STAGE,
    LevelPicture,
    LevelPixels,
    level_canvas,
    level_contents,
    level_pictures,
)
from .regions import Regions
from .strokes import Below, JoinedSource, Level, WithoutBrushwork, is_plain, level_sizes


def stylize(
    content: Source,
    styles: Sequence[AnyStyle] | StyleCode | Regions,
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
        content: the picture; its alpha, if any, is carried over untouched.
        styles: one or more style pictures, names of built-in styles, or codes (empty if there is
            only one built-in style); or the code of them all; or a style for each region.
        canvas: of the content's size, channels and dtype; every pixel of it is written once.
        backbone: network and weights; neither is changed.
        settings: see :class:`~urst_core.tiling.settings.Settings`.
        style_weights: share of each style; equal if None.
        mask: where to stylize; tiles outside it are copied. Statistics are always those of the
            whole picture.
        listener: called after each tile; if it raises, the run ends.

    Returns:
        The statistics that were used.

    Raises:
        URSTError: a picture, a setting or the device cannot be used.
    """
    regions = styles if isinstance(styles, Regions) else None
    run = Run.of(content, backbone, settings, mask=mask, regions=regions, listener=listener)
    check_matchable(styles, backbone, run.settings)
    if not run.is_plain:
        return stylize_levels(run, styles, canvas, style_weights=style_weights)
    stats = run.measure(styles, style_weights=style_weights)  # once, a few KB
    network = run.network(stats)  # a plain convolutional network
    run.stylize(network, canvas)  # many tiles, independent
    return stats


def stylize_levels(
    run: Run,
    styles: Sequence[AnyStyle] | StyleCode | Regions,
    canvas: Canvas,
    *,
    style_weights: Sequence[float] | None = None,
) -> FrozenStats:
    """Stylize a picture level by level, the coarsest first; see :mod:`urst_core.method.strokes`.

    Args:
        run: the run of the picture.
        styles, canvas, style_weights: as in :func:`stylize`.

    Returns:
        The statistics of the last level.
    """
    sizes = run.level_sizes
    pixels = run.level_pixels()
    run = replace(run, listener=pixels.listener(0))
    code = run.code_for_levels(styles, style_weights)
    contents = level_contents(run.content, sizes, run.level_canvas, run.listener)
    below: Below | None = None
    painter: LevelPainter | None = None
    for number, like in enumerate(level_pictures(sizes)):
        content, picture = contents[number], run.level_canvas(like)
        level = run.at_level(number, content, below, pixels.listener(number))
        painter = level.painter(code, painter)
        level.stylize(painter.network, picture)
        below = Below(content, picture)
    level = run.at_level(len(contents) - 1, run.content, below, pixels.listener(len(contents) - 1))
    painter = level.painter(code, painter)
    level.stylize(painter.network, canvas)
    return painter.stats


@dataclass(frozen=True)
class LevelPainter:
    """The network of a level, and the statistics it was made with."""

    stats: FrozenStats
    network: TileNetwork


@dataclass(frozen=True)
class Run:
    """One picture to be stylized, and everything that is decided before its first tile.

    Create one with :meth:`of`, which checks and resolves the settings; use
    :func:`dataclasses.replace` for another picture with the same settings.

    Attributes:
        content: the picture.
        backbone: network and weights, on the device that computes.
        settings: checked against the backbone.
        device: the device in the settings, or the best available one.
        mask: where to stylize; everywhere if None.
        regions: where to use which style; one style everywhere if None.
        listener: called with the progress; if it raises, the run ends.
        level: joins the content with a smaller painting, and merges the network's output into that;
            None in a plain pass.
        level_dtype: of the pictures between levels, and what levels are joined and merged in; None
            for those of :func:`~urst_core.method.level_pictures.level_pictures`, and float32.
            Proofs that tiles are exact choose float64.
        picture: the whole picture that this level belongs to; None if this is not a level.
    """

    content: Source
    backbone: Backbone
    settings: Settings
    device: torch.device
    mask: Mask | None = None
    regions: Regions | None = None
    listener: Listener = ignore
    level: Level | None = None
    level_dtype: torch.dtype | None = None
    picture: Source | None = None

    @classmethod
    def of(
        cls,
        content: Source,
        backbone: Backbone,
        settings: Settings | None = None,
        *,
        mask: Mask | None = None,
        regions: Regions | None = None,
        listener: Listener = ignore,
    ) -> Run:
        """Check the settings, and move the backbone to the device.

        Raises:
            SettingsError, DeviceError: as in :meth:`Settings.check`; or regions are to have exact
                statistics.
            ShapeError: the mask or the region map differs from the content in size.
        """
        settings = settings or Settings()
        settings.check(backbone.traits)
        if mask is not None:
            mask.check_size(content.size)
        if regions is not None:
            regions.check_size(content.size)
            if settings.stats == "exact":
                raise SettingsError(
                    "exact statistics are measured for one style only, not for regions",
                    Change("stats", "thumbnail"),
                )
        device = find_device(settings.device)
        return cls(content, backbone.on(device), settings, device, mask, regions, listener)

    @property
    def frame(self) -> Size:
        """The size of the content after padding."""
        return self.backbone.traits.frame_of(self.content.size)

    @property
    def level_sizes(self) -> tuple[Size, ...]:
        """The sizes that the picture is stylized in, coarsest first."""
        return level_sizes(self.content.size, self.settings)

    @property
    def is_plain(self) -> bool:
        """Whether a single pass without brushwork makes the picture."""
        return is_plain(self.level_sizes, self.settings)

    @property
    def source(self) -> Source:
        """The network's input: the content, or that of the level."""
        if self.level is None:
            return self.content
        return JoinedSource(self.content, self.level, self.device)

    @property
    def thumbnail_source(self) -> Source:
        """The picture whose thumbnail is measured: the network's input without brushwork."""
        if self.level is None or not self.level.brushwork:
            return self.source
        return WithoutBrushwork(self.source, self.content, self.level)

    def level_canvas(self, like: LevelPicture) -> TensorCanvas:
        """A place in memory for a picture between the levels."""
        return level_canvas(replace(like, dtype=self.level_dtype or like.dtype))

    def level_pixels(self) -> LevelPixels:
        """Reports all levels to this run's listener as one stage."""
        network, is_exact = self.backbone.network, self.settings.stats == "exact"
        sites = network.site_names if is_exact else ()
        return LevelPixels(self.level_sizes, network.traits, self.listener, sites)

    def at_level(
        self, number: int, content: Source, below: Below | None, listener: Listener
    ) -> Run:
        """The run of one level of this picture, for a style from :meth:`code_for_levels`.

        Args:
            number: number of the level; 0 is the coarsest.
            content: content of the level; the picture itself on the last one.
            below: the level below; None for the coarsest.
            listener: called with the progress of the level.
        """
        settings, sizes = self.settings, self.level_sizes
        is_last = number == len(sizes) - 1
        level = Level(
            number,
            content.size,
            below,
            detail=settings.detail,
            brushwork=settings.brushwork if below is not None or is_last else 0.0,
            seed=settings.seed,
            # Regions mix it in themselves, each its own share.
            content_share=self.backbone.content_share(settings.strength)
            if is_last and self.regions is None
            else 0.0,
            coarsest=sizes[0],
            dtype=self.level_dtype or torch.float32,
        )
        # The code is already blended, and the content is mixed in only once, at the end; so are its
        # colors.
        colors = settings.colors if is_last else "style"
        return replace(
            self,
            content=content,
            settings=replace(settings, strength=1.0, colors=colors),
            mask=self.mask if is_last else None,
            regions=self._regions_at_level(content.size, is_last=is_last),
            listener=listener,
            level=level,
            picture=self.content,
        )

    def painter(
        self,
        code: StyleCode,
        below: LevelPainter | None,
        *,
        earlier: FrozenStats | None = None,
        keep: Callable[[FrozenStats], None] | None = None,
    ) -> LevelPainter:
        """Measure this level, and make its network; or take both from the level below.

        Args:
            code: from :meth:`code_for_levels`.
            below: painter of the level below; None for the coarsest.
            earlier, keep: as in :meth:`measure`.
        """
        if below is not None and self.shares_statistics:
            return below
        stats = earlier
        if stats is None or self._lacks_sites(stats):
            stats = self.measure(code, earlier=earlier, keep=keep)
        return LevelPainter(stats, self.network(stats))

    def level_stats(self, code: StyleCode, below: FrozenStats | None) -> FrozenStats:
        """Measure this level, or take the statistics of the level below.

        Args:
            code: from :meth:`code_for_levels`.
            below: statistics of the level below; None for the coarsest.
        """
        return below if below is not None and self.shares_statistics else self.measure(code)

    @property
    def shares_statistics(self) -> bool:
        """Whether this level has the statistics, and so the network, of the level below.

        The inputs of all levels but the coarsest are enlarged paintings with detail, of the same
        composition. So their thumbnails are nearly the same, and only the smallest is measured.
        """
        return (
            self.settings.stats == "thumbnail" and self.level is not None and self.level.number > 1
        )

    def _lacks_sites(self, stats: FrozenStats) -> bool:
        """Whether exact statistics were interrupted."""
        return len(stats.sites) < len(self.backbone.network.site_names)

    def _regions_at_level(self, size: Size, *, is_last: bool) -> Regions | None:
        if self.regions is None or not is_last:
            return self.regions and self.regions.on_level(size)
        strengths = [self.settings.strength * region.strength for region in self.regions.each]
        return self.regions.on_last_level([self.backbone.content_share(s) for s in strengths])

    def code_for_levels(
        self,
        styles: Sequence[AnyStyle] | StyleCode | Regions,
        style_weights: Sequence[float] | None = None,
    ) -> StyleCode:
        """Styles → their code, blended with the content's own according to the strength.

        Args:
            styles, style_weights: as in :func:`stylize`.
        """
        with self._explained():
            code = self._code_of(styles, style_weights)
            strengths = self.strengths(code)
            if min(strengths) == 1.0:
                return code
            thumbnail = thumbnail_of(self.content, self.settings.thumbnail_size, self.listener)
            codes = [
                self.backbone.code_for(thumbnail, part, strength=strength)
                for part, strength in zip(_parts(code), strengths)
            ]
            return RegionCodes.of(codes) if isinstance(code, RegionCodes) else codes[0]

    def _code_of(
        self,
        styles: Sequence[AnyStyle] | StyleCode | Regions,
        style_weights: Sequence[float] | None,
    ) -> StyleCode:
        """Styles → their code, without the strength; that of all regions if there are any."""
        return styles if isinstance(styles, StyleCode) else self.encode(styles, style_weights)

    def _encode_regions(self, regions: Regions, colors: ColorStatistics | None) -> RegionCodes:
        """Each style is encoded once, even if several regions mix it."""
        every = {id(style): style for region in regions.each for style in region.styles}
        codes = {key: self.encode([style], colors=colors) for key, style in every.items()}
        mixed: list[StyleCode] = []
        for region in regions.each:
            weights = region.weights or [1.0] * len(region.styles)
            mixed.append(blend([codes[id(style)] for style in region.styles], weights))
        return RegionCodes.of(mixed)

    def strengths(self, code: StyleCode) -> list[float]:
        """The strength of each region, or of the only style."""
        strength = self.settings.strength
        if self.regions is None or not isinstance(code, RegionCodes):
            return [strength]
        return [strength * region.strength for region in self.regions.each]

    def without_regions(self, strength: float) -> Run:
        """The run as if the style of one region, of that strength, were everywhere."""
        return replace(self, regions=None, settings=replace(self.settings, strength=strength))

    def _explained(self) -> AbstractContextManager[None]:
        return explained_out_of_memory(
            self.device, "the thumbnail and the styles", "smaller sizes of them"
        )

    def encode(
        self,
        styles: Sequence[AnyStyle] | Regions,
        style_weights: Sequence[float] | None = None,
        *,
        colors: ColorStatistics | None = None,
    ) -> StyleCode:
        """Styles → their code; each style is shrunk to the style size of the settings.

        Args:
            styles, style_weights: as in :func:`stylize`.
            colors: what styles are matched to with the setting ``matched``; those of the content if
                None.
        """
        if self.settings.colors == "matched":
            colors = colors or color_statistics([self])
        if isinstance(styles, Regions):
            return self._encode_regions(styles, colors)
        return encode_styles(
            styles, style_weights, self.backbone, self.settings, self.listener, colors=colors
        )

    def measure(
        self,
        styles: Sequence[AnyStyle] | StyleCode | Regions,
        *,
        style_weights: Sequence[float] | None = None,
        earlier: FrozenStats | None = None,
        keep: Callable[[FrozenStats], None] | None = None,
    ) -> FrozenStats:
        """Picture → the statistics that all tiles share.

        Args:
            styles, style_weights: as in :func:`stylize`; or the code of :meth:`encode`.
            earlier: exact statistics from an interrupted run; their sites and style are not
                measured again.
            keep: called after each site with the exact statistics so far.

        Raises:
            URSTError: as in :func:`stylize`.
        """
        if earlier is not None:
            return self._measure_exactly(earlier.to(self.device), keep)
        strength = self.settings.strength
        thumbnail = thumbnail_of(self.thumbnail_source, self.settings.thumbnail_size, self.listener)
        with self._explained():
            code = self._code_of(styles, style_weights)
            if self.settings.stats == "thumbnail":
                stats = [
                    self.backbone.collect(thumbnail, part, strength=strength)
                    for part, strength in zip(_parts(code), self.strengths(code))
                ]
                return RegionStats.of(stats) if isinstance(code, RegionCodes) else stats[0]
            code = self.backbone.code_for(thumbnail, code, strength=strength)
        return self._measure_exactly(self.backbone.stats(code, {}, strength=strength), keep)

    def _measure_exactly(
        self, stats: FrozenStats, keep: Callable[[FrozenStats], None] | None
    ) -> FrozenStats:
        """Measure the missing sites, tile by tile."""

        def keep_sites(sites: Mapping[str, SiteStats]) -> None:
            if keep is not None:
                keep(replace(stats, sites=dict(sites)))

        sites = exact_sites(
            self.source,
            self.backbone,
            stats.code,
            self.tiles(torch.float32),
            self.listener,
            earlier=stats.sites,
            keep=keep_sites,
        )
        return replace(stats, sites=sites)

    def network(self, stats: FrozenStats, *, pixels: int | None = None) -> TileNetwork:
        """Statistics → network, in the precision of the settings, or one that passes a trial.

        Args:
            stats: statistics of this picture, or of a picture that contains it.
            pixels: total number of pixels to compute; that of the content if None, or that of all
                levels which share the network.

        Raises:
            StatsError: the statistics were measured with another backbone or other weights.
        """
        # On the CPU: folding needs float64, which some devices lack.
        backbone, traits = self.backbone.on(torch.device("cpu")), self.backbone.traits
        parts = stats.parts if isinstance(stats, RegionStats) else (stats,)
        baked = [backbone.bake(part) for part in parts]
        dtype = find_precision(self.settings.precision, traits)
        if dtype is None:
            sample, pixels = self.proof_sample, pixels or self.painted_pixels
            proven = {
                fastest_proven(each, sample, traits, self.device, pixels=pixels) for each in baked
            }
            dtype = proven.pop() if len(proven) == 1 else torch.float32
        networks = [each.prepared(self.device, dtype) for each in baked]
        return RegionNetworks(networks) if isinstance(stats, RegionStats) else networks[0]

    @property
    def proof_sample(self) -> Source:
        """The picture that half precision is tried on, of the depth that the result is stored in.

        The coarsest level is tried on its own content, in floats, since it is the preview; other
        levels on the whole picture, although they are stored in 16 bits.
        """
        if self.level is None or self.level.number == 0 or self.picture is None:
            return self.content
        return self.picture

    @property
    def painted_pixels(self) -> int:
        """Number of pixels of this picture, or of all levels that this one's network paints."""
        sizes = [self.content.size]
        if self.picture is not None and self.level is not None and self.level.number:
            above = level_sizes(self.picture.size, self.settings)[self.level.number + 1 :]
            sizes += above if self.settings.stats == "thumbnail" else ()
        return sum(Rectangle.of_size(size).area for size in sizes)

    def tiles(self, dtype: torch.dtype) -> TileLoop:
        """Picture → tiles: the cores of the frame, of the given size or one that fits."""
        traits = self.backbone.traits
        margin = self.level.margin(traits.stride) if self.level else 0
        edge = self.settings.tile_size or choose_tile_size(
            self.frame, traits, dtype, self.device, margin=margin
        )
        return TileLoop(self.frame, edge, traits, self.device, margin)

    def work(self, network: TileNetwork, canvas: Canvas) -> TileStylizer:
        """The steps of each tile: read a window, stylize it, write its core."""
        return TileStylizer(
            network,
            self.content,
            canvas,
            self.frame,
            self.device,
            mask=self.mask,
            refinement=self.level,
            regions=self.regions.map if self.regions else None,
            keeps_colors=self.settings.colors == "content",
        )

    def stylize(
        self,
        network: TileNetwork,
        canvas: Canvas,
        *,
        stage: str = TILES_STAGE,
        ledger: Ledger | None = None,
    ) -> None:
        """Tiles → stylize → assemble.

        Args:
            network: from :meth:`network`.
            canvas: as in :func:`stylize`.
            stage: name of the stage, for the listener.
            ledger: lists the finished tiles of an earlier run, and records those of this one.
        """
        tiles = self.tiles(network.compute_dtype)
        tiles.run(stage, self.work(network, canvas), self.listener, ledger=ledger)


def encode_styles(
    styles: Sequence[AnyStyle],
    weights: Sequence[float] | None,
    backbone: Backbone,
    settings: Settings,
    listener: Listener,
    *,
    colors: ColorStatistics | None = None,
) -> StyleCode:
    """Styles → their code; pictures are shrunk to the style size, codes are used as they are.

    Pictures are matched to ``colors``, if there are any.
    """

    def small(style: Source) -> torch.Tensor:
        thumbnail = thumbnail_of(style, settings.style_size, listener)
        return thumbnail if colors is None else colors.match(thumbnail)

    each = [style if isinstance(style, (str, StyleCode)) else small(style) for style in styles]
    return backbone.encode_style(each, weights, match=settings.match)


def check_matchable(styles: object, backbone: Backbone, settings: Settings) -> None:
    """Refuse styles that cannot be matched to the content's colors, if the settings ask for it.

    Raises:
        SettingsError: one of them is encoded or built in.
    """
    if settings.colors != "matched":
        return
    if isinstance(styles, Regions):
        styles = [style for region in styles.each for style in region.styles]
    several = styles if isinstance(styles, (list, tuple)) else [styles]
    if backbone.network.style_names or any(isinstance(style, StyleCode) for style in several):
        raise SettingsError(
            "styles that are encoded or built in cannot be matched to the content's colors",
            Change("colors", "content"),
            "give style pictures",
        )


def _parts(code: StyleCode) -> tuple[StyleCode, ...]:
    """The codes of all regions; the code itself if there is only one."""
    return code.parts if isinstance(code, RegionCodes) else (code,)


def color_statistics(runs: Sequence[Run]) -> ColorStatistics:
    """Measure the colors of one or several contents on their thumbnails."""
    return ColorStatistics.of(
        thumbnail_of(run.content, run.settings.thumbnail_size, run.listener) for run in runs
    )


def thumbnail_of(picture: Source, longest_side: int, listener: Listener) -> torch.Tensor:
    """Picture → thumbnail, in as many steps as a large picture takes."""
    area = picture.size[0] * picture.size[1]

    def tell(share: float) -> None:
        listener(Progress(PREPARATION_STAGE, 0, 0, round(share * area), area))

    return make_thumbnail(picture, longest_side, tell=tell)
