"""Zarr arrays and OME-Zarr images as sources."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ImageError
from ...geometry import Rectangle, Size
from ...pictures.metadata import PictureMetadata, content_xmp
from ..pixel_types import torch_type
from .ome import BLOBS, Axes, largest_level
from .store import (
    OWN_ATTRIBUTE,
    Location,
    is_unfinished,
    open_node,
    own_attributes,
    translate_errors,
)


class ZarrPicture:
    """A picture in a Zarr store, read by rectangles: RGB or RGBA.

    An array, or a group that is an OME-Zarr 0.4 or 0.5 image, whose largest level is read. Gray
    becomes RGB. Chunks that a store lacks are zeros, as Zarr defines it.

    Args:
        location: path or URL of the store, or of an array or image in it.
        to_srgb: refuse a picture with a color profile, which is not applied here: for styles.
        unfinished: read a store that is still being made, which otherwise is refused.

    Raises:
        ImageError: there is no such picture, or it is of a kind that cannot be used.
    """

    def __init__(
        self, location: Location, *, to_srgb: bool = False, unfinished: bool = False
    ) -> None:
        self.location = location
        node = open_node(location)
        if is_unfinished(node) and not unfinished:
            raise ImageError(
                f"picture {location} is unfinished: a run writes it still, or ended early; "
                "let that run finish, or delete it"
            )
        self._own = own_attributes(node)
        self._array, names, self._resolution = largest_level(node, location)
        shape = tuple(self._array.shape)
        self._axes = Axes.of(names, shape, location) if names else Axes.guessed(shape, location)
        self._stored_channels = 1 if self._axes.channel is None else shape[self._axes.channel]
        self._dtype = self._checked_type(shape)
        if to_srgb and self.metadata.profile is not None:
            raise ImageError(
                f"style {location} has a color profile, which is not applied to Zarr styles; "
                "save it as a TIFF or PNG file"
            )

    @property
    def path(self) -> Path | None:
        """The folder of the store; None behind a URL."""
        return self.location if isinstance(self.location, Path) else None

    @property
    def size(self) -> Size:
        shape = self._array.shape
        return shape[self._axes.row], shape[self._axes.column]

    @property
    def channels(self) -> int:
        return 4 if self._stored_channels in (2, 4) else 3

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def metadata(self) -> PictureMetadata:
        """What the result should say, too.

        Raises:
            ImageError: the stored text is not valid base64.
        """
        stored: Mapping[str, str] = self._own.get("metadata", {})
        try:
            blobs: dict[str, Any] = {
                name: b64decode(stored[name], validate=True) for name in BLOBS & stored.keys()
            }
        except (TypeError, ValueError) as error:
            raise ImageError(
                f"picture {self.location} has damaged metadata ({error}); remove metadata from its "
                f"attribute {OWN_ATTRIBUTE!r}, or get it again"
            ) from error
        blobs["xmp"], painting = content_xmp(blobs.get("xmp"))
        return PictureMetadata(resolution=self._resolution, painting=painting, **blobs)

    def read(self, rectangle: Rectangle) -> Tensor:
        """Pixels of a rectangle, (C, h, w).

        Raises:
            ImageError: chunks there are damaged, or cannot be reached.
        """
        axes = self._axes
        selection: list[Any] = [0] * len(self._array.shape)
        selection[axes.row], selection[axes.column] = rectangle.slices
        if axes.channel is not None:
            selection[axes.channel] = slice(None)
        with translate_errors(
            f"picture {self.location} is damaged or out of reach",
            "check the store, or get it again",
        ):
            values = np.asarray(self._array[tuple(selection)])
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
        pixels = torch.from_numpy(values)
        return self._as_rgb(self._channels_first(pixels))

    def _channels_first(self, pixels: Tensor) -> Tensor:
        """(C, h, w) of what was read, whose axes of length 1 are gone."""
        axes = self._axes
        if axes.channel is None:
            return (pixels if axes.row < axes.column else pixels.T).unsqueeze(0)
        order = sorted((axes.channel, axes.row, axes.column))
        return pixels.permute([order.index(a) for a in (axes.channel, axes.row, axes.column)])

    def _as_rgb(self, pixels: Tensor) -> Tensor:
        if self._stored_channels <= 2:
            pixels = torch.cat([pixels[:1].expand(3, -1, -1), pixels[1:]])
        return pixels

    def _checked_type(self, shape: tuple[int, ...]) -> torch.dtype:
        dtype = torch_type(self._array.dtype)
        if dtype is None:
            raise ImageError(
                f"picture {self.location} stores {self._array.dtype.name} values; "
                "use uint8, uint16, or floating ones of 0 to 1"
            )
        if not 1 <= self._stored_channels <= 4:
            raise ImageError(
                f"picture {self.location} has {self._stored_channels} channels; "
                "use gray or RGB, with or without alpha"
            )
        if 0 in shape:
            raise ImageError(f"picture {self.location} of shape {shape} is empty; get it again")
        return dtype
