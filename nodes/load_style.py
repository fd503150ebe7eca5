"""Load Style: a style from the file that Save Style or the command line wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.pictures.source import to_unit
from . import folders, host
from .convert import image_of
from .sockets import CATEGORY, StyleSocket, found_by

if TYPE_CHECKING:
    from ..urst_core.networks.saved_style import SavedStyle

EMPTY_PREVIEW = (3, 64, 64)
"""Shape of the black preview of a style without one."""


class LoadStyle(io.ComfyNode):
    """Style file → STYLE, IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTLoadStyle",
            display_name="Load Style",
            category=CATEGORY,
            description="Loads a style that Save Style or urst style save wrote, for the "
            "saved_style input of the stylizing nodes. The painting is not needed.",
            **found_by("style transfer, style bank, style library, embedding, 风格库, 加载风格"),
            inputs=[
                io.Combo.Input(
                    "style_file",
                    options=host.style_choices(),
                    tooltip="A .style.safetensors file in the folder models/urst; press R to "
                    "refresh. Must fit the backbone and its weights.",
                )
            ],
            outputs=[
                StyleSocket.Output(
                    "saved",
                    display_name="saved_style",
                    tooltip="The style, for the saved_style input of the stylizing nodes.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="A small picture of the style; black if the file has none.",
                ),
                io.String.Output(
                    "title", display_name="title", tooltip="One line that describes the style."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, style_file: str, **_: object) -> str:
        """Changes when the file does, so that it is read again."""
        return folders.fingerprint(host.style_file(style_file))

    @classmethod
    def execute(cls, *, style_file: str) -> io.NodeOutput:
        from ..urst_core.networks.saved_style import SavedStyle

        saved = SavedStyle.load(host.style_file(style_file))
        preview = preview_of(saved)
        return io.NodeOutput(saved, preview, saved.title, ui=host.page_output(preview))


def preview_of(saved: SavedStyle) -> Tensor:
    """The preview of a style as an IMAGE."""
    pixels = torch.zeros(EMPTY_PREVIEW) if saved.preview is None else to_unit(saved.preview)
    return image_of(pixels.unsqueeze(0), torch.device("cpu"))
