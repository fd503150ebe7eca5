"""Make Thumbnail Stats: measures the statistics that all tiles of a picture share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.choices import PER_PICTURE, SHARED
from ..urst_core.errors import ShapeError
from ..urst_core.pictures.thumbnail import thumbnail_size_of
from ..urst_core.progress import TILES_STAGE
from . import host
from .convert import image_of, mixture_of, sources_of
from .look import FINE_STROKES, look_inputs, matching_inputs, settings_of
from .sockets import (
    CATEGORY,
    LevelSocket,
    LoadedBackbone,
    SavedOrMixed,
    StatsSocket,
    backbone_input,
    batch_statistics_input,
    found_by,
    other_style_inputs,
    style_input,
)

if TYPE_CHECKING:
    from ..urst_core.method.one_level import OneLevel
    from ..urst_core.method.video import Frames
    from ..urst_core.networks.frozen_stats import FrozenStats
    from ..urst_core.networks.model import Backbone
    from ..urst_core.tiling.settings import Settings


class MakeThumbnailStats(io.ComfyNode):
    """Content and styles → STATS, and a preview of the whole picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTMakeThumbnailStats",
            display_name="Make Thumbnail Stats",
            category=CATEGORY,
            description="Measures the statistics that all tiles of the picture share, once, on a "
            "small copy: that is why tiles fit together without seams.",
            **found_by(
                "style transfer, AdaIN, TIN, thumbnail instance normalization, "
                "style statistics, 风格迁移, 缩略图"
            ),
            inputs=[
                backbone_input(),
                io.Image.Input(
                    "content",
                    tooltip="The whole picture to stylize, not its tiles; or all frames of a "
                    "video, with shared statistics.",
                ),
                style_input(),
                *look_inputs(),
                *other_style_inputs(),
                batch_statistics_input(
                    (PER_PICTURE, SHARED),
                    "per picture: content is one picture. shared: all pictures of a batch are "
                    "measured together; the statistics fit the tiles of each.",
                ),
                LevelSocket.Input(
                    "level",
                    optional=True,
                    tooltip="Only for larger strokes by hand: from the Join Detail whose image is "
                    "the content. On the first level, the preview then has the content's size.",
                ),
                *matching_inputs(),
            ],
            outputs=[
                StatsSocket.Output(
                    "stats",
                    display_name="stats",
                    tooltip="The statistics, for Stylize Patches with TIN. Valid for this content, "
                    "these styles and this backbone.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="The stylized small copy: a quick look at the whole result.",
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
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedOrMixed | None = None,
        batch_statistics: str = PER_PICTURE,
        level: OneLevel | None = None,
        **look: Any,
    ) -> io.NodeOutput:
        from ..urst_core.method.video import Frames
        from ..urst_core.method.windows import PREVIEW_SIZE, stylized_thumbnail

        sources = sources_of(content)
        if len(sources) > 1 and (batch_statistics == PER_PICTURE or level is not None):
            raise ShapeError(
                f"Make Thumbnail Stats takes one picture, not a batch of {len(sources)}; pick one "
                "with ImageFromBatch, or set batch_statistics to shared, without a level"
            )
        styles, weights = mixture_of(
            style, style_2, style_2_weight, style_names, saved_style, backbone
        )
        settings = settings_of(backbone, strokes=FINE_STROKES, **look)
        areas = [
            thumbnail_size_of(sources[0].size, settings.thumbnail_size),
            *host.style_areas(styles, settings.style_size),
        ]
        progress = host.NodeProgress(
            stages=host.stages_of(backbone, settings, sources[0].size, TILES_STAGE)
        )
        with host.working_memory(backbone, *areas):
            look = host.fill_preview(sources[0].size, sources[0] if len(sources) == 1 else None)
            frames = Frames(sources, styles, weights, lambda _: progress.listener(look=look))
            stats = _measure(frames, backbone.backbone, settings, batch_statistics, level)
            if level is not None and level.is_coarsest:
                # Not just a preview: the next level is based on this painting.
                settings, longest_side = replace(settings, thumbnail_size=0), max(sources[0].size)
            else:
                longest_side = PREVIEW_SIZE
            previews = [
                stylized_thumbnail(
                    source,
                    backbone.backbone,
                    stats,
                    settings,
                    longest_side=longest_side,
                    listener=progress.listener(),
                )
                for source in sources
            ]
        return io.NodeOutput(stats, image_of(torch.stack(previews), *host.image_kind()))


def _measure(
    frames: Frames,
    backbone: Backbone,
    settings: Settings,
    batch_statistics: str,
    level: OneLevel | None,
) -> FrozenStats:
    from ..urst_core.method.one_level import measure_level
    from ..urst_core.method.video import measure_frames

    if level is None:
        kind = batch_statistics
        return next(measure_frames(frames, backbone, settings, batch_statistics=kind))
    return measure_level(
        level,
        frames.contents[0],
        frames.styles,
        backbone,
        settings,
        style_weights=frames.style_weights,
        listener=frames.listener_of(0),
    )
