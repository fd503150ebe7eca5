"""Conversion between ComfyUI's IMAGE and the engine's pictures, in this module only.

An IMAGE is (B, H, W, C), floating, 0..1, on any device; C is 1 (gray), 3 (RGB) or 4 (with alpha).
The engine reads (C, H, W) with C = 3 or 4.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..urst_core.errors import ImageError, ShapeError
from ..urst_core.pictures.preview import LayeredPreview, SampledPreview
from ..urst_core.pictures.source import TensorSource, check_finite, from_unit
from .remedies import naming_inputs
from .sockets import AnyStyleValue, LoadedBackbone, SavedOrMixed, StyleMixture

if TYPE_CHECKING:
    from ..urst_core.geometry import Rectangle, Size
    from ..urst_core.networks.style import StyleCode
    from ..urst_core.pictures.mask import Mask
    from ..urst_core.pictures.metadata import PictureMetadata

PREVIEW_SIZE = 2048
"""Longest side of the preview of a result, in px: much larger ones crash browsers."""

PREVIEW_SAMPLES = 2
"""Pixels along each side that a preview pixel averages: averaging all of them took a third of the
time of saving a picture."""


class ImageCanvas:
    """Canvas over one picture of an IMAGE: pixels are written straight into it."""

    def __init__(self, picture: Tensor) -> None:
        """Write into ``picture``, (H, W, C)."""
        self._pixels = picture.permute(2, 0, 1)

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        self._pixels[(..., *rectangle.slices)] = pixels.to(self._pixels.device)


class WidenedSource(TensorSource):
    """A half-precision picture as a float32 source; converted as it is read."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def read(self, rectangle: Rectangle) -> Tensor:
        return super().read(rectangle).to(torch.float32)


@dataclass(frozen=True)
class StoredPicture:
    """One picture of an IMAGE as a file stores it; converted as it is read, never as a whole.

    Attributes:
        picture: (H, W, C), floating, on any device; C = 1, 3 or 4.
        dtype: uint8 or uint16.
        metadata: for the file.
    """

    picture: Tensor
    dtype: torch.dtype
    metadata: PictureMetadata

    @property
    def size(self) -> Size:
        return self.picture.shape[0], self.picture.shape[1]

    @property
    def channels(self) -> int:
        return max(3, self.picture.shape[2])

    def read(self, rectangle: Rectangle) -> Tensor:
        """Read the pixels of a rectangle, (C, h, w).

        Raises:
            ImageError: a pixel is NaN or infinite.
        """
        rows, columns = rectangle.slices
        values = self.picture[rows, columns].permute(2, 0, 1).to("cpu", torch.float32)
        check_finite(values, rectangle)
        return from_unit(values.expand(self.channels, -1, -1), self.dtype)


