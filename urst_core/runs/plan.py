"""Forecast of a file run: tiles, memory, disk, time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from ..errors import Change, DeviceError, OutputError
from ..formats.disk_needs import TemporarySpace, disk_needs
from ..formats.output_options import OutputOptions
from ..geometry import Size
from ..method.level_pictures import level_pictures
from ..method.run import Run
from ..networks.network import Traits
from ..networks.style import AnyStyle, pictures_among
from ..pictures.source import Source
from ..pictures.thumbnail import BAND_PIXELS, thumbnail_size_of
from ..tiling.batch_size import largest_batch
from ..tiling.device import find_precision, free_bytes
from ..tiling.prefetch import BEHIND, tiles_ahead
from ..tiling.settings import Settings
from .planned_tiles import planned_tiles

BAND_BYTES_PER_PIXEL = 3 * 4 * 3
"""A band of the picture while a thumbnail is made: as stored, as float32, and shrunk in width."""

LEVEL_BYTES_PER_PIXEL = 2 * 2 * 3 // 4
"""A level's window in preparation: content and picture of half its size."""

NOISE_BYTES_PER_PIXEL = 4
"""A level's noise in preparation, for other devices than the CPU."""

LEVEL_TILE_BYTES_PER_PIXEL = 40
"""A level's input, painting and picture in float32, and the blocks that are joined and merged;
see ``benchmarks/plan_against_run.py``."""

RETAINED_BYTES = 200_000_000
"""What the allocator keeps of a CPU's freed bands in the course of a tile; measured by
``benchmarks/plan_against_run.py``. Inputs and blocks of levels are made of it."""


@dataclass(frozen=True)
class Seconds:
    """Durations of the parts of a run, extrapolated from a few real tiles.

    Attributes:
        statistics, tiles, encoding: one after the other.
        start: of a program of its own, until the pictures are open and unpacked; 0 in one that runs
            already.
    """

    statistics: float
    tiles: float
    encoding: float
    start: float = 0.0

    @property
    def total(self) -> float:
        return self.start + self.statistics + self.tiles + self.encoding


