"""Assemble Tiles: a batch of windows, scaled or not, as one picture again."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.backbone import size_of
from ..urst_core.batch import Layout, join_windows
from ..urst_core.canvas import TensorSource
from ..urst_core.errors import SettingsError, ShapeError
from ..urst_core.masks import blend_in_place
from . import host
from .convert import image_of, masks_of, pictures_of, single_source_of
from .sockets import CATEGORY, LayoutSocket, found_by, mask_inputs


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
            **found_by("merge tiles, join, stitch, untile, tiled, 拼接, 图块"),
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
                io.Image.Input(
                    "original",
                    optional=True,
                    tooltip="The picture that stays outside the mask: what Tile Image cut or, "
                    "where windows were upscaled, as large as the result. Only with a mask.",
                ),
                *mask_inputs(
                    "Where to take the tiles: white is theirs, black keeps the original exactly, "
                    "gray mixes. Of the result's size."
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The whole picture."),
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        tiles: Tensor,
        layout: Layout,
        feather: int,
        original: Tensor | None = None,
        mask: Tensor | None = None,
        mask_feather: int = 0,
    ) -> io.NodeOutput:
        joined = join_windows(pictures_of(tiles), layout, feather=feather)
        [joined_mask] = masks_of(mask, mask_feather, [size_of(joined)], what="result")
        if joined_mask is not None:
            blend_in_place(joined, _original_for(joined, original), joined_mask)
        return io.NodeOutput(image_of(joined.unsqueeze(0), *host.image_kind()))


def _original_for(joined: Tensor, original: Tensor | None) -> TensorSource:
    """The original as a source.

    Raises:
        SettingsError: it is missing.
        ShapeError: it is a batch, or does not fit the joined picture, (C, H, W).
    """
    if original is None:
        raise SettingsError(
            "Assemble Tiles has a mask and no original to keep outside of it; connect the picture "
            "that Tile Image cut to original, or disconnect the mask"
        )
    source = single_source_of(original, node="The original of Assemble Tiles")
    if source.size != size_of(joined):
        (height, width), (rows, columns) = source.size, size_of(joined)
        raise ShapeError(
            f"original of {width} x {height} px (width x height) does not fit the result of "
            f"{columns} x {rows} px; connect the picture that Tile Image cut, scaled like its tiles"
        )
    if source.channels != joined.shape[0]:
        raise ShapeError(
            f"original of {source.channels} channels does not fit tiles of {joined.shape[0]}; drop "
            "the alpha of one with Split Image with Alpha"
        )
    return source
