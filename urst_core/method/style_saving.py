"""From paintings to a style that can be saved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..networks.model import Backbone
from ..networks.saved_style import SavedStyle
from ..networks.style import AnyStyle, pictures_among
from ..pictures.source import Source, from_unit
from ..pictures.thumbnail import make_thumbnail
from ..progress import Listener, ignore
from ..tiling.device import explained_out_of_memory, find_device
from ..tiling.settings import Settings
from .encoding import encode_styles

PREVIEW_SIZE = 160
"""Longest side of the picture in a style file, in px: at most 77 KB, like the code of a style."""


def make_saved_style(
    styles: Sequence[AnyStyle],
    backbone: Backbone,
    settings: Settings | None = None,
    *,
    style_weights: Sequence[float] | None = None,
    title: str = "",
    listener: Listener = ignore,
) -> SavedStyle:
    """Encode a style, or a mixture of several, for a file.

    Args:
        styles, style_weights: as in :func:`~urst_core.method.pipeline.stylize`.
        backbone: the network and weights that encode them.
        settings: device and style size are used.
        title: one line, for people.
        listener: called while large styles are shrunk; if it raises, the work ends.

    Returns:
        The style, on the CPU, with a preview of the first picture, if there is one.

    Raises:
        URSTError: a style, a setting or the device cannot be used.
    """
    settings = settings or Settings()
    settings.check(backbone.traits)
    backbone = backbone.on(find_device(settings.device))
    with explained_out_of_memory(backbone.device, "the styles", "a smaller style size"):
        code = encode_styles(styles, style_weights, backbone, settings, listener)
    return SavedStyle(
        code.to(torch.device("cpu")), backbone.traits.name, title, _preview(pictures_among(styles))
    )


def _preview(pictures: Sequence[Source]) -> Tensor | None:
    if not pictures:
        return None
    return from_unit(make_thumbnail(pictures[0], PREVIEW_SIZE)[0], torch.uint8)
