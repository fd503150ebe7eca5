"""OME-Zarr as a format of results from file to file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...geometry import Rectangle
from ...pictures.source import Source
from ...tiling.settings import IfInterrupted
from ..output_format import GROWTH, Encoding, Format, tiled_bytes
from ..output_options import OutputOptions
from ..work_file import WorkFile
from .canvas import ZarrCanvas, put_in_place
from .level import LARGEST_CHUNK
from .replace import check_replaceable
from .store import ZARR_ENDING, remove, zarr_module


@dataclass(frozen=True)
class ZarrFormat(Format):
    """A folder of chunks, with smaller copies of the picture."""

    def check_build(self, path: Path, options: OutputOptions) -> None:
        zarr_module()

    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        return tiled_bytes(like, LARGEST_CHUNK, levels=True) * GROWTH

    def check_replaced(self, output: Path) -> None:
        if os.path.lexists(output):
            check_replaceable(output)

    def save(self, task: Encoding) -> None:
        height, width = task.like.size
        with (
            WorkFile.reopen(task.work_file, task.like) as work,
            ZarrCanvas(
                task.partial, task.like, if_interrupted=IfInterrupted.DISCARD, name=task.name
            ) as canvas,
        ):
            for top in range(0, height, canvas.edge):
                band = Rectangle(top, 0, min(top + canvas.edge, height), width)
                canvas.write(band, work.read(band))
                task.listener(band.bottom / height)

    def publish(self, partial: Path, output: Path) -> None:
        put_in_place(partial, output)

    def remove(self, partial: Path) -> None:
        remove(partial)


ZARR = ZarrFormat("Zarr", (ZARR_ENDING,), holds_floats=True, is_folder=True)
