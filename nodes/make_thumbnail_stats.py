"""Make Thumbnail Stats: what all tiles of a picture will share."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.canvas import thumbnail_size_of
from ..urst_core.pipeline import measure
from ..urst_core.windows import stylized_thumbnail
from . import host
from .convert import image_of, mixture_of, single_source_of
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    StatsSocket,
    backbone_input,
    look_inputs,
    other_style_inputs,
    style_input,
)


class MakeThumbnailStats(io.ComfyNode):
    """Content and styles → STATS, and a preview of the whole picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTMakeThumbnailStats",
            display_name="Make Thumbnail Stats",
            category=CATEGORY,
            description="Measures, once and on a small copy, the statistics that every tile of "
            "the picture shares: that is why tiles fit together without seams.",
            inputs=[
                backbone_input(),
                io.Image.Input("content", tooltip="The picture to stylize, whole, not in tiles."),
                style_input(),
                *look_inputs(),
                *other_style_inputs(),
            ],
            outputs=[
                StatsSocket.Output(
                    "stats",
                    display_name="stats",
                    tooltip="The statistics, for Stylize Patches with TIN. They hold for this "
                    "content, these styles and this backbone.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="The stylized small copy: the look of the whole result, at once.",
                ),
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
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
    ) -> io.NodeOutput:
        source = single_source_of(content, node="Make Thumbnail Stats")
        styles, weights = mixture_of(style, style_2, style_2_weight, style_names)
        settings = replace(
            host.settings_for(backbone),
            thumbnail_size=thumbnail_size,
            style_size=style_size,
            strength=strength,
            stats=statistics,
        )
        areas = [
            thumbnail_size_of(source.size, thumbnail_size),
            *host.style_areas(styles, style_size),
        ]
        progress = host.NodeProgress(stages=host.stages_of(backbone, settings, "tiles"))
        with host.working_memory(backbone, *areas):
            stats = measure(
                source,
                styles,
                backbone.backbone,
                settings,
                style_weights=weights,
                listener=progress.listener(look=host.growing(source.size, source)),
            )
            preview = stylized_thumbnail(
                source, backbone.backbone, stats, settings, listener=progress.listener()
            )
        return io.NodeOutput(stats, image_of(preview.unsqueeze(0), *host.image_kind()))
