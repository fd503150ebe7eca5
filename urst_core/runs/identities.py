"""What determines the pixels of a run, by names that users know; see :mod:`urst_core.identity`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from .. import __version__
from ..durable import file_hash
from ..networks.model import Backbone
from ..networks.saved_style import is_style_file
from ..tiling.device import find_device
from ..tiling.settings import Settings
from .record import RunRecord


def style_identity(
    backbone: Backbone, styles: Sequence[str], style_weights: Sequence[float] | None
) -> dict[str, str]:
    """Styles, their shares, and the network.

    Raises:
        ImageError: a style cannot be read.
    """
    has_names = bool(backbone.network.style_names)
    each = [
        style if has_names and not is_style_file(style) else file_hash(Path(style))
        for style in styles
    ]
    return {
        **{f"style {index}": style for index, style in enumerate(each, start=1)},
        "style weights": " ".join(map(repr, style_weights or ())) or "equal",
        "backbone": backbone.traits.name,
        "weights": f"SHA-256 {backbone.fingerprint}",
    }


def look_identity(settings: Settings, *, is_plain: bool) -> dict[str, str]:
    """The settings that determine the look.

    Args:
        settings: of the run.
        is_plain: whether it is a single plain pass, which has no larger strokes.
    """
    strokes = {
        "strokes": str(settings.strokes),
        "detail": repr(settings.detail),
        "brushwork": repr(settings.brushwork),
        "seed": str(settings.seed),
    }
    return {
        "thumbnail size": str(settings.thumbnail_size),
        "style size": str(settings.style_size),
        "statistics": settings.stats,
        **({} if settings.radius is None else {"local radius": repr(settings.radius)}),
        "strength": repr(settings.strength),
        "colors": settings.colors,
        "match": settings.match,
        **({"strokes": "fine"} if is_plain else strokes),
    }


def machine_identity(settings: Settings, earlier: RunRecord | None = None) -> dict[str, str]:
    """Precision, tile size, device and versions.

    Args:
        settings: of the run.
        earlier: the record of an interrupted run, whose automatic choices are kept.
    """
    identity = {
        "precision": settings.precision,
        "tile size": str(settings.tile_size or "auto"),
        "device": find_device(settings.device).type,
        "urst": __version__,
        "torch": torch.__version__,
    }
    if earlier is not None:
        edge = str(earlier.tile_size or earlier.statistics_tile_size)
        for name, chosen in (("precision", earlier.precision), ("tile size", edge)):
            if identity[name] in ("auto", chosen):
                identity[name] = earlier.identity.get(name, "none")
    return identity