@dataclass(frozen=True)
class Plan:
    """A forecast of one file run.

    Attributes:
        size, frame: height and width of the picture, and of the padded frame that is tiled.
        tile_size, tiles: edge of a core of the last level in px, and number of tiles.
        halo_share: extra pixels read for halos, as a share of those written; 0.5 is 50% more.
        passes: how often all tiles are computed: once, plus once for each exact statistic.
        levels: number of sizes in which the picture is painted; ``tiles`` counts all of them.
        device, precision: where and how precisely to compute; the precision is None if it has yet
            to be tried.
        tile_bytes, small_bytes: peak device memory for a tile, and for the thumbnail and the
            styles.
        device_free_bytes: free memory on the device.
        fitting_tile_size: the edge that would be chosen for that memory.
        host_bytes: host memory for windows on their way to and from the device.
        band_bytes: host memory for the bands from which a thumbnail is made, before the tiles.
        retained_bytes: freed host memory that the allocator keeps from tile to tile.
        program_bytes: memory that the program itself uses already.
        host_free_bytes: free host memory.
        folder: folder of the result and its work file.
        work_bytes, result_bytes: their sizes; that of the result is an upper bound.
        disk_free_bytes: free disk space in that folder.
        temporary_folder: where pictures are unpacked that cannot be read in parts.
        temporary_bytes, temporary_free_bytes: space needed and free there.
        seconds, likely_result_bytes: duration of the run, and size of its result; None if no tile
            was tried.
    """

    size: Size
    frame: Size
    tile_size: int
    tiles: int
    halo_share: float
    passes: int
    levels: int
    device: str
    precision: str | None
    tile_bytes: int
    small_bytes: int
    device_free_bytes: int
    fitting_tile_size: int
    host_bytes: int
    band_bytes: int
    retained_bytes: int
    program_bytes: int
    host_free_bytes: int
    folder: Path
    work_bytes: int
    result_bytes: int
    disk_free_bytes: int
    temporary_folder: Path
    temporary_bytes: int
    temporary_free_bytes: int
    seconds: Seconds | None = None
    likely_result_bytes: int | None = None

    @property
    def device_bytes(self) -> int:
        return max(self.tile_bytes, self.small_bytes)

    @property
    def needed_bytes(self) -> int:
        """Host memory that the run takes at its peak, beyond what the program uses already.

        On a CPU, device memory is host memory. Stages follow one another: bands of the picture
        become a thumbnail, the thumbnail is measured, tiles are stylized.
        """
        if self.device != "cpu":
            return max(self.host_bytes, self.band_bytes)
        tiles = self.host_bytes + self.tile_bytes + self.retained_bytes
        return max(tiles, self.band_bytes, self.small_bytes)

    @property
    def temporary_space(self) -> TemporarySpace:
        return TemporarySpace(
            self.temporary_folder, self.temporary_bytes, self.temporary_free_bytes
        )

    def check(self, *, present_bytes: int = 0) -> None:
        """Refuse a run that would fill the disk or run out of memory.

        Args:
            present_bytes: part of the work file that is already on the disk.

        Raises:
            OutputError: there is too little disk space.
            ImageError: there is too little temporary space to unpack the pictures.
            DeviceError: device or host have too little memory.
        """
        needed = self.work_bytes + self.result_bytes - present_bytes
        if needed > self.disk_free_bytes:
            raise OutputError(
                f"the result may take {format_bytes(needed)} with its work file, "
                f"{format_bytes(self.disk_free_bytes)} are free in {self.folder}; "
                "free some or choose another folder"
            )
        self.temporary_space.check(result_folder=self.folder, result_bytes=max(0, needed))
        free = f"{format_bytes(self.device_free_bytes)} are free"
        if self.small_bytes > self.device_free_bytes:
            raise DeviceError(
                f"the thumbnail and the styles need about {format_bytes(self.small_bytes)} on "
                f"{self.device}, {free}",
                Change("thumbnail_size", how="lower"),
                Change("style_size", how="lower"),
                "use another device",
            )
        if self.tile_bytes > self.device_free_bytes:
            raise DeviceError(
                f"tiles of {self.tile_size} px need about {format_bytes(self.tile_bytes)} on "
                f"{self.device}, {free}",
                "free some",
                self._smaller_tiles(),
            )
        needed = self.needed_bytes
        if needed > self.host_free_bytes:
            raise DeviceError(
                f"the run needs about {format_bytes(needed)} of memory, "
                f"{format_bytes(self.host_free_bytes)} are free",
                "close other programs",
                self._smaller_tiles(),
            )

    def as_dict(self) -> dict[str, Any]:
        """All values, in types that JSON supports."""
        return {
            **asdict(self),
            "device_bytes": self.device_bytes,
            "needed_bytes": self.needed_bytes,
            "folder": str(self.folder),
            "temporary_folder": str(self.temporary_folder),
        }

    def _smaller_tiles(self) -> str | Change:
        if self.fitting_tile_size < self.tile_size:
            return Change("tile_size", self.fitting_tile_size)
        return "use another device"


