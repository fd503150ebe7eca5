"""Stylize Image: everything in one node, streaming, without a batch of tiles in memory."""

from __future__ import annotations

from dataclasses import replace

from comfy import model_management
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.pipeline import stylize
from . import host
from .convert import blank_image, mixture_of, sources_of
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    backbone_input,
    found_by,
    look_inputs,
    other_style_inputs,
    style_input,
    tile_size_input,
)


class StylizeImage(io.ComfyNode):
    """Content and styles → stylized IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStylizeImage",
            display_name="Stylize Image",
            category=CATEGORY,
            description="Stylizes pictures of any size, tile by tile: the same pixels as the five "
            "other nodes together, with less memory.",
            **found_by(
                "style transfer, neural style, painting, AdaIN, MicroAST, tiled, "
                "high resolution, 风格迁移, 绘画, 高分辨率"
            ),
            inputs=[
                backbone_input(),
                io.Image.Input(
                    "content",
                    tooltip="The picture to stylize. In a batch each picture is measured and "
                    "stylized on its own. Alpha is kept.",
                ),
                style_input(),
                *look_inputs(),
                tile_size_input(),
                *other_style_inputs(),
            ],
            outputs=[
                io.Image.Output(
                    "stylized",
                    display_name="image",
                    tooltip="The stylized pictures, of the content's size.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        backbone: LoadedBackbone,
        content: Tensor,
        style: Tensor | None = None,
        thumbnail_size: int,
        style_size: int,
        strength: float,
        statistics: str,
        tile_size: int,
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
    ) -> io.NodeOutput:
        contents = sources_of(content)
        styles, weights = mixture_of(style, style_2, style_2_weight, style_names)
        settings = replace(
            host.settings_for(backbone),
            thumbnail_size=thumbnail_size,
            style_size=style_size,
            strength=strength,
            stats=statistics,
            tile_size=tile_size or None,
        )
        areas = host.run_areas(backbone, contents[0].size, styles, settings)
        image, canvases = blank_image(contents, model_management.intermediate_device())
        with host.working_memory(backbone, *areas):
            for index, (source, canvas) in enumerate(zip(contents, canvases)):
                stylize(
                    source,
                    styles,
                    canvas,
                    backbone.backbone,
                    settings,
                    style_weights=weights,
                    listener=host.progress_listener(picture=index, pictures=len(contents)),
                )
        return io.NodeOutput(image)
