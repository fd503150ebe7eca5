"""Tile Image: cuts a picture into a batch of equal, overlapping windows."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from . import host
from .convert import image_of, single_source_of
from .look import LEAST_TILE
from .sockets import CATEGORY, LARGEST_SIZE, BackboneSocket, LayoutSocket, LoadedBackbone, found_by

TITLE = "Tile Image"


class TileImage(io.ComfyNode):
    """IMAGE → batch of windows, LAYOUT."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTTileImage",
            display_name=TITLE,
            category=CATEGORY,
            description="Cuts a picture into a batch of equal, overlapping windows. Any nodes that "
            "turn pictures into pictures can follow; Assemble Tiles joins the windows again.",
            **found_by("split image, tiles, patches, tiled, cut, 切块, 图块"),
            inputs=[
                io.Image.Input("image", tooltip="One picture of any size."),
                io.Int.Input(
                    "tile_size",
                    default=512,
                    min=LEAST_TILE,
                    max=LARGEST_SIZE,
                    step=8,
                    tooltip="Edge, in px, of the part of each window that is used in the result; "
                    "the window is larger by the halo on each side. Affects only memory and "
                    "speed, not the stylized picture.",
                ),
                BackboneSocket.Input(
                    "backbone",
                    optional=True,
                    tooltip="With a backbone, its halo and stride are used, and the result is "
                    "exact. Without one, the values below are used.",
                ),
                io.Int.Input(
                    "halo",
                    optional=True,
                    default=64,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="Context on each side of a window, in px, a multiple of the stride. "
                    "Only without a backbone.",
                ),
                io.Int.Input(
                    "stride",
                    optional=True,
                    default=8,
                    min=1,
                    max=256,
                    tooltip="Windows begin and end at multiples of this number of px; the picture "
                    "is padded to a multiple of it. Only without a backbone.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "tiles",
                    display_name="tiles",
                    tooltip="The windows, as a batch, row by row.",
                ),
                LayoutSocket.Output(
                    "layout",
                    display_name="layout",
                    tooltip="Where each window belongs, for Assemble Tiles.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        image: Tensor,
        tile_size: int,
        backbone: LoadedBackbone | None = None,
        halo: int = 64,
        stride: int = 8,
    ) -> io.NodeOutput:
        from ..urst_core.method.patches import cut_windows, plan_layout

        source = single_source_of(image, node=TITLE)
        if backbone is None:
            layout = plan_layout(
                source.size, tile_size=tile_size, halo=halo, stride=stride, name=TITLE
            )
        else:
            traits = backbone.backbone.traits
            layout = plan_layout(
                source.size,
                tile_size=tile_size,
                halo=traits.halo,
                stride=traits.stride,
                minimum=traits.minimum,
                name=traits.title,
            )
        windows = cut_windows(source, layout)
        return io.NodeOutput(image_of(windows, *host.image_kind()), layout)
