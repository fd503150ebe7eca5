"""Pictures for benchmarks: any file, or ``demo`` for the demo's landscape and painting."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import open_picture, write_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.source import Source, TensorSource, from_unit, to_unit

DEMO = "demo"


def content_of(name: str, longest_side: int) -> Tensor:
    """The picture in that size, (3, H, W), uint8."""
    if name == DEMO:
        height, width = longest_side * 2 // 3, longest_side
        return DemoLandscape((height, width)).read(Rectangle(0, 0, height, width))
    source = open_picture(Path(name), flatten=True)
    scale = longest_side / max(source.size)
    return resized(source, *(round(side * scale) for side in source.size))


def style_of(name: str) -> Source:
    if name == DEMO:
        return TensorSource(demo_painting((1024, 1024)))
    return open_picture(Path(name), flatten=True)


def resized(source: Source, height: int, width: int) -> Tensor:
    """(3, height, width), uint8."""
    pixels = to_unit(source.read(Rectangle.of_size(source.size)))[None]
    small = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)[0]
    return from_unit(small, torch.uint8)


def save(picture: Tensor, path: Path) -> None:
    """Write (3, H, W), 0..1, as a file of 8 bits."""
    write_picture(TensorSource(from_unit(picture, torch.uint8)), path)
