"""A work file of floats becomes one of scene-linear light, which TIFF stores."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..geometry import Size
from ..pictures.scene_linear import light_of
from ..pictures.source import Raster, bands, to_unit
from .output_format import Encoding
from .work_file import WorkFile, raw_bytes


@dataclass(frozen=True)
class LightRaster:
    """What the work file of light is like."""

    size: Size
    channels: int
    dtype: torch.dtype = torch.float32


@contextmanager
def light_file(task: Encoding) -> Generator[Encoding, None, None]:
    """The task with a work file of light, beside the result, during the block."""
    like = LightRaster(task.like.size, task.like.channels)
    path = task.partial.with_suffix(".light")  # one of our names for incomplete files, too
    try:
        with (
            WorkFile.reopen(task.work_file, task.like) as shown,
            WorkFile.create(path, like) as light,
        ):
            for band in bands(like.size):
                light.write(band, light_of(to_unit(shown.read(band)), task.like, band).float())
        yield replace(task, work_file=path)
    finally:
        path.unlink(missing_ok=True)


def light_file_bytes(like: Raster) -> int:
    """Disk space that the work file of light takes."""
    return raw_bytes(LightRaster(like.size, like.channels))
