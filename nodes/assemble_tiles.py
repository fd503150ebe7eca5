"""Assemble Tiles: a batch of windows, scaled or not, as one picture again."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.batch import Layout, join_windows
from . import host
from .convert import image_of, pictures_of
from .sockets import CATEGORY, LayoutSocket


class AssembleTiles(io.ComfyNode):
    """Batch of windows, LAYOUT → IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTAssembleTiles",
            display_name="Assemble Tiles",
            category=CATEGORY,
            description="Joins the windows of Tile Image into one picture. Windows that were "
            "upscaled make a larger picture by as much.",
            inputs=[
                io.Image.Input("tiles", tooltip="All windows of one picture, in their order."),
                LayoutSocket.Input("layout", tooltip="From the Tile Image that cut the windows."),
                io.Int.Input(
                    "feather",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Half the width, in px of the uncut picture, of a soft transition "
                    "between neighbors. 0 is exact for stylized windows; use more where "
                    "another node treats each window differently.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The whole picture."),
            ],
        )

    @classmethod
    def execute(cls, *, tiles: Tensor, layout: Layout, feather: int) -> io.NodeOutput:
        joined = join_windows(pictures_of(tiles), layout, feather=feather)
        return io.NodeOutput(image_of(joined.unsqueeze(0), *host.image_kind()))
