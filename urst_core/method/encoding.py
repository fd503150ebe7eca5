"""Pictures and styles before the network: thumbnails and style codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..errors import Change, SettingsError
from ..networks.model import Backbone
from ..networks.style import AnyStyle, RegionCodes, StyleCode, blend
from ..pictures.colors import ColorStatistics
from ..pictures.source import Source
from ..pictures.thumbnail import make_thumbnail
from ..progress import PREPARATION_STAGE, Listener, Progress
from ..tiling.settings import Settings
from .regions import Regions


def thumbnail_of(picture: Source, longest_side: int, listener: Listener) -> torch.Tensor:
    """Picture → thumbnail, in as many steps as a large picture takes."""
    area = picture.size[0] * picture.size[1]

    def tell(share: float) -> None:
        listener(Progress(PREPARATION_STAGE, 0, 0, round(share * area), area))

    return make_thumbnail(picture, longest_side, tell=tell)


def encode_styles(
    styles: Sequence[AnyStyle],
    weights: Sequence[float] | None,
    backbone: Backbone,
    settings: Settings,
    listener: Listener,
    *,
    colors: ColorStatistics | None = None,
) -> StyleCode:
    """Styles → their code; pictures are shrunk to the style size, codes are used as they are.

    Pictures are matched to ``colors``, if there are any.
    """

    def small(style: Source) -> torch.Tensor:
        thumbnail = thumbnail_of(style, settings.style_size, listener)
        return thumbnail if colors is None else colors.match(thumbnail)

    each = [style if isinstance(style, (str, StyleCode)) else small(style) for style in styles]
    return backbone.encode_style(each, weights, match=settings.match)


def encode_regions(regions: Regions, encode: Callable[[AnyStyle], StyleCode]) -> RegionCodes:
    """Regions → the code of each; each style is encoded once, even if several regions mix it.

    Args:
        regions: the styles.
        encode: encodes one of them.
    """
    every = {id(style): style for region in regions.each for style in region.styles}
    codes = {key: encode(style) for key, style in every.items()}
    mixed: list[StyleCode] = []
    for region in regions.each:
        weights = region.weights or [1.0] * len(region.styles)
        mixed.append(blend([codes[id(style)] for style in region.styles], weights))
    return RegionCodes.of(mixed)


def parts_of(code: StyleCode) -> tuple[StyleCode, ...]:
    """The codes of all regions; the code itself if there is only one."""
    return code.parts if isinstance(code, RegionCodes) else (code,)


def check_matchable(styles: object, backbone: Backbone, settings: Settings) -> None:
    """Refuse styles that cannot be matched to the content's colors, if the settings ask for it.

    Raises:
        SettingsError: one of them is encoded or built in.
    """
    if settings.colors != "matched":
        return
    if isinstance(styles, Regions):
        styles = [style for region in styles.each for style in region.styles]
    several = styles if isinstance(styles, (list, tuple)) else [styles]
    if backbone.network.style_names or any(isinstance(style, StyleCode) for style in several):
        raise SettingsError(
            "styles that are encoded or built in cannot be matched to the content's colors",
            Change("colors", "content"),
            "give style pictures",
        )
