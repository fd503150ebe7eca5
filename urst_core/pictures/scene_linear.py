"""Pictures of scene-linear light (HDR), as a network sees them: in 0..1, and with sRGB's curve.

Light above ``KNEE`` is compressed, by one factor for all channels of a pixel, so that colors stay::

    shown   1 ┤            ___------      shown  = light          up to the knee
              │        _--                         knee + (1 - knee) (1 - exp(-x))   above,
         knee ┤     .-'                             x = (light - knee) / (1 - knee)
              │   .'                      factor = light / shown, at least 1
              └───┴─────┴──────────────   light

The painting is brought back by the inverse of the curve and the pixel's own factor, so highlights
are as bright as before: with strength 0 the result is the content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..geometry import Rectangle, Size
from .metadata import PictureMetadata, WithMetadata, metadata_of
from .source import Raster, Source, check_finite, close_picture, from_unit

KNEE = 0.8


@dataclass(frozen=True)
class SceneLinear:
    """A picture of scene-linear light, read as it is shown.

    Attributes:
        light: its pixels, (C, h, w), floating, at least 0, without an upper bound; alpha last.
        dtype: of the pixels that are read; results that hold floats keep the light's range.

    Example:
        >>> from urst_core.pictures.source import TensorSource
        >>> sun = SceneLinear(TensorSource(torch.full((3, 1, 1), 1000.0)))
        >>> float(sun.read(Rectangle(0, 0, 1, 1)).max()) <= 1.0
        True
    """

    light: Source
    dtype: torch.dtype = torch.float32

    @property
    def size(self) -> Size:
        return self.light.size

    @property
    def channels(self) -> int:
        return self.light.channels

    @property
    def metadata(self) -> PictureMetadata:
        return metadata_of(self.light)

    @property
    def path(self) -> Path | None:
        """The file that the picture is read from, if any."""
        path = getattr(self.light, "path", None)
        return path if isinstance(path, Path) else None

    @property
    def temporary_bytes(self) -> int:
        """What unpacking the picture takes in the folder for temporary files."""
        return getattr(self.light, "temporary_bytes", 0)

    def unpack(self, tell: Callable[[float], None]) -> None:
        """Unpack the picture, if it cannot be read in parts."""
        unpack = getattr(self.light, "unpack", None)
        if unpack is not None:
            unpack(tell)

    def close(self) -> None:
        """Close the picture, if it can be."""
        close_picture(self.light)

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle as they are shown, (C, h, w), in ``dtype``.

        Raises:
            ImageError: one of them is NaN or infinite.
        """
        light = self._light(rectangle)
        shown = encoded(light[:3] / _factor(light))
        return from_unit(torch.cat([shown, light[3:]]).float(), self.dtype)

    def factor(self, rectangle: Rectangle) -> Tensor:
        """The factors by which light is compressed, (1, h, w), at least 1."""
        return _factor(self._light(rectangle)).float()

    def _light(self, rectangle: Rectangle) -> Tensor:
        # In float64, and rounded once: powers and exponentials of float32 depend on where a
        # value is in its row, by its last bit.
        light = self.light.read(rectangle).double()
        check_finite(light, rectangle)
        return light.clamp_min(0.0)


def _factor(light: Tensor) -> Tensor:
    brightest = light[:3].amax(0, keepdim=True)
    above = (brightest - KNEE).clamp_min(0.0) / (1.0 - KNEE)
    shown = brightest.clamp_max(KNEE) - (1.0 - KNEE) * torch.expm1(-above)
    return torch.where(above > 0, brightest / shown, torch.ones_like(shown))


def light_of(shown: Tensor, like: Raster, rectangle: Rectangle) -> Tensor:
    """Pixels of a result as scene-linear light.

    Args:
        shown: (C, h, w), floating, 0..1.
        like: the content, whose factors are used if it is a :class:`SceneLinear`.
        rectangle: where the pixels are.
    """
    light = decoded(shown[:3])
    picture = like.picture if isinstance(like, WithMetadata) else like
    if isinstance(picture, SceneLinear):
        light = light * picture.factor(rectangle)
    return torch.cat([light, shown[3:]])


def encoded(light: Tensor) -> Tensor:
    """Linear values of 0..1 with sRGB's curve (IEC 61966-2-1)."""
    return torch.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    )


def decoded(shown: Tensor) -> Tensor:
    """The inverse of :func:`encoded`."""
    return torch.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
