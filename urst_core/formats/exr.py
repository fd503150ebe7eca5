"""OpenEXR: scene-linear light in half or single precision, through the OpenEXR package.

The package reads and writes whole pictures in memory: 6 to 16 bytes a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..durable import flush_file
from ..errors import ImageError, Install, OutputError, first_line
from ..geometry import Rectangle, Size
from ..pictures.metadata import (
    MM_PER_INCH,
    PAINTING_KEYWORD,
    PictureMetadata,
    WithMetadata,
    metadata_of,
)
from ..pictures.scene_linear import SceneLinear, light_of
from ..pictures.source import Source, bands, to_unit
from .image_file import check_picture_path
from .output_format import Encoding, Format
from .output_options import OutputOptions
from .work_file import WorkFile, raw_bytes

MAGIC = b"\x76\x2f\x31\x01"

CHANNELS = ("R", "G", "B", "A")

DENSITY, ASPECT = "xDensity", "pixelAspectRatio"
"""Standard attributes: pixels per inch across, and the width of a pixel over its height."""


def exr_module() -> Any:
    """The OpenEXR package.

    Raises:
        ImageError: it is not installed.
    """
    try:
        import OpenEXR  # noqa: PLC0415 - optional
    except (ImportError, OSError) as error:
        raise ImageError(
            f"OpenEXR files need OpenEXR, which did not load ({error})", Install('"OpenEXR>=3.3"')
        ) from error
    return OpenEXR


def is_exr(path: Path) -> bool:
    """Whether a file is OpenEXR, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class ExrPicture:
    """The light in an OpenEXR file: its first part, R, G, B and perhaps A, or Y alone.

    Args:
        path: the file.

    Attributes:
        path: the file.
        metadata: its resolution, and what urst painted it with, if it did.

    Raises:
        ImageError: the file is damaged, or has no such channels.
    """

    def __init__(self, path: Path) -> None:
        check_picture_path(path)
        self.path = path
        self._pixels: dict[str, Any] | None = None
        header = self._file(header_only=True).header()
        stored = [channel.name for channel in header["channels"]]
        names = [name for name in CHANNELS if name in stored]
        if names not in (list(CHANNELS), list(CHANNELS[:3])) and "Y" not in stored:
            raise ImageError(
                f"picture {path} has the channels {', '.join(stored)}; use R, G, B, with or "
                "without A, or Y"
            )
        self._names = names if len(names) >= 3 else ["Y"] * 3
        first, last = (tuple(int(v) for v in corner) for corner in header["dataWindow"])
        self._size: Size = (last[1] - first[1] + 1, last[0] - first[0] + 1)
        painting = header.get(PAINTING_KEYWORD)
        self.metadata = PictureMetadata(
            resolution=_resolution(header),
            painting=painting if isinstance(painting, str) else None,
        )

    @property
    def size(self) -> Size:
        return self._size

    @property
    def channels(self) -> int:
        return len(self._names)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def read(self, rectangle: Rectangle) -> Tensor:
        """The light of a rectangle, (C, h, w).

        Raises:
            ImageError: the file is damaged.
        """
        planes = [self._planes[name][rectangle.slices] for name in self._names]
        return torch.from_numpy(np.stack([np.asarray(plane, np.float32) for plane in planes]))

    @property
    def is_half(self) -> bool:
        """Whether all channels have half precision."""
        return all(self._planes[name].dtype == np.float16 for name in self._names)

    @property
    def _planes(self) -> dict[str, Any]:
        if self._pixels is None:
            channels = self._file(separate_channels=True).channels()
            self._pixels = {name: channels[name].pixels for name in self._names}
        return self._pixels

    def close(self) -> None:
        """Free the pixels, which are read again when they are needed."""
        self._pixels = None

    def _file(self, **options: bool) -> Any:
        try:
            return exr_module().File(str(self.path), **options)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ImageError(
                f"picture {self.path} is damaged, or no flat picture ({first_line(error)})",
                "get it again",
            ) from error


def _resolution(header: Mapping[str, Any]) -> tuple[float, float] | None:
    """Pixels per millimeter, across and down."""
    density, aspect = header.get(DENSITY, 0.0), header.get(ASPECT, 1.0)
    if not (0 < density < math.inf and 0 < aspect < math.inf):
        return None
    across = float(density) / MM_PER_INCH
    return across, across * float(aspect)


def _density(resolution: tuple[float, float]) -> dict[str, float]:
    """The attributes for pixels per millimeter, across and down."""
    across, down = resolution
    return {DENSITY: across * MM_PER_INCH, ASPECT: down / across}


@dataclass(frozen=True)
class ExrFormat(Format):
    """Scan lines, in half precision unless the content has single; ZIP compression."""

    def check_build(self, path: Path, options: OutputOptions) -> None:
        exr_module()

    def result_bytes(self, like: Source, options: OutputOptions) -> float:
        return 4 * raw_bytes(like) / like.dtype.itemsize

    def save(self, task: Encoding) -> None:
        like, exr = task.like, exr_module()
        height, width = like.size
        content = like.picture if isinstance(like, WithMetadata) else like
        is_half = not isinstance(content, SceneLinear) or getattr(content.light, "is_half", False)
        pixels = np.empty((height, width, like.channels), np.float16 if is_half else np.float32)
        with WorkFile.reopen(task.work_file, like) as work:
            for band in bands(like.size):
                light = light_of(to_unit(work.read(band)), like, band)
                pixels[band.slices] = light.permute(1, 2, 0).numpy()
                task.listener(0.5 * band.bottom / height)
        header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
        metadata = metadata_of(like)
        if metadata.resolution is not None:
            header |= _density(metadata.resolution)
        if PAINTING_KEYWORD in metadata.texts:
            header[PAINTING_KEYWORD] = metadata.texts[PAINTING_KEYWORD]
        name = "".join(CHANNELS[: like.channels])
        try:
            with exr.File(header, {name: pixels}) as file:
                file.write(str(task.partial))
        except RuntimeError as error:
            raise OutputError(f"writing {task.partial} failed ({first_line(error)})") from error
        flush_file(task.partial)


EXR = ExrFormat("OpenEXR", (".exr",), holds_floats=True)
