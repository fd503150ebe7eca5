"""The pack's own socket types, and inputs that several nodes share."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

from ..urst_core.method.video import PER_PICTURE
from ..urst_core.networks.local_statistics import LEAST_RADIUS
from ..urst_core.networks.model import Backbone
from ..urst_core.pictures.mask import LARGEST_FEATHER
from ..urst_core.tiling.settings import COLORS, LARGEST_SEED, MATCHES, STATS_KINDS, Settings

CATEGORY = "image/style transfer"

BackboneSocket = io.Custom("URST_BACKBONE")
StatsSocket = io.Custom("URST_STATS")
LayoutSocket = io.Custom("URST_LAYOUT")
LevelSocket = io.Custom("URST_LEVEL")
StyleSocket = io.Custom("URST_STYLE")
RegionsSocket = io.Custom("URST_REGIONS")

LARGEST_SIZE = 1 << 16
"""Upper limit of size widgets, in px."""

LEAST_TILE = 64
"""Lower limit of tiles, in px: below it a tile is almost all halo, and a run takes minutes."""

LARGEST_STROKES = 1000.0

LARGEST_RADIUS = 10.0
"""Upper limit of the radius of local statistics, where they hardly vary."""

STROKES_TOOLTIP = (
    "Size of the strokes. 0: the same share of the picture as in the preview of Make Thumbnail "
    "Stats. 1: the backbone's own size, a fine grain in a large picture. 2.5: 2.5 times that."
)

_DEFAULTS = Settings()


@dataclass(frozen=True)
class LoadedBackbone:
    """Value of a URST_BACKBONE socket: a backbone, and where and how precisely it runs.

    Immutable, since ComfyUI caches and shares what nodes return.

    Attributes:
        backbone: network and weights, on the CPU.
        precision: as in the engine's settings.
        device: ``auto`` for the device that ComfyUI uses, or ``cpu``.
    """

    backbone: Backbone
    precision: str
    device: str

    def __repr__(self) -> str:
        """In one line: ComfyUI prints a node's inputs with its errors."""
        return f"{self.backbone!r} in {self.precision} on {self.device}"


def found_by(words: str, *, essentials: str | None = None) -> dict[str, Any]:
    """Keyword arguments for a schema that let users find the node by other words.

    Args:
        words: separated by commas.
        essentials: its place in the page's list of essential nodes, if any.

    Returns:
        Only arguments that this ComfyUI's schemas have (0.3.64 and 0.8.0 have none of them): an
        unknown argument would fail, and ComfyUI drops all nodes after one that fails.
    """
    facts = {
        "search_aliases": [word.strip() for word in words.split(",")],
        "essentials_category": essentials,
    }
    known = inspect.signature(io.Schema).parameters
    return {name: value for name, value in facts.items() if value and name in known}


def folded_away(socket: io.Input) -> io.Input:
    """Mark an input that few users change: newer pages fold it away, older ones ignore the mark.

    Set on the input, since 0.3.64 and 0.8.0 have no argument for it.
    """
    socket.extra_dict = {**socket.extra_dict, "advanced": True}
    return socket


def backbone_input() -> io.Input:
    return BackboneSocket.Input("backbone", tooltip="The stylization network, from Load Backbone.")


def style_input() -> io.Input:
    return io.Image.Input(
        "style",
        optional=True,
        tooltip="The picture whose style is used. The pictures of a batch are mixed in equal "
        "shares. Leave it unconnected for backbones with built-in styles.",
    )


def share_input(name: str, *, default: float, tooltip: str, optional: bool = False) -> io.Input:
    """A number from 0 to 1."""
    return io.Float.Input(
        name,
        optional=optional,
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip=tooltip,
    )


def size_input(name: str, *, default: int, tooltip: str, optional: bool = False) -> io.Input:
    """A length in px, which few users change; 0 has a meaning of its own."""
    return folded_away(
        io.Int.Input(
            name,
            optional=optional,
            default=default,
            min=0,
            max=LARGEST_SIZE,
            step=8,
            tooltip=tooltip,
        )
    )


def other_style_inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "style_2",
            optional=True,
            tooltip="A second style, of any size, to mix with the first.",
        ),
        share_input(
            "style_2_weight",
            default=0.5,
            optional=True,
            tooltip="Share of the second style: 0 is only the first, 1 only the second. Has no "
            "effect without a second style.",
        ),
        folded_away(
            io.String.Input(
                "style_names",
                optional=True,
                default="",
                tooltip="Only for backbones with several built-in styles: the name of one, or "
                "several names separated by commas, which are mixed in equal shares.",
            )
        ),
        StyleSocket.Input(
            "saved_style",
            optional=True,
            tooltip="A style from Load Style or Save Style. If style is connected, too, both "
            "share equally.",
        ),
    ]


def style_size_input() -> io.Input:
    return size_input(
        "style_size",
        default=1024,
        tooltip="Longest side, in px, to which styles are shrunk. Smaller makes strokes finer; "
        "0 keeps each style's size.",
    )


