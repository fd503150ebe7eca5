"""Style Region: a style for a part of the picture; connect several in a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.choices import STATS_OF_REGIONS, StatsOfRegions
from .convert import masks_of, mixture_of
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    RegionsSocket,
    SavedOrMixed,
    folded_away,
    found_by,
    mask_inputs,
    other_style_inputs,
    share_input,
    style_input,
)

if TYPE_CHECKING:
    from ..urst_core.geometry import Size
    from ..urst_core.method.regions import Regions
    from ..urst_core.networks.style import AnyStyle
    from ..urst_core.pictures.mask import Mask

Mixture: TypeAlias = "tuple[Sequence[AnyStyle], Sequence[float]]"
"""Styles that are mixed, and the share of each."""


@dataclass(frozen=True)
class StyledRegion:
    """One region of a URST_REGIONS socket, whose value is a tuple of them, the last on top.

    Attributes:
        mixture: gives the styles that are mixed there for a backbone, and the share of each.
        strength: times the strength of the stylizing node.
        mask: (H, W) or (1, H, W); None for the whole picture.
        feather: in px.
    """

    mixture: Callable[[LoadedBackbone], Mixture]
    strength: float
    mask: Tensor | None
    feather: int

    def __repr__(self) -> str:
        """In one line, without the values."""
        where = "everywhere" if self.mask is None else f"mask {tuple(self.mask.shape)}"
        return f"StyledRegion({where}, strength {self.strength:g})"


class StyleRegion(io.ComfyNode):
    """Style and mask → REGIONS, on top of other REGIONS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStyleRegion",
            display_name="Style Region",
            category=CATEGORY,
            description="Gives a part of the picture a style of its own. Connect several in a row, "
            "for any number of styles, and the last to Stylize Image, which paints them all in one "
            "pass.",
            **found_by(
                "regional style, mask, area, several styles, multi style, composite, segment, "
                "区域, 遮罩, 多种风格"
            ),
            inputs=[
                style_input(),
                *mask_inputs(
                    "The region: white takes this style, black what is below, gray mixes. "
                    "Masks of another size are scaled. Without a mask, the style is everywhere."
                ),
                share_input(
                    "strength",
                    default=1.0,
                    optional=True,
                    tooltip="Strength of this style, times the strength of Stylize Image.",
                ),
                RegionsSocket.Input(
                    "regions",
                    optional=True,
                    tooltip="The regions below, from another Style Region. Where masks overlap, "
                    "this one is on top.",
                ),
                *other_style_inputs(),
            ],
            outputs=[
                RegionsSocket.Output(
                    "all_regions",
                    display_name="regions",
                    tooltip="For the next Style Region, or for Stylize Image.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        style: Tensor | None = None,
        mask: Tensor | None = None,
        mask_feather: int = 0,
        strength: float = 1.0,
        regions: tuple[StyledRegion, ...] = (),
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedOrMixed | None = None,
    ) -> io.NodeOutput:
        def mixture(backbone: LoadedBackbone) -> Mixture:
            return mixture_of(style, style_2, style_2_weight, style_names, saved_style, backbone)

        region = StyledRegion(mixture, strength, mask, mask_feather)
        return io.NodeOutput((*regions, region))


def region_stats_input() -> io.Input:
    """Where statistics are measured for each region; the last input of nodes that have regions."""
    return folded_away(
        io.Combo.Input(
            "region_stats",
            optional=True,
            options=list(STATS_OF_REGIONS),
            default="picture",
            tooltip="Only with regions. picture: each region looks as if its style were "
            "everywhere. region: each gets its style's whole range of tones.",
        )
    )


def regions_of(
    size: Size,
    base: Mixture,
    regions: Sequence[StyledRegion],
    backbone: LoadedBackbone,
    *,
    stats: StatsOfRegions,
) -> Regions:
    """The regions of a picture, on top of the style that is everywhere, if there is one.

    Args:
        size: height and width of the picture.
        base: styles that are everywhere, and their weights; empty to keep the content there.
        regions: the value of a URST_REGIONS socket.
        backbone: the one that paints.
        stats: as for :class:`~urst_core.method.regions.Regions`.

    Raises:
        ShapeError: a mask is a batch.
        StatsError: a saved style belongs to another backbone.
        SettingsError: there are too many regions, or a feather is out of range.
    """
    from ..urst_core.method.regions import Region, Regions
    from ..urst_core.pictures.region_map import MaskRegions

    below = [StyledRegion(lambda _: base, 1.0, None, 0)] if base[0] else []
    masks: list[Mask] = []
    styled: list[Region] = []
    for each in [*below, *regions]:
        styles, weights = each.mixture(backbone)
        styled.append(Region(styles, weights or None, each.strength))
        masks.append(_mask_of(each, size))
    return Regions(MaskRegions(masks), styled, stats)


def _mask_of(region: StyledRegion, size: Size) -> Mask:
    from ..urst_core.pictures.mask import Mask, TensorMask

    [mask] = masks_of(region.mask, region.feather, [size])
    return mask or Mask(TensorMask(torch.ones(size)))
