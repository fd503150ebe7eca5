"""What travels between our nodes beside IMAGE, and the inputs that several nodes share."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

from ..urst_core.method.video import PER_PICTURE
from ..urst_core.networks.model import Backbone
from ..urst_core.pictures.mask import LARGEST_FEATHER
from ..urst_core.tiling.settings import LARGEST_SEED, STATS_KINDS, Settings

CATEGORY = "URST"

BackboneSocket = io.Custom("URST_BACKBONE")
StatsSocket = io.Custom("URST_STATS")
LayoutSocket = io.Custom("URST_LAYOUT")

LARGEST_SIZE = 1 << 16
"""The most that a size widget takes, in px."""

LARGEST_STROKES = 1000.0

_DEFAULTS = Settings()


@dataclass(frozen=True)
class LoadedBackbone:
    """What URST_BACKBONE carries: a backbone and how to compute with it.

    ComfyUI keeps and shares what nodes return, so nothing in it ever changes.

    Attributes:
        backbone: network and weights, on the CPU.
        precision: as in the engine's settings.
        device: ``auto`` for the device that ComfyUI uses, or ``cpu``.
    """

    backbone: Backbone
    precision: str
    device: str


def found_by(words: str) -> dict[str, Any]:
    """Keywords for a schema: what a search finds its node by, beside the node's name.

    Args:
        words: separated by commas.

    Returns:
        Nothing where this ComfyUI's schemas know no such words (0.3.64 and 0.8.0 do not): an
        unknown keyword would fail, and ComfyUI drops all nodes after one that does.
    """
    if "search_aliases" not in inspect.signature(io.Schema).parameters:
        return {}
    return {"search_aliases": [word.strip() for word in words.split(",")]}


def backbone_input() -> io.Input:
    return BackboneSocket.Input(
        "backbone", tooltip="The stylization network, from Load Backbone. It is never changed."
    )


def style_input() -> io.Input:
    return io.Image.Input(
        "style",
        optional=True,
        tooltip="The picture whose style is taken. The pictures of a batch are mixed in equal "
        "shares. Stays unconnected for backbones that have their styles inside.",
    )


def other_style_inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "style_2",
            optional=True,
            tooltip="A second style, of any size, to mix with the first. May stay unconnected.",
        ),
        io.Float.Input(
            "style_2_weight",
            optional=True,
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Share of the second style: 0 is the first alone, 1 the second alone. Without "
            "a second style it does nothing.",
        ),
        io.String.Input(
            "style_names",
            optional=True,
            default="",
            tooltip="Only for backbones that have several styles inside: the name of one, or "
            "several names separated by commas, which are mixed in equal shares.",
        ),
    ]


def look_inputs() -> list[io.Input]:
    """The widgets that decide the look; Make Thumbnail Stats and Stylize Image share them."""
    return [
        io.Int.Input(
            "thumbnail_size",
            default=1024,
            min=0,
            max=LARGEST_SIZE,
            step=8,
            tooltip="Longest side, in px, of the small copy of the content that the statistics "
            "are measured on. Larger takes more memory; 0 keeps the content's size.",
        ),
        io.Int.Input(
            "style_size",
            default=1024,
            min=0,
            max=LARGEST_SIZE,
            step=8,
            tooltip="Longest side, in px, that styles are shrunk to. Smaller makes strokes finer; "
            "0 keeps each style's size.",
        ),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="From 0, the untouched content, to 1, the full style.",
        ),
        io.Combo.Input(
            "statistics",
            options=list(STATS_KINDS),
            default=STATS_KINDS[0],
            tooltip="thumbnail: measured on the small copy, at once. exact: measured on the whole "
            "picture, tile by tile, in several passes; as if it fitted in memory.",
        ),
    ]


def tile_size_input() -> io.Input:
    return io.Int.Input(
        "tile_size",
        default=0,
        min=0,
        max=LARGEST_SIZE,
        step=8,
        tooltip="Edge of a tile in px, a multiple of the backbone's stride; 0 chooses by free "
        "memory. It does not change the picture, only memory and speed.",
    )


def stroke_inputs() -> list[io.Input]:
    """How large strokes are, and what fills flat places; the last inputs of nodes that stylize."""
    return [
        io.Float.Input(
            "strokes",
            optional=True,
            default=0.0,
            min=0.0,
            max=LARGEST_STROKES,
            step=0.1,
            tooltip="How large strokes are. 0: as large a share of the picture as in the preview "
            "of Make Thumbnail Stats. 1: the backbone's own, which in a large picture are a fine "
            "grain. 2.5: so many times that.",
        ),
        io.Float.Input(
            "detail",
            optional=True,
            default=_DEFAULTS.detail,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="How much of the content's fine structure larger strokes leave.",
        ),
        io.Float.Input(
            "brushwork",
            optional=True,
            default=_DEFAULTS.brushwork,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="How much brushwork fills flat places, a sky for example, where strokes are "
            "larger than 1.",
        ),
        io.Int.Input(
            "brushwork_seed",
            optional=True,
            default=_DEFAULTS.seed,
            min=0,
            max=LARGEST_SEED,
            tooltip="Another number makes other brushwork.",
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
            tooltip="How far inside the mask, in px, the style has faded in fully. Outside the "
            "mask nothing changes. 0 keeps the mask's own edge.",
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
