"""The list of nodes that ComfyUI loads."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .assemble_tiles import AssembleTiles
from .built_in_style import BuiltInStyle, can_nest
from .convert_weights import ConvertWeights
from .growing_inputs import can_grow
from .join_detail import JoinDetail
from .load_backbone import LoadBackbone
from .load_large_image import LoadLargeImage
from .load_style import LoadStyle
from .make_thumbnail_stats import MakeThumbnailStats
from .merge_strokes import MergeStrokes
from .mix_styles import MixStyles
from .save_large_image import SaveLargeImage
from .save_style import SaveStyle
from .style_region import StyleRegion
from .style_regions import StyleRegions
from .stylize_file import StylizeFile
from .stylize_image import StylizeImage
from .stylize_patches import StylizePatches
from .stylize_video_file import StylizeVideoFile
from .tile_image import TileImage

NODES: tuple[type[io.ComfyNode], ...] = (
    LoadBackbone,
    MakeThumbnailStats,
    TileImage,
    StylizePatches,
    AssembleTiles,
    JoinDetail,
    MergeStrokes,
    StylizeImage,
    StyleRegion,
    LoadLargeImage,
    SaveLargeImage,
    StylizeFile,
    StylizeVideoFile,
    LoadStyle,
    SaveStyle,
    ConvertWeights,
)

GROWING_NODES: tuple[type[io.ComfyNode], ...] = (MixStyles, StyleRegions)
"""Nodes for versions of ComfyUI that have inputs that grow."""


class URSTExtension(ComfyExtension):
    """The pack, as ComfyUI sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        growing = GROWING_NODES if can_grow() else ()
        nesting = (BuiltInStyle,) if can_nest() else ()
        return [*NODES, *growing, *nesting]
