"""The border between ComfyUI's IMAGE and the engine; the only module that knows both shapes.

An IMAGE is (B, H, W, C), floating, 0..1, on any device; C is 1 (gray), 3 (RGB) or 4 (with alpha).
The engine reads (C, H, W) with C = 3 or 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..urst_core.errors import ImageError, ShapeError
from ..urst_core.geometry import Rectangle, Size
from ..urst_core.pictures.mask import Mask, TensorMask
from ..urst_core.pictures.metadata import PictureMetadata
from ..urst_core.pictures.preview import LayeredPreview, SampledPreview
from ..urst_core.pictures.source import TensorSource, check_finite, from_unit

PREVIEW_SIZE = 2048
"""The longest side, in px, of what is shown of a picture: browsers end where it is far larger."""

PREVIEW_SAMPLES = 2
"""Pixels that one of a preview is the mean of, along each side: of all pixels, the preview took a
third of the time of saving a picture."""


class ImageCanvas:
    """A canvas over one picture of an IMAGE: writes go where ComfyUI will read."""

    def __init__(self, picture: Tensor) -> None:
        """Write into ``picture``, (H, W, C)."""
        self._pixels = picture.permute(2, 0, 1)

    def write(self, rectangle: Rectangle, pixels: Tensor) -> None:
        self._pixels[(..., *rectangle.slices)] = pixels.to(self._pixels.device)


class WidenedSource(TensorSource):
    """A picture in half precision as a source of float32; widened where it is read."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def read(self, rectangle: Rectangle) -> Tensor:
        return super().read(rectangle).to(torch.float32)


@dataclass(frozen=True)
class StoredPicture:
    """One picture of an IMAGE as a file stores it; converted where it is read, never as a whole.

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
        """Pixels of a rectangle, (C, h, w).

        Raises:
            ImageError: one of them is NaN or infinite.
        """
        rows, columns = rectangle.slices
        values = self.picture[rows, columns].permute(2, 0, 1).to("cpu", torch.float32)
        check_finite(values, rectangle)
        return from_unit(values.expand(self.channels, -1, -1), self.dtype)


def check_image(image: Tensor) -> None:
    """Refuse what is no IMAGE.

    Raises:
        ShapeError: the shape is none of an IMAGE, or the batch is empty.
        ImageError: the values are not floating.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ShapeError(
            f"IMAGE of shape {tuple(image.shape)} cannot be read; pass (pictures, height, width, "
            "1, 3 or 4 channels), not empty"
        )
    if not image.is_floating_point():
        raise ImageError(f"IMAGE holds {image.dtype} values; pass floating ones from 0 to 1")


def pictures_of(image: Tensor) -> Tensor:
    """An IMAGE as (B, C, H, W), float32, C = 3 or 4: a view wherever that is possible.

    Errors as in :func:`check_image`.
    """
    return _channels_first(image).to(torch.float32)


def sources_of(image: Tensor) -> list[TensorSource]:
    """Each picture of an IMAGE as a source of float32. Errors as in :func:`check_image`."""
    # Half precision would round the result too, which is made in the content's type.
    kind = TensorSource if image.dtype == torch.float32 else WidenedSource
    return [kind(picture) for picture in _channels_first(image)]


def _channels_first(image: Tensor) -> Tensor:
    check_image(image)
    pictures = image.permute(0, 3, 1, 2)
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures


def single_source_of(image: Tensor, *, node: str) -> TensorSource:
    """The picture of an IMAGE that must hold one alone.

    Raises:
        ShapeError: there are several; or as in :func:`pictures_of`.
    """
    sources = sources_of(image)
    if len(sources) > 1:
        raise ShapeError(
            f"{node} takes one picture, not a batch of {len(sources)}; pick one with "
            "ImageFromBatch, or use Stylize Image, which takes batches"
        )
    return sources[0]


def masks_of(
    mask: Tensor | None, feather: int, sizes: Sequence[Size], *, what: str = "picture"
) -> list[Mask | None]:
    """A MASK for each of several pictures: one for all, or one a picture.

    Args:
        mask: (H, W) or (N, H, W), floating, 0..1, on any device; None stylizes everywhere.
        feather: in px, see :class:`~urst_core.pictures.mask.Mask`.
        sizes: heights and widths of the pictures.
        what: they are, for errors.

    Raises:
        ShapeError: the mask is none, or of another size or number than the pictures.
        ImageError: the values are not floating.
        SettingsError: the feather is out of range.
    """
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
            "mask for all pictures, or one a picture"
        )
    if len(planes) == 1:
        planes *= len(sizes)
    return [_mask_for(plane, feather, size, what=what) for plane, size in zip(planes, sizes)]


def _mask_for(plane: Tensor, feather: int, size: Size, *, what: str) -> Mask:
    if tuple(plane.shape) != size:
        (rows, columns), (height, width) = plane.shape, size
        raise ShapeError(
            f"mask of {columns} x {rows} px (width x height) does not fit the {what} of "
            f"{width} x {height} px; draw it on that picture, or scale it with Convert Mask to "
            "Image, Upscale Image and Convert Image to Mask (a mask of 64 x 64 px is what Load "
            "Image gives where a picture has none)"
        )
    return Mask(TensorMask(plane), feather)


def mixture_of(
    style: Tensor | None, style_2: Tensor | None, style_2_weight: float, style_names: str
) -> tuple[list[TensorSource | str], list[float]]:
    """Styles and the share of each: of two IMAGEs, or names separated by commas.

    Batches share equally, and so do names. Both lists are empty where nothing was given: a
    backbone with one style inside needs nothing.
    """
    names = [name.strip() for name in style_names.split(",") if name.strip()]
    if names:
        return [*names], [1.0] * len(names)
    first = [] if style is None else sources_of(style)
    second = [] if style_2 is None else sources_of(style_2)
    share = style_2_weight if first and second else float(bool(second))
    weights = [(1.0 - share) / len(first) for _ in first] + [share / len(second) for _ in second]
    return [*first, *second], weights


def image_of(pictures: Tensor, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, C, H, W) from the engine as an IMAGE: contiguous, on ``device``."""
    return pictures.permute(0, 2, 3, 1).to(device, dtype).contiguous()


def blank_image(
    sources: Sequence[TensorSource], device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[ImageCanvas]]:
    """An IMAGE to be filled: of the sources' common size and channels, and a canvas for each."""
    first = sources[0]
    image = torch.zeros(len(sources), *first.size, first.channels, device=device, dtype=dtype)
    return image, [ImageCanvas(picture) for picture in image]


def page_preview(size: Size) -> SampledPreview:
    """What a page is shown of a picture of that size, to be filled."""
    return SampledPreview(size, PREVIEW_SIZE, samples=PREVIEW_SAMPLES)


def preview_image(*previews: SampledPreview | LayeredPreview) -> Tensor:
    """Previews of pictures of one size as an IMAGE, on the CPU."""
    pictures = torch.stack([preview.pixels for preview in previews])
    return image_of(pictures.clamp(0.0, 1.0), torch.device("cpu"))
