"""Styles as users name them: picture files, style files, built-in styles."""

from __future__ import annotations

from pathlib import Path

from ..networks.model import Backbone
from ..networks.saved_style import SavedStyle, is_style_file
from ..networks.style import AnyStyle
from .input_options import InputOptions
from .open import open_picture
from .zarr.store import parse_location


def open_style(name: str, backbone: Backbone, options: InputOptions | None = None) -> AnyStyle:
    """Open the style that a user names.

    Args:
        name: of a style file; of a built-in style, if the backbone has any; or of a picture.
        backbone: the network and weights that will use it.
        options: how strictly to check a picture.

    Raises:
        ImageError: the picture cannot be used.
        StatsError: the style file cannot be read, or belongs to another network.
    """
    if is_style_file(name):
        return SavedStyle.load(Path(name)).code_for(backbone)
    if backbone.network.style_names:
        return name
    return open_picture(parse_location(name), flatten=True, options=options)
