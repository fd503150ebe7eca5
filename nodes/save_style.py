"""Save Style: encodes paintings once, into a small file."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.errors import Change, OutputError
from . import folders, host
from .convert import mixture_of
from .load_style import preview_of
from .look import style_size_input
from .remedies import naming_inputs
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    SavedOrMixed,
    StyleSocket,
    backbone_input,
    found_by,
    other_style_inputs,
    style_input,
)


class SaveStyle(io.ComfyNode):
    """BACKBONE and styles → STYLE, and a file in models/urst."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTSaveStyle",
            display_name="Save Style",
            category=CATEGORY,
            description="Encodes a painting, or a mixture of several, and saves the code as a "
            "small file in models/urst, for Load Style and the command line. Works only with the "
            "same backbone and weights.",
            **found_by("style transfer, style bank, style library, embedding, 风格库, 保存风格"),
            inputs=[
                backbone_input(),
                style_input(),
                style_size_input(),
                *other_style_inputs(),
                io.String.Input(
                    "title", default="", tooltip="One line that describes the style; may be empty."
                ),
                io.String.Input(
                    "file_name",
                    default="style",
                    tooltip="Name of the file in models/urst, with / between folders; the "
                    "extension .style.safetensors is added.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="Whether an existing file of that name may be replaced.",
                ),
            ],
            outputs=[
                StyleSocket.Output(
                    "saved",
                    display_name="saved_style",
                    tooltip="The style, for the saved_style input of the stylizing nodes.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        *,
        backbone: LoadedBackbone,
        style: Tensor | None = None,
        style_size: int,
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedOrMixed | None = None,
        title: str,
        file_name: str,
        overwrite: bool,
    ) -> io.NodeOutput:
        from ..urst_core.method.style_saving import make_saved_style

        path = folders.style_path(host.weights_folders()[0], file_name)
        with naming_inputs():
            if path.exists() and not overwrite:
                raise OutputError(
                    f"{path} exists", "choose another name", Change("overwrite", True)
                )
            styles, weights = mixture_of(
                style, style_2, style_2_weight, style_names, saved_style, backbone
            )
            settings = replace(host.settings_for(backbone), style_size=style_size)
            areas = host.style_areas(styles, style_size) or [(1, 1)]
            with host.working_memory(backbone, *areas):
                saved = make_saved_style(
                    styles,
                    backbone.backbone,
                    settings,
                    style_weights=weights or None,
                    title=title,
                    listener=host.progress_listener(),
                )
            saved.save(path)
        return io.NodeOutput(saved, ui=host.page_output(preview_of(saved)))
