"""Pillow's images as the engine's pixels, and back. Pillow is imported on use only."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError
from .arrays import array_of_pixels, pixels_of_array
from .source import from_unit, to_unit

if TYPE_CHECKING:
    from PIL.Image import Image

ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
KEPT_INFO = ("icc_profile", "dpi", "exif", "xmp")
"""What of an image's ``info`` describes the painting as well as the photograph."""


@dataclass(frozen=True)
class PillowPixels:
    """The pixels of a Pillow image, and what belongs to the result besides them.

    Attributes:
        pixels: (3 or 4, H, W), uint8; gray of 16 bits as uint16, gray of mode ``F`` as float32.
        info: metadata that results keep: color profile, resolution, EXIF, XMP.
    """

    pixels: Tensor
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


def pixels_of_image(image: Image, *, to_srgb: bool = False) -> PillowPixels:
    """Read an image of any mode, upright, as RGB or RGBA.

    Args:
        image: any mode; of an animation, its current frame. An EXIF orientation is applied.
        to_srgb: bring colors to sRGB. Otherwise RGB keeps its color profile, which is part of
            the result's ``info``; the profiles of gray and CMYK are always applied.

    Raises:
        ImageError: a mode of 32 bits holds other values than it may, or a color profile is damaged.

    Example:
        >>> from PIL import Image
        >>> pixels_of_image(Image.new("L", (30, 20))).pixels.shape
        torch.Size([3, 20, 30])
    """
    from PIL import ImageOps  # noqa: PLC0415 - on use

    upright = ImageOps.exif_transpose(image)
    info = {name: upright.info[name] for name in KEPT_INFO if name in upright.info}
    if upright.mode.startswith("I") or upright.mode == "F":
        return PillowPixels(_wide_gray(upright), _without_profile(info))
    has_alpha = upright.mode in ALPHA_MODES or "transparency" in upright.info
    profile: bytes | None = info.get("icc_profile")
    space = profile[16:20].decode("ascii", "replace").strip() if profile else ""
    colors = upright.convert("RGBA" if has_alpha else "RGB")
    if profile and (to_srgb or space != "RGB"):
        colors = _in_srgb(upright, colors, profile, space)
        info = _without_profile(info)
    # A copy: Pillow's own memory is read-only.
    return PillowPixels(pixels_of_array(np.array(colors)), info)


def upright_exif(block: bytes) -> bytes:
    """An EXIF block that no longer asks viewers to turn the picture."""
    from PIL import ExifTags, Image  # noqa: PLC0415 - on use

    exif = Image.Exif()
    exif.load(block)
    exif.pop(ExifTags.Base.Orientation, None)
    return exif.tobytes()


def image_of_pixels(pixels: Tensor, info: Mapping[str, Any]) -> Image:
    """Pixels, (3 or 4, H, W), as RGB or RGBA of 8 bits, Pillow's only depth for colors.

    Args:
        pixels: of any stored type.
        info: metadata of the image.
    """
    from PIL import Image  # noqa: PLC0415 - on use

    if pixels.dtype != torch.uint8:
        pixels = from_unit(to_unit(pixels), torch.uint8)
    image = Image.fromarray(array_of_pixels(pixels))
    image.info.update(info)
    return image


def _wide_gray(image: Image) -> Tensor:
    """Gray of more than 8 bits: 16 as they are stored (also in mode ``I``), or floating 0..1."""
    values = np.array(image)
    if image.mode == "I":
        least, most = int(values.min()), int(values.max())
        if least < 0 or most > 65535:
            raise ImageError(
                f"image of mode I has values from {least} to {most}; 0 to 65535 are meaningful",
                "scale them to 16 bits",
                "convert it to mode L",
            )
        values = values.astype(np.uint16)
    return pixels_of_array(values)


def _without_profile(info: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name != "icc_profile"}


def _in_srgb(image: Image, colors: Image, profile: bytes, space: str) -> Image:
    """The image in sRGB, with its alpha; ``colors`` are what Pillow makes without the profile."""
    from PIL import ImageCms  # noqa: PLC0415 - on use

    if space == "GRAY":
        stored = image.convert("L")
    elif space == "RGB":
        stored = colors.convert("RGB")
    else:
        stored = image
    try:
        assumed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb: Any = ImageCms.createProfile("sRGB")
        converted: Any = ImageCms.profileToProfile(stored, assumed, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(
            f"a color profile for {space!r} cannot be applied to an image of mode {image.mode} "
            f"({error})",
            "convert the image",
            "remove the profile from image.info",
        ) from error
    if "A" in colors.getbands():
        converted.putalpha(colors.getchannel("A"))
    return converted
