"""Statistics measured on several pictures as if they were one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from ..errors import ShapeError
from ..networks.network import Backbone, pad_to_frame, size_of
from ..networks.sites import replay_until
from ..networks.statistics import Moments, SiteStats
from ..networks.style import StyleCode, ThumbnailStats, blend
from ..pictures.source import Source, make_thumbnail
from ..tiling.device import explained_out_of_memory
from ..tiling.exact_statistics import SiteMeasurement
from ..tiling.loop import Listener, Progress, ignore
from ..tiling.settings import Settings
from .pipeline import tile_loop


def measure_together(
    contents: Sequence[Source],
    code: StyleCode,
    backbone: Backbone,
    settings: Settings,
    *,
    listener: Listener = ignore,
) -> ThumbnailStats:
    """The statistics of several pictures as if they were one, site after site.

    Where the strength is below 1, the contents' own style codes are averaged over the pictures.

    Args:
        contents: the pictures, of one size.
        code: the style.
        backbone: on the device that measures.
        settings: see :class:`~urst_core.tiling.settings.Settings`; checked already.
        listener: told of each step of each site; what it raises ends the run.

    Raises:
        ShapeError: the pictures are of several sizes; or there are none.
        URSTError: as in :func:`urst_core.method.pipeline.measure`.
    """
    _check_sizes(contents)
    code = _code_for_all(contents, backbone, settings, code, listener)
    measure_site = _exact_site if settings.stats == "exact" else _thumbnail_site
    sites: dict[str, SiteStats] = {}
    for name in backbone.network.site_names:
        sites[name] = measure_site(contents, backbone, settings, code, name, sites, listener)
    return backbone.stats(code, sites, strength=settings.strength)


def _code_for_all(
    contents: Sequence[Source],
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    listener: Listener,
) -> StyleCode:
    if settings.strength == 1.0 or backbone.network.style_names:
        return code
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        codes: list[StyleCode] = []
        for content in contents:
            _tell_of_thumbnail(content, "style of the contents", listener)
            thumbnail = make_thumbnail(content, settings.thumbnail_size)
            codes.append(backbone.code_for(thumbnail, code, strength=settings.strength))
        return blend(codes, [1.0] * len(codes))


def _thumbnail_site(
    contents: Sequence[Source],
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    name: str,
    earlier: Mapping[str, SiteStats],
    listener: Listener,
) -> SiteStats:
    """One site, measured on the thumbnails of all pictures; they are made anew for each site."""
    moments: Moments | None = None
    with explained_out_of_memory(backbone.device, "the thumbnails", "smaller ones"):
        for content in contents:
            _tell_of_thumbnail(content, f"statistics {name}", listener)
            thumbnail = make_thumbnail(content, settings.thumbnail_size).to(backbone.device)
            framed = pad_to_frame(thumbnail, backbone.traits.frame_of(size_of(thumbnail)))
            with torch.inference_mode():
                site = replay_until(backbone.network.stages(framed, code), name, earlier)
                moments = moments or site.moments()
                moments.add(site.features)
    assert moments is not None  # there is at least one picture
    return moments.stats()


def _exact_site(
    contents: Sequence[Source],
    backbone: Backbone,
    settings: Settings,
    code: StyleCode,
    name: str,
    earlier: Mapping[str, SiteStats],
    listener: Listener,
) -> SiteStats:
    """One site, measured on all tiles of all pictures."""
    measured: SiteMeasurement | None = None
    for index, content in enumerate(contents):
        tiles = tile_loop(content, backbone, settings, backbone.device, torch.float32)
        measured = SiteMeasurement(
            content, backbone, code, name, earlier, moments=measured and measured.moments
        )
        tiles.run(f"statistics {name}", measured, _part_of(listener, index, len(contents)))
    assert measured is not None  # there is at least one picture
    return measured.stats()


def _tell_of_thumbnail(content: Source, stage: str, listener: Listener) -> None:
    """Thumbnails are quick: no progress worth counting, but a run may be cancelled here."""
    height, width = content.size
    listener(Progress(stage, 0, 0, 0, height * width))


def _part_of(listener: Listener, index: int, count: int) -> Listener:
    """Tells of one of several equal parts of a stage as progress of the whole stage."""

    def tell(progress: Progress) -> None:
        done = index * progress.pixels_total + progress.pixels_done
        listener(replace(progress, pixels_done=done // count))

    return tell


def _check_sizes(contents: Sequence[Source]) -> None:
    sizes = {content.size for content in contents}
    if len(sizes) != 1:
        raise ShapeError(
            f"pictures of {len(sizes)} sizes cannot share statistics; "
            "give at least one, all of one size"
        )
