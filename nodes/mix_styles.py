"""Mix Styles: any number of styles as one."""

from __future__ import annotations

from collections.abc import Mapping

from comfy_api.latest import io

from .growing_inputs import by_number, growing_styles_input, numbers_of
from .sockets import CATEGORY, AnyStyleValue, StyleMixture, StyleSocket, found_by


class MixStyles(io.ComfyNode):
    """Styles and their weights → STYLE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTMixStyles",
            display_name="Mix Styles",
            category=CATEGORY,
            description="Mixes any number of paintings and saved styles, each with its weight, for "
            "the saved_style input of the other nodes.",
            **found_by(
                "style transfer, blend styles, multi style, interpolation, weights, "
                "混合风格, 多种风格"
            ),
            inputs=[
                growing_styles_input(
                    least=2,
                    tooltip="Paintings, or styles from Load Style, Save Style or another Mix "
                    "Styles; one more input appears with each connection. The pictures of a batch "
                    "share its weight.",
                ),
                io.String.Input(
                    "style_weights",
                    optional=True,
                    default="",
                    tooltip="Share of each style, in their order, on any scale, separated by "
                    "commas, as in 2, 1, 1. Empty: equal shares.",
                ),
            ],
            outputs=[
                StyleSocket.Output(
                    "mixed_style",
                    display_name="mixed_style",
                    tooltip="The mixture, for the saved_style input of the stylizing nodes, or for "
                    "Save Style.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, *, styles: Mapping[str, AnyStyleValue], style_weights: str = ""
    ) -> io.NodeOutput:
        from ..urst_core.networks.style import shares_of

        each = tuple(by_number(styles).values())
        weights = numbers_of(style_weights, len(each), name="style_weights")
        return io.NodeOutput(StyleMixture(each, tuple(shares_of(weights))))
