"""OME-Zarr (0.4 and 0.5): which array of a store is the picture, its axes, its resolution.

The format is described at https://ngff.openmicroscopy.org/0.5/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ImageError
from ...geometry import Size
from ...pictures.source import FULL_SCALE
from .store import Location, translate_errors

MICROMETERS: dict[str, float] = {
    "micrometer": 1.0,
    "nanometer": 1e-3,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25_400.0,
}

DEFAULT_RESOLUTION = (1.0, 1.0)
"""What libvips says of a picture whose file names no resolution."""

BLOBS = frozenset({"profile", "exif", "xmp", "iptc"})
"""Metadata for which the format has no place; kept in an attribute of ours, base64."""

RGB_COLORS = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True)
class Axes:
    """Which axes of an array are channel, row and column; the others have length 1."""

    channel: int | None
    row: int
    column: int

    @classmethod
    def of(cls, names: Sequence[str], shape: Sequence[int], location: Location) -> Axes:
        """By names, where c, y and x are channel, row and column.

        Raises:
            ImageError: there is no y or x, or another axis is longer than 1.
        """
        if "y" not in names or "x" not in names:
            raise ImageError(
                f"picture {location} has axes {', '.join(names)}; a picture needs axes y and x"
            )
        for name, length in zip(names, shape):
            if name not in ("c", "y", "x") and length != 1:
                raise ImageError(
                    f"picture {location} has {length} planes along axis {name}; "
                    "write the one to stylize as an image of its own"
                )
        channel = names.index("c") if "c" in names else None
        return cls(channel, names.index("y"), names.index("x"))

    @classmethod
    def guessed(cls, shape: tuple[int, ...], location: Location) -> Axes:
        """Without names: (H, W), (H, W, C) or (C, H, W), where C is 1 to 4.

        Raises:
            ImageError: the shape is not a picture's, or is ambiguous.
        """
        if len(shape) == 2:
            return cls(None, 0, 1)
        first, last = (1 <= length <= 4 for length in (shape[0], shape[-1]))
        if len(shape) != 3 or not (first or last):
            raise ImageError(
                f"picture {location} has shape {shape}; use (height, width), "
                "(height, width, channels) or (channels, height, width) with 1 to 4 channels"
            )
        if first and last:
            raise ImageError(
                f"picture {location} of shape {shape} may have its channels first or last; "
                "name its dimensions c, y and x"
            )
        return cls(0, 1, 2) if first else cls(2, 0, 1)


def largest_level(
    node: Any, location: Location
) -> tuple[Any, tuple[str, ...], tuple[float, float] | None]:
    """The array with the picture, the names of its axes where it has them, and its resolution."""
    if hasattr(node, "shape"):
        return node, _dimension_names(node), None
    attributes: Mapping[str, Any] = node.attrs.get("ome", node.attrs)
    images = attributes.get("multiscales")
    if not images:
        members = ", ".join(sorted(node.group_keys())[:3] + sorted(node.array_keys())[:3])
        raise ImageError(
            f"{location} is a Zarr group but no OME-Zarr image; name the image or array in it"
            + (f", one of: {members}" if members else "")
        )
    _check_colors(attributes, location)
    what = f"picture {location} has no usable OME-Zarr description"
    with translate_errors(what, "use version 0.4 or 0.5 of the format"):
        image = images[0]
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image["axes"]]
        names = tuple(str(axis["name"]) for axis in axes)
        level = image["datasets"][0]
        return node[level["path"]], names, _resolution(axes, level)


def _dimension_names(array: Any) -> tuple[str, ...]:
    """Of a Zarr 3 array, or as xarray notes them; empty where they are not c, y and x."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(names) if {"y", "x"} <= set(names) else ()


def _resolution(
    axes: Sequence[Mapping[str, Any]], level: Mapping[str, Any]
) -> tuple[float, float] | None:
    """Pixels per millimeter, across and down; unknown where the axes name no unit of length."""
    scale: Sequence[float] = next(
        (t["scale"] for t in level.get("coordinateTransformations", ()) if t["type"] == "scale"), ()
    )
    sizes = {
        axis["name"]: length * MICROMETERS[axis["unit"]]
        for axis, length in zip(axes, scale)
        if axis.get("unit") in MICROMETERS and length > 0
    }
    if not {"x", "y"} <= sizes.keys():
        return None
    return 1000.0 / sizes["x"], 1000.0 / sizes["y"]


def _check_colors(attributes: Mapping[str, Any], location: Location) -> None:
    """Refuse channels that are meant to be shown in other colors than red, green and blue."""
    channels = attributes.get("omero", {}).get("channels", [])
    colors = [str(channel.get("color", "")).upper() for channel in channels[:3]]
    if len(channels) >= 3 and all(colors) and tuple(colors) != RGB_COLORS:
        raise ImageError(
            f"picture {location} has channels of colors {', '.join(colors)}; only RGB can be "
            f"stylized, in the order {', '.join(RGB_COLORS)}"
        )


def describe(
    name: str,
    levels: int,
    *,
    channels: int,
    dtype: torch.dtype,
    resolution: tuple[float, float] | None,
) -> dict[str, Any]:
    """The ``ome`` attribute, version 0.5, of arrays "0", "1", … with axes c, y, x.

    Args:
        name: of the picture.
        levels: of the pyramid, each half the size of the one before, whose pixels are means of
            2 x 2: so centers move by half a pixel of the finer level.
        channels: 3 or 4.
        dtype: of the pixels.
        resolution: pixels per millimeter, across and down; None where unknown.
    """
    known = resolution not in (None, DEFAULT_RESOLUTION)
    unit = {"unit": "micrometer"} if known else {}
    across, down = (1000.0 / n for n in resolution) if resolution and known else (1.0, 1.0)
    full_scale = FULL_SCALE.get(dtype, 1)
    window = {"min": 0, "max": full_scale, "start": 0, "end": full_scale}
    colors = zip(("red", "green", "blue", "alpha")[:channels], (*RGB_COLORS, "FFFFFF"))
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "type": "mean",
                "axes": [
                    {"name": "c", "type": "channel"},
                    {"name": "y", "type": "space", **unit},
                    {"name": "x", "type": "space", **unit},
                ],
                "datasets": [_level(number, down, across) for number in range(levels)],
            }
        ],
        "omero": {
            "channels": [
                # Alpha would cover the picture with white in viewers, which add channels up.
                {"label": label, "color": color, "active": label != "alpha", "window": window}
                for label, color in colors
            ]
        },
    }


def level_sizes(size: Size, smallest: int) -> list[Size]:
    """The picture's size, then halves of it, rounded up, until both sides are ``smallest`` px."""
    sizes = [size]
    while max(size) > smallest:
        size = -(-size[0] // 2), -(-size[1] // 2)
        sizes.append(size)
    return sizes


def _level(number: int, down: float, across: float) -> dict[str, Any]:
    factor = 2**number
    shift = (factor - 1) / 2
    moves: list[dict[str, Any]] = [
        {"type": "scale", "scale": [1.0, factor * down, factor * across]}
    ]
    if number:
        moves.append({"type": "translation", "translation": [0.0, shift * down, shift * across]})
    return {"path": str(number), "coordinateTransformations": moves}
