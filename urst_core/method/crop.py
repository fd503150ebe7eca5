"""One region of a picture as it will look at full size, to try settings before a long run.

The statistics are those of the whole picture, and only tiles in the region are computed: the region
has the same pixels as in the finished picture. Levels of larger strokes below the last one are
computed as a whole, since each level is measured on all of its input; they take a third of the time
of the whole picture at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SettingsError
from ..geometry import Rectangle, Size
from ..networks.model import Backbone
from ..networks.style import AnyStyle, StyleCode
from ..pictures.mask import Mask
from ..pictures.metadata import PictureMetadata, metadata_of
from ..pictures.source import Canvas, Source
from ..progress import Listener, ignore
from ..tiling.settings import Settings
from .pipeline import stylize


@dataclass(frozen=True)
class CroppedSource:
    """A region of a picture as a picture of its own."""

    source: Source
    region: Rectangle

    @property
    def size(self) -> Size:
        return self.region.size

    @property
    def channels(self) -> int:
        return self.source.channels

    @property
    def dtype(self) -> torch.dtype:
        return self.source.dtype

    @property
    def metadata(self) -> PictureMetadata:
        return metadata_of(self.source)

    def read(self, rectangle: Rectangle) -> Tensor:
        return self.source.read(rectangle.shifted(self.region.top, self.region.left))


@dataclass(frozen=True)
class CroppedCanvas:
    """A canvas that keeps only a region of what is written."""

    canvas: Canvas
    region: Rectangle

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        inside = rectangle.clipped_to(self.region)
        if inside.height > 0 and inside.width > 0:
            part = pixels[(..., *inside.relative_to(rectangle).slices)]
            self.canvas.write(inside.relative_to(self.region), part)


@dataclass(frozen=True)
class RegionMask:
    """A mask that is white in a region of a picture of that size."""

    size: Size
    region: Rectangle

    def read(self, rectangle: Rectangle) -> Tensor:
        values = torch.zeros(rectangle.size)
        inside = rectangle.clipped_to(self.region)
        if inside.height > 0 and inside.width > 0:
            values[inside.relative_to(rectangle).slices] = 1.0
        return values


def check_region(region: Rectangle, size: Size) -> None:
    """Refuse a region that is empty or exceeds the picture.

    Raises:
        SettingsError: it does.
    """
    if min(region.size) < 1 or not Rectangle.of_size(size).contains(region):
        height, width = size
        raise SettingsError(
            f"a region of {region.width} x {region.height} px at {region.left},{region.top} is not "
            f"inside the picture of {width} x {height} px; choose a smaller one, or move it"
        )


def stylize_region(
    content: Source,
    styles: Sequence[AnyStyle] | StyleCode,
    region: Rectangle,
    canvas: Canvas,
    backbone: Backbone,
    settings: Settings | None = None,
    *,
    style_weights: Sequence[float] | None = None,
    listener: Listener = ignore,
) -> None:
    """Stylize one region of a picture, with the pixels that it has in the finished picture.

    Args:
        content: the whole picture.
        styles, backbone, settings, style_weights, listener: as in
            :func:`~urst_core.method.pipeline.stylize`.
        region: inside the picture.
        canvas: of the region's size, and of the content's channels and dtype.

    Raises:
        SettingsError: the region is not inside the picture.
        URSTError: as in :func:`~urst_core.method.pipeline.stylize`.

    Example:
        >>> import urst_core as urst
        >>> from urst_core.pictures.source import TensorCanvas
        >>> content = urst.open_picture("photo.jpg")
        >>> style = urst.open_picture("painting.jpg", flatten=True)
        >>> canvas = TensorCanvas((24, 32))
        >>> model = urst.load_backbone()
        >>> stylize_region(content, [style], Rectangle(8, 8, 32, 40), canvas, model.backbone)
        >>> canvas.pixels.shape
        torch.Size([3, 24, 32])
    """
    check_region(region, content.size)
    stylize(
        content,
        styles,
        CroppedCanvas(canvas, region),
        backbone,
        settings,
        style_weights=style_weights,
        mask=Mask(RegionMask(content.size, region)),
        listener=listener,
    )
