"""Stylize Patches with TIN: stylizes each window of a batch with the same statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io
from torch import Tensor

from . import host
from .convert import blank_image, sources_of
from .sockets import CATEGORY, LayoutSocket, LoadedBackbone, StatsSocket, backbone_input, found_by

if TYPE_CHECKING:
    from ..urst_core.method.patches import Layout
    from ..urst_core.networks.frozen_stats import FrozenStats


class StylizePatches(io.ComfyNode):
    """Batch of windows → batch of stylized windows."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStylizePatches",
            display_name="Stylize Patches with TIN",
            category=CATEGORY,
            description="Stylizes window by window with thumbnail instance normalization (TIN): "
            "every window is normalized with the same statistics.",
            **found_by(
                "style transfer, neural style, AdaIN, TIN, thumbnail instance normalization, "
                "tiled, painting, 风格迁移, 图块"
            ),
            inputs=[
                backbone_input(),
                StatsSocket.Input(
                    "stats", tooltip="From Make Thumbnail Stats with the same backbone."
                ),
                io.Image.Input(
                    "tiles",
                    tooltip="Windows from Tile Image, upscaled or not; their sizes must be "
                    "multiples of the backbone's stride. Alpha is kept.",
                ),
                LayoutSocket.Input(
                    "layout",
                    optional=True,
                    tooltip="Only for local statistics, which need the windows' places: from the "
                    "Tile Image that cut them.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "stylized_tiles",
                    display_name="tiles",
                    tooltip="The stylized windows, in the same order and size.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        backbone: LoadedBackbone,
        stats: FrozenStats,
        tiles: Tensor,
        layout: Layout | None = None,
    ) -> io.NodeOutput:
        from ..urst_core.method.windows import stylize_windows

        windows = sources_of(tiles)
        result_bytes = host.image_bytes(*tiles.shape)
        with host.working_memory(backbone, windows[0].size, result_bytes=result_bytes):
            image, canvases = blank_image(windows, *host.image_kind())
            stylize_windows(
                windows,
                canvases,
                backbone.backbone,
                stats,
                host.settings_for(backbone),
                layout=layout,
                # Shows each window by itself: only Assemble Tiles has the layout.
                listener=host.progress_listener(look=host.fill_preview(windows[0].size)),
            )
        return io.NodeOutput(image)
