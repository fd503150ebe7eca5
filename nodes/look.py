"""Widgets of the look, of strokes and of tiles, and their translation to the engine's settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..urst_core.tiling.settings import (
    COLORS,
    LARGEST_SEED,
    LEAST_RADIUS,
    MATCHES,
    STATS_KINDS,
    Colors,
    Match,
    Settings,
    StatsKind,
)
from . import host
from .sockets import LARGEST_SIZE, LoadedBackbone, folded_away, share_input, size_input

LEAST_TILE = 64
"""Lower limit of tiles, in px: below it a tile is almost all halo, and a run takes minutes."""

PREVIEW_STROKES, FINE_STROKES, LARGEST_STROKES = 0.0, 1.0, 1000.0

LARGEST_RADIUS = 10.0
"""Upper limit of the radius of local statistics, where they hardly vary."""

STROKES_TOOLTIP = (
    "Size of the strokes. 0: the same share of the picture as in the preview of Make Thumbnail "
    "Stats. 1: the backbone's own size, a fine grain in a large picture. 2.5: 2.5 times that."
)


def look_inputs() -> list[io.Input]:
    """Widgets that determine the look, of Make Thumbnail Stats and the stylizing nodes."""
    return [
        size_input(
            "thumbnail_size",
            default=Settings.thumbnail_size,
            tooltip="Longest side, in px, of the small copy of the content on which the statistics "
            "are measured. Larger takes more memory; 0 keeps the content's size.",
        ),
        style_size_input(),
        share_input(
            "strength",
            default=Settings.strength,
            tooltip="From 0 (the unchanged content) to 1 (the full style).",
        ),
        io.Combo.Input(
            "statistics",
            options=list(STATS_KINDS),
            default=Settings.stats,
            tooltip="thumbnail: measured on the small copy, quickly. exact: measured on the whole "
            "picture, tile by tile, in several passes, as if it fit in memory. local: measured on "
            "the small copy around each place, so that dark and bright parts get the whole range "
            "of tones.",
        ),
    ]


def style_size_input() -> io.Input:
    return size_input(
        "style_size",
        default=Settings.style_size,
        tooltip="Longest side, in px, to which styles are shrunk. Smaller makes strokes finer; "
        "0 keeps each style's size.",
    )


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
            default=PREVIEW_STROKES,
            min=0.0,
            max=LARGEST_STROKES,
            step=0.1,
            tooltip=strokes_tooltip,
        ),
        share_input(
            "detail",
            default=Settings.detail,
            optional=True,
            tooltip="How much of the content's fine structure larger strokes keep.",
        ),
        share_input(
            "brushwork",
            default=Settings.brushwork,
            optional=True,
            tooltip="How much brushwork fills flat areas such as skies. Has no effect if strokes "
            "is 1.",
        ),
        folded_away(
            io.Int.Input(
                "brushwork_seed",
                optional=True,
                default=Settings.seed,
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
        default=Settings.colors,
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
                default=Settings.local_radius,
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
                default=Settings.match,
                tooltip="moments: features take the style's mean and deviation. distribution: its "
                "whole distribution, with AdaIN.",
            )
        ),
    ]


def stroke_settings(
    strokes: float, detail: float, brushwork: float, brushwork_seed: int
) -> dict[str, Any]:
    """The engine's settings for the values of :func:`stroke_inputs`."""
    words = {PREVIEW_STROKES: "preview", FINE_STROKES: "fine"}
    return {
        "strokes": words.get(strokes, strokes),
        "detail": detail,
        "brushwork": brushwork,
        "seed": brushwork_seed,
    }


def settings_of(
    backbone: LoadedBackbone,
    *,
    thumbnail_size: int,
    style_size: int,
    strength: float,
    statistics: StatsKind,
    tile_size: int = 0,
    strokes: float = PREVIEW_STROKES,
    detail: float = Settings.detail,
    brushwork: float = Settings.brushwork,
    brushwork_seed: int = Settings.seed,
    colors: Colors = Settings.colors,
    local_radius: float = Settings.local_radius,
    match: Match = Settings.match,
) -> Settings:
    """The engine's settings for the widgets of this module.

    Args:
        backbone: has the precision and the device.
        thumbnail_size, ...: values of the widgets of the same names. The optional ones are absent
            in workflows that are older than the widgets.
    """
    return replace(
        host.settings_for(backbone),
        thumbnail_size=thumbnail_size,
        style_size=style_size,
        strength=strength,
        stats=statistics,
        tile_size=tile_size or None,
        **stroke_settings(strokes, detail, brushwork, brushwork_seed),
        colors=colors,
        local_radius=local_radius,
        match=match,
    )