def look_inputs() -> list[io.Input]:
    """Widgets that determine the look, of Make Thumbnail Stats and the stylizing nodes."""
    return [
        size_input(
            "thumbnail_size",
            default=1024,
            tooltip="Longest side, in px, of the small copy of the content on which the statistics "
            "are measured. Larger takes more memory; 0 keeps the content's size.",
        ),
        style_size_input(),
        share_input(
            "strength",
            default=1.0,
            tooltip="From 0 (the unchanged content) to 1 (the full style).",
        ),
        io.Combo.Input(
            "statistics",
            options=list(STATS_KINDS),
            default=STATS_KINDS[0],
            tooltip="thumbnail: measured on the small copy, quickly. exact: measured on the whole "
            "picture, tile by tile, in several passes, as if it fit in memory. local: measured on "
            "the small copy around each place, so that dark and bright parts get the whole range "
            "of tones.",
        ),
    ]


def tile_size_input() -> io.Input:
    return size_input(
        "tile_size",
        default=0,
        tooltip=f"Edge of a tile in px, at least {LEAST_TILE} and a multiple of the backbone's "
        "stride; 0 chooses by free memory. Affects only memory and speed, not the picture.",
    )


def complaint_about_tile_size(tile_size: int | None) -> bool | str:
    """Validate the value of :func:`tile_size_input`: True, or an error message."""
    if not tile_size or LEAST_TILE <= tile_size <= LARGEST_SIZE:
        return True
    return (
        f"tile_size {tile_size} is out of range; use {LEAST_TILE} to {LARGEST_SIZE} px, or 0 to "
        "choose by free memory"
    )


def stroke_inputs(strokes_tooltip: str = STROKES_TOOLTIP) -> list[io.Input]:
    """Size of strokes, and brushwork; the last inputs of nodes that stylize."""
    return [
        io.Float.Input(
            "strokes",
            optional=True,
            default=0.0,
            min=0.0,
            max=LARGEST_STROKES,
            step=0.1,
            tooltip=strokes_tooltip,
        ),
        share_input(
            "detail",
            default=_DEFAULTS.detail,
            optional=True,
            tooltip="How much of the content's fine structure larger strokes keep.",
        ),
        share_input(
            "brushwork",
            default=_DEFAULTS.brushwork,
            optional=True,
            tooltip="How much brushwork fills flat areas such as skies. Has no effect if strokes "
            "is 1.",
        ),
        folded_away(
            io.Int.Input(
                "brushwork_seed",
                optional=True,
                default=_DEFAULTS.seed,
                min=0,
                max=LARGEST_SEED,
                tooltip="Another seed gives different brushwork.",
            )
        ),
    ]


def colors_input() -> io.Input:
    """Whose colors the result has; the last input of nodes that stylize."""
    return io.Combo.Input(
        "colors",
        optional=True,
        options=list(COLORS),
        default=_DEFAULTS.colors,
        tooltip="style: the style's colors. content: the content's colors, with the lights and "
        "darks of the painting. matched: the style is first brought to the content's range of "
        "colors.",
    )


def matching_inputs() -> list[io.Input]:
    """What of the style features take, and where it is measured; the last inputs of nodes."""
    return [
        folded_away(
            io.Float.Input(
                "local_radius",
                optional=True,
                default=_DEFAULTS.local_radius,
                min=LEAST_RADIUS,
                max=LARGEST_RADIUS,
                step=0.05,
                tooltip="Only for local statistics: how far around each place they are measured, "
                "as a share of the longest side. Smaller evens out more.",
            )
        ),
        folded_away(
            io.Combo.Input(
                "match",
                optional=True,
                options=list(MATCHES),
                default=_DEFAULTS.match,
                tooltip="moments: features take the style's mean and deviation. distribution: its "
                "whole distribution, with AdaIN.",
            )
        ),
    ]


def stroke_settings(
    strokes: float, detail: float, brushwork: float, brushwork_seed: int
) -> dict[str, Any]:
    """The engine's settings for the values of :func:`stroke_inputs`."""
    words = {0.0: "preview", 1.0: "fine"}
    return {
        "strokes": words.get(strokes, strokes),
        "detail": detail,
        "brushwork": brushwork,
        "seed": brushwork_seed,
    }


def mask_inputs(mask_tooltip: str) -> list[io.Input]:
    """A mask and its feather."""
    return [
        io.Mask.Input("mask", optional=True, tooltip=mask_tooltip),
        io.Int.Input(
            "mask_feather",
            optional=True,
            default=0,
            min=0,
            max=LARGEST_FEATHER,
            tooltip="Width, in px inside the mask, over which the style fades in. Nothing changes "
            "outside the mask. 0 keeps the mask's own edge.",
        ),
    ]


def batch_statistics_input(kinds: Sequence[str], tooltip: str) -> io.Input:
    return io.Combo.Input(
        "batch_statistics",
        optional=True,
        options=list(kinds),
        default=PER_PICTURE,
        tooltip=tooltip,
    )
