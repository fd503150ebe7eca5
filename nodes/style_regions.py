"""Style Regions: styles for any number of parts of the picture, in one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.errors import SettingsError
from .convert import mixture_of
from .growing_inputs import by_number, growing_input, growing_styles_input, numbers_of
from .sockets import (
    CATEGORY,
    AnyStyleValue,
    LoadedBackbone,
    RegionsSocket,
    StyleMixture,
    found_by,
    mask_feather_input,
)
from .style_region import Mixture, StyledRegion


class StyleRegions(io.ComfyNode):
    """Styles and masks → REGIONS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStyleRegions",
            display_name="Style Regions",
            category=CATEGORY,
            description="Gives any number of parts of the picture a style each: style_1 where "
            "mask_1 is white, and so on. Stylize Image paints them all in one pass.",
            **found_by(
                "regional style, masks, areas, several styles, multi style, segments, "
                "区域, 遮罩, 多种风格"
            ),
            inputs=[
                growing_styles_input(
                    least=1,
                    tooltip="Paintings, or styles from Load Style, Save Style or Mix Styles; one "
                    "more input appears with each connection.",
                ),
                growing_input(
                    "masks",
                    io.Mask.Input("mask"),
                    tooltip="The region of the style of the same number: white takes it, black "
                    "what is below, gray mixes. A style without a mask is everywhere. Where masks "
                    "overlap, the last is on top.",
                ),
                mask_feather_input(),
                io.String.Input(
                    "strengths",
                    optional=True,
                    default="",
                    tooltip="Strength of each style, 0 to 1, times the strength of Stylize Image, "
                    "in their order, separated by commas, as in 1, 0.7. Empty: all 1.",
                ),
                RegionsSocket.Input(
                    "regions",
                    optional=True,
                    tooltip="Regions below these, from Style Region or another Style Regions.",
                ),
            ],
            outputs=[
                RegionsSocket.Output(
                    "all_regions",
                    display_name="regions",
                    tooltip="For Stylize Image, or for another node of regions.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        styles: Mapping[str, AnyStyleValue],
        masks: Mapping[str, Tensor] | None = None,
        mask_feather: int = 0,
        strengths: str = "",
        regions: tuple[StyledRegion, ...] = (),
    ) -> io.NodeOutput:
        by_style, by_mask = by_number(styles), by_number(masks or {})
        for number in by_mask:
            if number not in by_style:
                raise SettingsError(
                    f"mask_{number} has no style; connect style_{number}, or remove the mask"
                )
        shares = numbers_of(strengths, len(by_style), name="strengths")
        own = [
            StyledRegion(_parts_of(style), share, by_mask.get(number), mask_feather)
            for (number, style), share in zip(by_style.items(), shares)
        ]
        return io.NodeOutput((*regions, *own))


def _parts_of(style: AnyStyleValue) -> Callable[[LoadedBackbone], Mixture]:
    """Gives the parts of a style for a backbone, and the share of each."""
    whole = StyleMixture((style,), (1.0,))
    return lambda backbone: mixture_of(None, None, 0.0, "", whole, backbone)
