"""Merge Strokes: merges the finest strokes of a level into the painting of those below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io
from torch import Tensor

from . import host
from .convert import empty_image, single_source_of
from .sockets import CATEGORY, LevelSocket, StatsSocket, found_by

if TYPE_CHECKING:
    from ..urst_core.method.one_level import OneLevel
    from ..urst_core.networks.frozen_stats import FrozenStats

TITLE = "Merge Strokes"


class MergeStrokes(io.ComfyNode):
    """Stylized level, LEVEL → the painting, one level larger."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTMergeStrokes",
            display_name=TITLE,
            category=CATEGORY,
            description="Larger strokes by hand, level by level: merges the finest strokes of a "
            "newly painted level into the painting so far, which keeps its colors and large "
            "strokes.",
            **found_by(
                "large strokes, brush size, pyramid, multi-scale, blend, combine, frequency, "
                "笔触, 大笔触, 合并"
            ),
            inputs=[
                io.Image.Input(
                    "strokes",
                    tooltip="The newly painted level: the image of Join Detail after Assemble "
                    "Tiles.",
                ),
                LevelSocket.Input("level", tooltip="From the Join Detail of this level."),
                StatsSocket.Input(
                    "stats",
                    tooltip="From the Make Thumbnail Stats of this level. On the last level, a "
                    "strength below 1 lets the photograph show through accordingly.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "painting",
                    display_name="painting",
                    tooltip="The painting in this level's size: the result on the last level, "
                    "otherwise for the next Join Detail.",
                )
            ],
        )

    @classmethod
    def execute(cls, *, strokes: Tensor, level: OneLevel, stats: FrozenStats) -> io.NodeOutput:
        painted = single_source_of(strokes, node=TITLE)
        channels = level.image.channels if level.is_last else 3
        painting, canvas = empty_image(level.level.size, channels, *host.image_kind())
        level.merge(painted, canvas, stats, host.progress_listener())
        return io.NodeOutput(painting)
