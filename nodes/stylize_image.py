"""Stylize Image: the whole method in one node, without a batch of tiles in memory."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.choices import (
    BATCH_STATISTICS,
    DEFAULT_SMOOTHING_RADIUS,
    PER_PICTURE,
    StatsOfRegions,
)
from ..urst_core.progress import TILES_STAGE, Listener
from . import host
from .convert import blank_image, masks_of, mixture_of, sources_of
from .look import (
    colors_input,
    complaint_about_tile_size,
    look_inputs,
    matching_inputs,
    settings_of,
    stroke_inputs,
    tile_size_input,
)
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    RegionsSocket,
    SavedOrMixed,
    backbone_input,
    batch_statistics_input,
    found_by,
    mask_inputs,
    other_style_inputs,
    style_input,
)
from .style_region import StyledRegion, region_stats_input, regions_of


class StylizeImage(io.ComfyNode):
    """Content and styles → stylized IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStylizeImage",
            display_name="Stylize Image",
            category=CATEGORY,
            description="Stylizes pictures of any size, tile by tile. With strokes of 1 the "
            "result is the same as with the five separate nodes, and takes less memory.",
            **found_by(
                "style transfer, neural style, painting, AdaIN, MicroAST, tiled, "
                "high resolution, 风格迁移, 绘画, 高分辨率",
                essentials="Image Tools",
            ),
            inputs=[
                backbone_input(),
                io.Image.Input(
                    "content",
                    tooltip="The picture to stylize, or a batch of pictures or video frames. "
                    "Alpha is kept.",
                ),
                style_input(),
                *look_inputs(),
                tile_size_input(),
                *other_style_inputs(),
                *mask_inputs(
                    "Where to stylize: white is stylized, black keeps the content exactly, gray "
                    "mixes. A mask of another size is scaled. One for all pictures of a batch, or "
                    "one for each. Statistics are measured on the whole picture in any case."
                ),
                batch_statistics_input(
                    BATCH_STATISTICS,
                    "per picture: each is measured separately. shared: all are measured together, "
                    "so that a video does not flicker. smoothed: each frame's statistics are "
                    "averaged with its neighbors'.",
                ),
                io.Int.Input(
                    "smoothing_radius",
                    optional=True,
                    default=DEFAULT_SMOOTHING_RADIUS,
                    min=1,
                    max=1000,
                    tooltip="Number of frames averaged on each side of a frame; nearer ones have "
                    "more weight. Only for smoothed.",
                ),
                *stroke_inputs(),
                colors_input(),
                RegionsSocket.Input(
                    "regions",
                    optional=True,
                    tooltip="Styles for parts of the picture, from Style Region, on top of style. "
                    "If no style is connected, the rest of the picture stays as it is.",
                ),
                *matching_inputs(),
                region_stats_input(),
            ],
            outputs=[
                io.Image.Output(
                    "stylized",
                    display_name="image",
                    tooltip="The stylized pictures, as large as the content.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, tile_size: int | None = None) -> bool | str:
        """True if the tile size can be used, otherwise an error message."""
        return complaint_about_tile_size(tile_size)

    @classmethod
    def execute(
        cls,
        *,
        backbone: LoadedBackbone,
        content: Tensor,
        style: Tensor | None = None,
        tile_size: int,
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedOrMixed | None = None,
        mask: Tensor | None = None,
        mask_feather: int = 0,
        batch_statistics: str = PER_PICTURE,
        smoothing_radius: int = DEFAULT_SMOOTHING_RADIUS,
        regions: tuple[StyledRegion, ...] = (),
        region_stats: StatsOfRegions = "picture",
        **look: Any,
    ) -> io.NodeOutput:
        from ..urst_core.method.regions import check_without_map
        from ..urst_core.method.video import Frames, stylize_frames

        contents = sources_of(content)
        styles, weights = mixture_of(
            style, style_2, style_2_weight, style_names, saved_style, backbone
        )
        settings = settings_of(backbone, tile_size=tile_size, **look)
        masks = masks_of(mask, mask_feather, [each.size for each in contents])
        all_styles, used = styles, styles
        if regions:
            base, size = (styles, weights), contents[0].size
            all_styles = regions_of(size, base, regions, backbone, stats=region_stats)
            used = [style for region in all_styles.each for style in region.styles]
        else:
            check_without_map(stats=region_stats)
        areas = host.run_areas(backbone, contents[0].size, used, settings)
        progress = host.NodeProgress(
            pictures=len(contents),
            stages=host.stages_of(backbone, settings, contents[0].size, TILES_STAGE),
        )
        result_bytes = host.image_bytes(*content.shape)

        def listener_of(index: int) -> Listener:
            source = contents[index]
            return progress.listener(picture=index, look=host.fill_preview(source.size, source))

        with host.working_memory(backbone, *areas, result_bytes=result_bytes):
            image, canvases = blank_image(contents, *host.image_kind())
            stylize_frames(
                Frames(contents, all_styles, weights, listener_of),
                canvases,
                backbone.backbone,
                settings,
                masks=masks,
                batch_statistics=batch_statistics,
                smoothing_radius=smoothing_radius,
            )
        return io.NodeOutput(image)