def plan_run(
    run: Run,
    styles: Sequence[AnyStyle],
    output: Path,
    options: OutputOptions,
    *,
    temporary: TemporarySpace | None = None,
) -> Plan:
    """Plan a run without trying any tile.

    Args:
        run: the content, the backbone and the settings.
        styles: as in :func:`urst_core.method.pipeline.stylize`.
        output: the file to write; its folder exists.
        options: options of its format.
        temporary: space for unpacking pictures; by default that of content and styles.
    """
    temporary = temporary or TemporarySpace.of([run.content, *styles])
    content, settings, device = run.content, run.settings, run.device
    traits = run.backbone.traits
    asked = find_precision(settings.precision, traits)
    # A precision that has yet to be tried may turn out to be float32.
    dtype = asked or torch.float32
    free = free_bytes(device)
    levels = planned_tiles(run, dtype, free)
    last, pixels = levels[-1], sum(each.area for each in levels)
    window = max((each.window for each in levels), key=_area)
    disk, folder = disk_needs(output, content, options), output.resolve().parent
    exact = settings.stats == "exact"
    tile_dtype = torch.float32 if exact else dtype
    tile_bytes_per_pixel = traits.bytes_per_pixel
    # Exact statistics are measured by the network itself, whose sites do not work in bands.
    if device.type == "cpu" and not exact and traits.tile_bytes_per_pixel is not None:
        tile_bytes_per_pixel = traits.tile_bytes_per_pixel
    level_bytes = 0 if run.is_plain else _area(window) * LEVEL_TILE_BYTES_PER_PIXEL
    in_one_tile = last.count == 1
    retained = RETAINED_BYTES if device.type == "cpu" and not in_one_tile else 0
    batch = largest_batch(
        last.frame, last.edge, last.halo, traits, tile_dtype, device, available_bytes=free
    )
    return Plan(
        size=content.size,
        frame=last.frame,
        tile_size=last.edge,
        tiles=sum(each.count for each in levels),
        halo_share=sum(each.area_read for each in levels) / pixels - 1,
        levels=len(levels),
        passes=1 + (len(run.backbone.network.site_names) if exact else 0),
        device=str(device),
        precision=settings.precision if asked else None,
        tile_bytes=batch
        * (_area(window) * tile_bytes_per_pixel + level_bytes)
        * tile_dtype.itemsize
        // 4,
        small_bytes=_small_bytes(content, styles, traits, settings),
        device_free_bytes=free,
        fitting_tile_size=last.fitting_edge,
        host_bytes=_window_bytes(content, window, run, in_one_tile=in_one_tile, batch=batch),
        band_bytes=min(_area(content.size), 2 * BAND_PIXELS) * BAND_BYTES_PER_PIXEL,
        retained_bytes=max(0, retained - level_bytes),
        program_bytes=psutil.Process().memory_info().rss,
        host_free_bytes=psutil.virtual_memory().available,
        folder=folder,
        work_bytes=disk.work_file
        + sum(2 * picture.bytes for picture in level_pictures(run.level_sizes)),
        result_bytes=disk.result,
        disk_free_bytes=shutil.disk_usage(folder).free,
        temporary_folder=temporary.folder,
        temporary_bytes=temporary.needed_bytes,
        temporary_free_bytes=temporary.free_bytes,
    )


def _small_bytes(
    content: Source, styles: Sequence[AnyStyle], traits: Traits, settings: Settings
) -> int:
    """Peak memory of the largest pass over an uncut picture: the thumbnail or a style."""
    thumbnail = thumbnail_size_of(content.size, settings.thumbnail_size)
    # Exact statistics need the thumbnail only for the content's own style.
    needs_thumbnail = settings.stats != "exact" or settings.strength < 1
    pictures = pictures_among(styles)
    areas = [_area(thumbnail_size_of(each.size, settings.style_size)) for each in pictures]
    areas.append(_area(traits.frame_of(thumbnail)) if needs_thumbnail else 0)
    return max(areas) * traits.bytes_per_pixel


def _window_bytes(content: Source, window: Size, run: Run, *, in_one_tile: bool, batch: int) -> int:
    """Host memory for prefetched windows; a single tile needs no others."""
    pixel_bytes = content.channels * content.dtype.itemsize
    if not run.is_plain:
        pixel_bytes += LEVEL_BYTES_PER_PIXEL
        pixel_bytes += 0 if run.device.type == "cpu" else NOISE_BYTES_PER_PIXEL
    count = 1 if in_one_tile else tiles_ahead(batch) + batch + max(BEHIND, batch)
    return count * _area(window) * pixel_bytes


def _area(size: Size) -> int:
    return size[0] * size[1]


def format_bytes(count: int) -> str:
    """Bytes as a readable number of MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
