"""One picture to be stylized, and everything that is decided before its first tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from ..networks.frozen_stats import FrozenStats, RegionStats
from ..networks.model import Backbone
from ..networks.statistics import SiteStats
from ..networks.style import AnyStyle, RegionCodes, StyleCode
from ..networks.tile_network import RegionNetworks, TileNetwork
from ..pictures.colors import ColorStatistics
from ..pictures.mask import Mask
from ..pictures.source import Canvas, Source, TensorCanvas
from ..pictures.thumbnail import thumbnail_size_of
from ..progress import TILES_STAGE, Listener, ignore
from ..tiling.batch_size import choose_batch
from ..tiling.device import explained_out_of_memory, find_device, find_precision, free_bytes
from ..tiling.exact_statistics import exact_sites
from ..tiling.loop import Ledger, TileLoop
from ..tiling.precision import fastest_proven
from ..tiling.settings import Settings
from ..tiling.stylize_tile import TileStylizer
from ..tiling.tile_size import LARGEST_TILE, choose_tile_size, largest_fitting
from .encoding import encode_regions, encode_styles, parts_of, thumbnail_of
from .level_pictures import LevelPicture, LevelPixels, level_canvas
from .regions import Regions
from .strokes import JoinedSource, Level, WithoutBrushwork, is_plain, level_margins, level_sizes


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
        level_dtype: of the pictures between levels, and what levels are joined and merged in; if
            None, pictures have the types that
            :func:`~urst_core.method.level_pictures.level_pictures` chooses, and levels are joined
            in float32. Proofs that tiles are exact choose float64.
        picture: the whole picture that this level belongs to; None if this is not a level.
        area: which pixels of the thumbnail are measured, (h, w), bool, on the CPU; all if None.
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
    area: Tensor | None = None

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
            SettingsError, DeviceError: as in :meth:`Settings.check` and :meth:`Regions.check`.
            ShapeError: the mask or the region map differs from the content in size.
        """
        settings = settings or Settings()
        settings.check(backbone.traits)
        if mask is not None:
            mask.check_size(content.size)
        if regions is not None:
            regions.check(content.size, settings, backbone.traits)
        # With its number, if there are several: another thread may have another current one.
        here = backbone.on(find_device(settings.device))
        return cls(content, here, settings, here.device, mask, regions, listener)

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
        """The network's input: the content, or what the level joins."""
        if self.level is None:
            return self.content
        return JoinedSource(self.content, self.level, self.device)

    @property
    def thumbnail_source(self) -> Source:
        """The picture whose thumbnail is measured: the network's input without brushwork."""
        if self.level is None or not self.level.brushwork:
            return self.source
        return WithoutBrushwork(self.source, self.content, self.level)

    def content_thumbnail(self) -> torch.Tensor:
        """The content, shrunk to the thumbnail size of the settings, (1, 3, h, w)."""
        return thumbnail_of(self.content, self.settings.thumbnail_size, self.listener)

    def level_canvas(self, like: LevelPicture) -> TensorCanvas:
        """A place in memory for a picture between the levels."""
        return level_canvas(replace(like, dtype=self.level_dtype or like.dtype))

    def level_pixels(self) -> LevelPixels:
        """Reports all levels to this run's listener as one stage."""
        network, is_exact = self.backbone.network, self.settings.stats == "exact"
        sites = network.site_names if is_exact else ()
        return LevelPixels(self.level_sizes, network.traits, self.listener, sites)

    def code_for_levels(
        self,
        styles: Sequence[AnyStyle] | StyleCode | Regions,
        style_weights: Sequence[float] | None = None,
    ) -> StyleCode:
        """Styles → their code, blended with the content's own according to the strength.

        Args:
            styles, style_weights: as in :func:`~urst_core.method.pipeline.stylize`.
        """
        with self._explained():
            code = self._code_of(styles, style_weights)
            strengths = self.strengths(code)
            if min(strengths) == 1.0:
                return code
            thumbnail = self.content_thumbnail()
            codes = self.backbone.codes_for(thumbnail, parts_of(code), strengths)
            return RegionCodes.of(codes) if isinstance(code, RegionCodes) else codes[0]

    def _code_of(
        self,
        styles: Sequence[AnyStyle] | StyleCode | Regions,
        style_weights: Sequence[float] | None,
    ) -> StyleCode:
        """Styles → their code, without the strength; for all regions, if there are any."""
        return styles if isinstance(styles, StyleCode) else self.encode(styles, style_weights)

    def strengths(self, code: StyleCode) -> list[float]:
        """The strength of each region, or of the only style."""
        strength = self.settings.strength
        if self.regions is None or not isinstance(code, RegionCodes):
            return [strength]
        return [strength * region.strength for region in self.regions.each]

    def without_regions(self, strength: float, area: Tensor | None) -> Run:
        """The run as if the style of one region, of that strength, were everywhere.

        Args:
            strength: of the region's style.
            area: from :meth:`areas`.
        """
        settings = replace(self.settings, strength=strength)
        return replace(self, regions=None, settings=settings, area=area)

    def areas(self) -> list[Tensor | None]:
        """For each region, or for the whole picture, which pixels of the thumbnail are measured."""
        if self.regions is None:
            return [self.area]
        return self.regions.areas(
            thumbnail_size_of(self.content.size, self.settings.thumbnail_size)
        )

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
            styles, style_weights: as in :func:`~urst_core.method.pipeline.stylize`.
            colors: what styles are matched to with the setting ``matched``; the content's colors
                if None.
        """
        if self.settings.colors == "matched":
            colors = colors or ColorStatistics.of([self.content_thumbnail()])
        if isinstance(styles, Regions):
            return encode_regions(styles, lambda style: self.encode([style], colors=colors))
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
            styles, style_weights: as in :func:`~urst_core.method.pipeline.stylize`; or the code of
                :meth:`encode`.
            earlier: exact statistics from an interrupted run; their sites and style are not
                measured again.
            keep: called after each site with the exact statistics so far.

        Raises:
            URSTError: as in :func:`~urst_core.method.pipeline.stylize`.
        """
        if earlier is not None:
            return self._measure_exactly(earlier.to(self.device), keep)
        strength = self.settings.strength
        thumbnail = thumbnail_of(self.thumbnail_source, self.settings.thumbnail_size, self.listener)
        with self._explained():
            code = self._code_of(styles, style_weights)
            if self.settings.stats != "exact":
                stats = self.backbone.collect_each(
                    thumbnail,
                    parts_of(code),
                    self.strengths(code),
                    local_radius=self.settings.radius,
                    areas=self.areas(),
                )
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
            pixels: total number of pixels to compute; :attr:`painted_pixels` if None.

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
            sizes += above if self.settings.stats != "exact" else ()
        return sum(Rectangle.of_size(size).area for size in sizes)

    def tiles(self, dtype: torch.dtype) -> TileLoop:
        """Picture → tiles: the cores of the frame, of the given size or one that fits."""
        traits = self.backbone.traits
        edge = self.settings.tile_size or choose_tile_size(
            self.frame, traits, dtype, self.device, margin=self.margin
        )
        return TileLoop(self.frame, edge, traits, self.device, self.margin)

    @property
    def largest_tile(self) -> int:
        """The largest edge of cores that fits on each level in float32, or the settings' one."""
        traits, settings = self.backbone.traits, self.settings
        margin = max(level_margins(self.content.size, settings, traits.stride))
        fitting = largest_fitting(traits, torch.float32, free_bytes(self.device), margin=margin)
        return settings.tile_size or max(traits.stride, min(LARGEST_TILE, fitting))

    @property
    def margin(self) -> int:
        """Additional halo that the level needs, in px."""
        return self.level.margin(self.backbone.traits.stride) if self.level else 0

    def work(self, network: TileNetwork, canvas: Canvas) -> TileStylizer:
        """The steps of each tile: read a window, stylize it, write its core."""
        return TileStylizer(
            network,
            self.content,
            canvas,
            self.frame,
            self.device,
            halo=self.backbone.traits.halo,
            margin=self.margin,
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
            canvas: as in :func:`~urst_core.method.pipeline.stylize`.
            stage: name of the stage, for the listener.
            ledger: lists the finished tiles of an earlier run, and records new ones.
        """
        tiles = self.tiles(network.compute_dtype)
        tiles = replace(tiles, batch=choose_batch(network, tiles))
        tiles.run(stage, self.work(network, canvas), self.listener, ledger=ledger)
