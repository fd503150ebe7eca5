"""The kinds of pictures that the front door takes, and how each gets its own kind back.

========================  ====================================  =========================
given                     read as                               handed back
========================  ====================================  =========================
Pillow image, any mode    RGB or RGBA, upright                  Pillow image, 8 bits
NumPy array               (H, W), (H, W, C), (N, H, W, C)       array of its dtype
tensor                    (C, H, W), (N, C, H, W)               tensor of its dtype, device
path                      a picture file, upright               Pillow image, 8 bits
========================  ====================================  =========================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, TypeVar

import numpy as np
import torch
from torch import Tensor

from .errors import ImageError, ShapeError
from .formats.image_file import check_picture_path
from .formats.input_options import InputOptions
from .formats.open import open_picture
from .formats.vips import vips_errors
from .pictures.arrays import array_of_pixels, pixels_of_array, pixels_of_tensor
from .pictures.mask import Mask, PictureMask
from .pictures.metadata import MM_PER_INCH, metadata_of
from .pictures.on_white import on_white
from .pictures.pillow import image_of_pixels, pixels_of_image, upright_exif
from .pictures.source import Source, TensorSource

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image

    Picture: TypeAlias = Image | npt.NDArray[Any] | Tensor
    PicturePath: TypeAlias = str | os.PathLike[str]
    PictureT = TypeVar("PictureT", Image, npt.NDArray[Any], Tensor)


@dataclass(frozen=True)
class Content:
    """What is to be stylized, and how results are handed back in its kind.

    Attributes:
        sources: one picture, or those of a batch.
        hand_back: makes the caller's kind of the results, each (C, H, W), one for each source.
    """

    sources: Sequence[Source]
    hand_back: Callable[[Sequence[Tensor]], Any]


def read_content(content: Picture | PicturePath, options: InputOptions | None = None) -> Content:
    """A picture of any kind as sources.

    Raises:
        TypeError: it is of no such kind.
        ImageError, ShapeError: it cannot be used.
    """
    if isinstance(content, Tensor):
        return _tensor_content(content)
    if isinstance(content, np.ndarray):
        return _array_content(content)
    if _is_image(content):
        read = pixels_of_image(content)
        source = TensorSource(read.pixels)
        return Content([source], lambda done: image_of_pixels(done[0], read.info))
    return _file_content(_path_of(content), options)


def read_style(
    style: Picture | PicturePath | Source, options: InputOptions | None = None
) -> Source:
    """A style of any kind: its alpha is laid on white, a color profile is applied.

    Raises:
        TypeError, ImageError, ShapeError: as for :func:`read_content`; or it is a batch.
    """
    if isinstance(style, Tensor):
        batch_of_one = style.ndim == 4 and style.shape[0] == 1
        source: Source = TensorSource(pixels_of_tensor(style[0] if batch_of_one else style))
    elif isinstance(style, np.ndarray):
        source = TensorSource(pixels_of_array(style))
    elif _is_image(style):
        source = TensorSource(pixels_of_image(style, to_srgb=True).pixels)
    elif _is_source(style):
        source = style
    else:
        path = _path_of(style)
        if not _can_open(path):
            return read_style(_load_image(path))
        source = open_picture(path, flatten=True, options=options)
    return on_white(source)


def read_mask(
    mask: Mask | Picture | PicturePath | None,
    feather: int,
    options: InputOptions | None = None,
) -> Mask | None:
    """A mask of any kind: white, 1.0 or True is stylized.

    Raises:
        TypeError, ImageError, ShapeError: as for :func:`read_content`.
        SettingsError: the feather is out of range.
    """
    if mask is None or isinstance(mask, Mask):
        return mask
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
        mask = mask.astype(np.uint8) * np.uint8(255)
    if isinstance(mask, Tensor):
        mask = mask * torch.tensor(255, dtype=torch.uint8) if mask.dtype == torch.bool else mask
        mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
        return Mask(PictureMask(TensorSource(pixels_of_tensor(mask).cpu())), feather)
    [source] = read_content(mask, options).sources
    return Mask(PictureMask(source), feather)


def _tensor_content(content: Tensor) -> Content:
    pictures = content if content.ndim == 4 else content.unsqueeze(0)
    if content.ndim not in (3, 4) or not len(pictures):
        raise ShapeError(
            f"tensor of shape {tuple(content.shape)} is not a picture",
            "pass (channels, height, width) with 1, 3 or 4 channels",
            "pass a batch of such",
        )
    sources = [TensorSource(pixels_of_tensor(picture)) for picture in pictures]

    def hand_back(done: Sequence[Tensor]) -> Tensor:
        results = [pixels.to(content.device) for pixels in done]
        return torch.stack(results) if content.ndim == 4 else results[0]

    return Content(sources, hand_back)


def _array_content(content: npt.NDArray[Any]) -> Content:
    if content.ndim != 4:
        source = TensorSource(pixels_of_array(content))
        return Content([source], lambda done: array_of_pixels(done[0]))
    if not len(content):
        raise ShapeError(f"array of shape {content.shape} is empty", "pass at least one picture")
    sources = [TensorSource(pixels_of_array(picture)) for picture in content]
    return Content(sources, lambda done: np.stack([array_of_pixels(pixels) for pixels in done]))


def _file_content(path: Path, options: InputOptions | None) -> Content:
    if not _can_open(path):
        return read_content(_load_image(path))
    source = open_picture(path, options=options)
    metadata = metadata_of(source)
    info: dict[str, Any] = {"icc_profile": metadata.profile, "xmp": metadata.xmp}
    if metadata.exif is not None:
        info["exif"] = upright_exif(metadata.exif)
    if metadata.resolution is not None:
        info["dpi"] = tuple(MM_PER_INCH * per_millimeter for per_millimeter in metadata.resolution)
    info = {name: value for name, value in info.items() if value is not None}
    return Content([source], lambda done: image_of_pixels(done[0], info))


def _can_open(path: Path) -> bool:
    """Whether the engine opens such a file itself; it needs libvips for images."""
    return bool(vips_errors()) or path.suffix.lower() in (".npy", ".zarr")


def _load_image(path: Path) -> Image:
    """A file through Pillow, for those who installed no libvips."""
    from PIL import Image  # noqa: PLC0415 - on use

    check_picture_path(path)
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(
            f"picture {path} cannot be read ({error})",
            "use a complete JPEG, PNG, TIFF or WebP file",
        ) from error


def _is_image(picture: object) -> TypeGuard[Image]:
    from PIL import Image  # noqa: PLC0415 - on use

    return isinstance(picture, Image.Image)


def _is_source(picture: object) -> TypeGuard[Source]:
    return all(hasattr(picture, name) for name in ("size", "channels", "dtype", "read"))


def _path_of(picture: object) -> Path:
    if isinstance(picture, (str, os.PathLike)):
        return Path(os.fspath(picture))
    raise TypeError(
        f"{type(picture).__name__} is not a kind of picture; pass a Pillow image, a NumPy array, "
        "a tensor, or a path"
    )
