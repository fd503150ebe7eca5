"""Stylize Image: everything in one node, streaming, without a batch of tiles in memory."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.pipeline import stylize
from . import host
from .convert import blank_image, mixture_of, sources_of
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    backbone_input,
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
        stages = host.stages_of(backbone, settings, "tiles")
        progress = host.NodeProgress(pictures=len(contents), stages=stages)
        result_bytes = host.image_bytes(*content.shape)
        with host.working_memory(backbone, *areas, result_bytes=result_bytes):
            image, canvases = blank_image(contents, *host.image_kind())
            for index, (source, canvas) in enumerate(zip(contents, canvases)):
                stylize(
                    source,
                    styles,
                    canvas,
                    backbone.backbone,
                    settings,
                    style_weights=weights,
                    listener=progress.listener(
                        picture=index, look=host.growing(source.size, source)
                    ),
                )
        return io.NodeOutput(image)
