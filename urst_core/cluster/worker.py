"""What runs on each machine of a cluster: one process that stylizes the tiles it is given."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import ClusterError, URSTError
from ..formats.input_options import InputOptions
from ..formats.open import open_picture
from ..formats.zarr.level import ZarrLevel
from ..formats.zarr.source import ZarrPicture
from ..formats.zarr.store import Location
from ..geometry import Rectangle, Size, Tile, tile_around
from ..networks.network import Traits
from ..networks.tile_network import TileNetwork
from ..pictures.source import Source, TensorCanvas
from ..tiling.device import find_device, free_bytes
from ..tiling.loop import TileLoop
from ..tiling.precision import fastest_proven
from ..tiling.stylize_tile import TileInput, TileResult, TileStylizer
from ..tiling.tile_size import choose_tile_size
from .levels import SharedLevel


@dataclass(frozen=True)
class PictureFacts:
    """Facts by which a worker checks that it reads the same picture."""

    size: Size
    channels: int
    dtype: torch.dtype

    @classmethod
    def of(cls, picture: Source) -> PictureFacts:
        return cls(picture.size, picture.channels, picture.dtype)


@dataclass(frozen=True)
class Job:
    """What every worker gets for one pass over tiles.

    Attributes:
        content: path or URL; each worker reads its windows from there.
        facts: of the content.
        network: with the statistics baked in, float32, on the CPU.
        traits: of its backbone.
        device: to compute on, ``cpu`` or ``cuda``.
        threads: on the CPU.
        workers: how many there are, who may share a machine's memory.
        input_options: how careful to be with the content.
        level: the level of larger strokes that is made; None in a plain pass.
        is_store: whether the content is a level's own, in an unfinished store.
        keeps_colors: whether the result keeps the content's chroma.
        sample: path or URL of the picture that half precision is tried on; the content if None.
        pixels: total number of pixels that the network paints; those of the content if None.
    """

    content: Location
    facts: PictureFacts
    network: TileNetwork
    traits: Traits
    device: str
    threads: int
    workers: int
    input_options: InputOptions = field(default_factory=InputOptions)
    level: SharedLevel | None = None
    is_store: bool = False
    keeps_colors: bool = False
    sample: Location | None = None
    pixels: int | None = None

    @property
    def frame(self) -> Size:
        return self.traits.frame_of(self.facts.size)


@dataclass(frozen=True)
class TilePlan:
    """What is the same for all tiles, and is decided when one worker has seen its device.

    Attributes:
        canvas: the store that the tiles are written to; it exists already.
        edge: of a core, in px.
        dtype: that the network computes in.
    """

    canvas: Location
    edge: int
    dtype: torch.dtype


class TileWorker:
    """Holds the prepared network between tiles: baked once, and moved to the device once."""

    def start(self, job: Job) -> None:
        """Begin a job: open its content.

        Raises:
            ClusterError: this machine cannot read it, or finds another picture in its place.
        """
        self._job = job
        self._network: TileNetwork | None = None
        self._levels: dict[tuple[Location, int], ZarrLevel] = {}
        torch.set_num_threads(job.threads)
        self._device = find_device(job.device)
        try:
            self._content = self._open_content()
            self._refinement = job.level.open() if job.level else None
        except URSTError as error:
            raise ClusterError(
                f"worker on {platform.node()} cannot use the content: {error} (every machine reads "
                "it itself: use a path that all share, or a URL)"
            ) from error
        here = PictureFacts.of(self._content)
        if here != job.facts:
            raise ClusterError(
                f"worker on {platform.node()} finds another picture at {job.content} "
                f"({here.size[1]} x {here.size[0]} px instead of {job.facts.size[1]} x "
                f"{job.facts.size[0]} px, or of other channels); use a path that all machines share"
            )

    def _open_content(self) -> Source:
        job = self._job
        if job.is_store:
            return ZarrPicture(job.content, unfinished=True)
        return open_picture(job.content, options=job.input_options)

    def survey(self, dtype: torch.dtype | None) -> tuple[torch.dtype, int]:
        """The type to compute in, proven on the sample if None is given, and a tile edge."""
        job = self._job
        dtype = dtype or self._proven()
        memory = free_bytes(self._device)
        if self._device.type == "cpu":
            memory //= job.workers
        edge = choose_tile_size(
            job.frame,
            job.traits,
            dtype,
            self._device,
            available_bytes=memory,
            margin=self._margin,
        )
        return dtype, edge

    def _proven(self) -> torch.dtype:
        job, sample = self._job, self._content
        if job.sample is not None:
            sample = open_picture(job.sample, options=job.input_options)
        return fastest_proven(job.network, sample, job.traits, self._device, pixels=job.pixels)

    def stylize(self, core: Rectangle, plan: TilePlan) -> None:
        """Stylize one core of the frame, in smaller parts where memory runs out, and write it.

        Written at once, so that this process alone writes each chunk of it.

        Raises:
            URSTError: see :func:`urst_core.method.pipeline.stylize`.
        """
        inside = core.clipped(self._job.facts.size)
        if not inside.area:
            return
        if self._network is None or self._network.compute_dtype != plan.dtype:
            self._network = self._job.network.prepared(self._device, plan.dtype)
        buffer = _CoreCanvas(inside, self._job.facts)
        work = TileStylizer(
            self._network,
            self._content,
            buffer,
            self._job.frame,
            self._device,
            halo=self._job.traits.halo,
            margin=self._margin,
            refinement=self._refinement,
            keeps_colors=self._job.keeps_colors,
        )
        parts = _PartsOfCore(work, core, self._job.traits.halo + self._margin, self._job.frame)
        TileLoop(core.size, plan.edge, self._job.traits, self._device).run("tile", parts)
        self._level(plan.canvas, 0).write(inside, buffer.canvas.pixels)

    @property
    def _margin(self) -> int:
        """How much wider than the network's halo windows are, in px."""
        return self._refinement.margin(self._job.traits.stride) if self._refinement else 0

    def shrink(self, core: Rectangle, number: int, plan: TilePlan) -> None:
        """Make one core of level ``number`` of the pyramid from the level below."""
        coarser = self._level(plan.canvas, number)
        self._level(plan.canvas, number - 1).shrink_into(coarser, core)

    def _level(self, canvas: Location, number: int) -> ZarrLevel:
        key = canvas, number
        if key not in self._levels:
            self._levels[key] = ZarrLevel.open(canvas, number)
        return self._levels[key]


@dataclass(frozen=True)
class _PartsOfCore:
    """The work on a core, which the loop takes for a frame of its own and may cut."""

    work: TileStylizer
    core: Rectangle
    halo: int
    frame: Size

    def read(self, tile: Tile) -> TileInput:
        return self.work.read(self._in_frame(tile))

    def compute(self, tile: Tile, window: TileInput) -> TileResult:
        return self.work.compute(self._in_frame(tile), window)

    def write(self, tile: Tile, result: TileResult) -> Tensor | None:
        return self.work.write(self._in_frame(tile), result)

    def _in_frame(self, tile: Tile) -> Tile:
        part = tile.core.shifted(self.core.top, self.core.left)
        return tile_around(part, self.halo, self.frame)


class _CoreCanvas:
    """One core in memory, written by rectangles of the picture."""

    def __init__(self, core: Rectangle, facts: PictureFacts) -> None:
        self._core = core
        self.canvas = TensorCanvas(core.size, channels=facts.channels, dtype=facts.dtype)

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        self.canvas.write(rectangle.relative_to(self._core), pixels)
