"""The statistics of a whole picture, measured tile by tile.

The features at a site depend on the normalizations before it, so each site takes a pass over all
tiles, in order. The result equals that of a single pass over a picture that fits in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ..geometry import Tile
from ..networks.full_precision import full_precision
from ..networks.model import Backbone
from ..networks.sites import Site, replay_until
from ..networks.statistics import Moments, SiteStats
from ..networks.style import StyleCode
from ..pictures.padding import read_stored, window_of
from ..pictures.source import Source
from ..progress import Listener
from .loop import TileLoop
from .transfer import Transfer, Upload


def exact_sites(
    content: Source,
    backbone: Backbone,
    code: StyleCode,
    tiles: TileLoop,
    listener: Listener,
    *,
    earlier: Mapping[str, SiteStats] | None = None,
    keep: Callable[[Mapping[str, SiteStats]], None] | None = None,
) -> dict[str, SiteStats]:
    """The statistics that plain instance normalization of the whole frame has, site by site.

    Args:
        content: the picture.
        backbone: on the device of ``tiles``.
        code: the style.
        tiles: the loop over the content's frame.
        listener: called after each tile of each pass.
        earlier: the first sites, if an interrupted run has measured them.
        keep: called after each site with all sites that are measured so far.
    """
    sites = dict(earlier or {})
    for name in backbone.network.site_names[len(sites) :]:
        measured = SiteMeasurement(content, backbone, code, name, dict(sites))
        tiles.run(stage_of_site(name), measured, listener)
        sites[name] = measured.stats()
        if keep is not None:
            keep(sites)
    return sites


def stage_of_site(name: str) -> str:
    """Name of the stage in which a site is measured."""
    return f"statistics {name}"


class SiteMeasurement:
    """The steps of a tile that add its core to the moments of a site."""

    def __init__(
        self,
        content: Source,
        backbone: Backbone,
        code: StyleCode,
        name: str,
        earlier: Mapping[str, SiteStats],
        *,
        moments: Moments | None = None,
    ) -> None:
        """Start with the ``moments`` of other pictures, if any."""
        self._content, self._code = content, code
        self._network = backbone.measuring_network
        self._transfer, self._dtype = Transfer(backbone.device), backbone.dtype
        self._name, self._earlier = name, earlier
        self.moments = moments

    def stats(self) -> SiteStats:
        assert self.moments is not None  # a frame has at least one tile
        return self.moments.stats()

    def read(self, tile: Tile) -> Upload:
        return self._transfer.upload(read_stored(self._content, tile.window))

    @full_precision()
    def compute(self, tile: Tile, window: Upload) -> None:
        site = self._reach_site(window_of(window.receive(), tile.window.size).to(self._dtype))
        # Features may be larger than the window: Multimodal Transfer doubles its size on the way.
        core = tile.core_in_window.scaled(site.features.shape[2], tile.window.height)
        if self.moments is None:
            self.moments = site.moments()
        self.moments.add(site.features[(..., *core.slices)])

    def write(self, tile: Tile, result: None) -> None:
        """Nothing to write: the moments are the result."""

    def _reach_site(self, window: Tensor) -> Site:
        stages = self._network.stages(window, self._code)
        return replay_until(stages, self._name, self._earlier)