def check_image(image: Tensor) -> None:
    """Refuse tensors that are not a valid IMAGE.

    Raises:
        ShapeError: the shape is not that of an IMAGE, or the batch is empty.
        ImageError: the values are not floating-point.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ShapeError(
            f"IMAGE of shape {tuple(image.shape)} cannot be read; pass (pictures, height, width, "
            "1, 3 or 4 channels), not empty"
        )
    if not image.is_floating_point():
        raise ImageError(f"IMAGE has {image.dtype} values; pass floating-point values from 0 to 1")


def pictures_of(image: Tensor) -> Tensor:
    """An IMAGE as (B, C, H, W), float32, C = 3 or 4: a view where possible.

    Errors as in :func:`check_image`.
    """
    return _channels_first(image).to(torch.float32)


def sources_of(image: Tensor) -> list[TensorSource]:
    """Each picture of an IMAGE as a float32 source. Errors as in :func:`check_image`."""
    # The result has the content's type, so half precision would round it, too.
    kind = TensorSource if image.dtype == torch.float32 else WidenedSource
    return [kind(picture) for picture in _channels_first(image)]


def _channels_first(image: Tensor) -> Tensor:
    check_image(image)
    pictures = image.permute(0, 3, 1, 2)
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures


def single_source_of(image: Tensor, *, node: str) -> TensorSource:
    """The only picture of an IMAGE.

    Raises:
        ShapeError: there are several pictures; or as in :func:`pictures_of`.
    """
    sources = sources_of(image)
    if len(sources) > 1:
        raise ShapeError(
            f"{node} takes one picture, not a batch of {len(sources)}; pick one with "
            "ImageFromBatch, or use Stylize Image, which takes batches"
        )
    return sources[0]


def masks_of(mask: Tensor | None, feather: int, sizes: Sequence[Size]) -> list[Mask | None]:
    """Pair a MASK with several pictures: one mask for all, or one for each.

    A mask of another size is scaled like ComfyUI's own nodes do, bilinearly.

    Args:
        mask: (H, W) or (N, H, W), floating, 0..1, on any device; None stylizes everywhere.
        feather: in px, see :class:`~urst_core.pictures.mask.Mask`.
        sizes: heights and widths of the pictures.

    Raises:
        ShapeError: the mask is not a valid MASK, or the number of masks differs from the pictures'.
        ImageError: the values are not floating-point.
        SettingsError: the feather is out of range.
    """
    from ..urst_core.pictures.mask import Mask, TensorMask

    if mask is None:
        return [None] * len(sizes)
    if mask.ndim not in (2, 3) or 0 in mask.shape:
        raise ShapeError(
            f"MASK of shape {tuple(mask.shape)} cannot be read; pass (masks, height, width) or "
            "(height, width), not empty"
        )
    planes = [mask] if mask.ndim == 2 else list(mask)
    if len(planes) not in (1, len(sizes)):
        raise ShapeError(
            f"a batch of {len(planes)} masks does not fit a batch of {len(sizes)}; connect one "
            "mask for all pictures, or one for each"
        )
    if not bool(mask.any()):
        logging.warning(
            "URST: the mask is black everywhere, so the picture stays as it is; Load Image gives "
            "such a mask for a picture without alpha"
        )
    if len(planes) == 1:
        planes *= len(sizes)
    return [Mask(TensorMask(_scaled(plane, size)), feather) for plane, size in zip(planes, sizes)]


def _scaled(plane: Tensor, size: Size) -> Tensor:
    """A mask, (h, w), at the size of its picture; itself if it has that size."""
    if tuple(plane.shape) == size or not plane.is_floating_point():
        return plane
    values = plane[None, None].to("cpu", torch.float32)
    return F.interpolate(values, size, mode="bilinear", align_corners=False)[0, 0]


def mixture_of(
    style: Tensor | None,
    style_2: Tensor | None,
    style_2_weight: float,
    style_names: str,
    saved_style: SavedOrMixed | None,
    backbone: LoadedBackbone,
) -> tuple[list[TensorSource | str | StyleCode], list[float]]:
    """Styles and their weights, from IMAGEs and a saved style, or from names with commas.

    The pictures of a batch share equally, with a saved style, and so do names. Both lists are empty
    if nothing was given: a backbone with a single built-in style needs nothing.

    Raises:
        StatsError: the saved style belongs to another backbone.
    """
    names = [name.strip() for name in style_names.split(",") if name.strip()]
    if names:
        return [*names], [1.0] * len(names)
    first: list[TensorSource | SavedOrMixed] = [] if style is None else [*sources_of(style)]
    if saved_style is not None:
        first.append(saved_style)
    second = [] if style_2 is None else sources_of(style_2)
    share = style_2_weight if first and second else float(bool(second))
    weighted = [
        *((each, (1.0 - share) / len(first)) for each in first),
        *((each, share / len(second)) for each in second),
    ]
    pairs = [pair for each, weight in weighted for pair in _unmixed(each, weight, backbone)]
    return [each for each, _ in pairs], [weight for _, weight in pairs]


def _unmixed(
    style: TensorSource | AnyStyleValue, share: float, backbone: LoadedBackbone
) -> Iterator[tuple[TensorSource | StyleCode, float]]:
    """The parts of a style, with their parts of its share."""
    if isinstance(style, TensorSource):
        yield style, share
    elif isinstance(style, Tensor):
        pictures = sources_of(style)
        yield from ((picture, share / len(pictures)) for picture in pictures)
    elif isinstance(style, StyleMixture):
        for each, weight in zip(style.styles, style.shares):
            yield from _unmixed(each, share * weight, backbone)
    else:
        with naming_inputs():
            yield style.code_for(backbone.backbone), share


def image_of(pictures: Tensor, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """The engine's (B, C, H, W) as an IMAGE: contiguous, on ``device``."""
    return pictures.permute(0, 2, 3, 1).to(device, dtype).contiguous()


def blank_image(
    sources: Sequence[TensorSource], device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[ImageCanvas]]:
    """Allocate an IMAGE of the sources' common size and channels, with a canvas for each."""
    first = sources[0]
    image = torch.zeros(len(sources), *first.size, first.channels, device=device, dtype=dtype)
    return image, [ImageCanvas(picture) for picture in image]


def empty_image(
    size: Size, channels: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ImageCanvas]:
    """Allocate an IMAGE of one picture, with its canvas."""
    image = torch.zeros(1, *size, channels, device=device, dtype=dtype)
    return image, ImageCanvas(image[0])


def page_preview(size: Size) -> SampledPreview:
    """An empty preview of a picture of that size, for ComfyUI's page."""
    return SampledPreview(size, PREVIEW_SIZE, samples=PREVIEW_SAMPLES)


def preview_image(*previews: SampledPreview | LayeredPreview) -> Tensor:
    """Previews of equally large pictures as an IMAGE, on the CPU."""
    pictures = torch.stack([preview.pixels for preview in previews])
    return image_of(pictures.clamp(0.0, 1.0), torch.device("cpu"))
