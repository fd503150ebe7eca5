"""Assemble Tiles: joins a batch of windows, scaled or not, into one picture."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.errors import SettingsError, ShapeError
from ..urst_core.pictures.padding import size_of
from . import host
from .convert import image_of, masks_of, pictures_of, single_source_of
from .sockets import CATEGORY, LayoutSocket, found_by, mask_inputs

if TYPE_CHECKING:
    from ..urst_core.method.patches import Layout
    from ..urst_core.pictures.source import TensorSource

VISIBLE_SEAM = 0.1
"""Mean difference along a seam (0..1) above which tiles are suspected to be mixed up."""


class AssembleTiles(io.ComfyNode):
    """Batch of windows, LAYOUT → IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTAssembleTiles",
            display_name="Assemble Tiles",
            category=CATEGORY,
            description="Joins the windows of Tile Image into one picture. Upscaled windows make "
            "a picture that is larger by the same factor.",
            **found_by("merge tiles, join, stitch, untile, tiled, 拼接, 图块"),
            inputs=[
                io.Image.Input(
                    "tiles", tooltip="All windows of one picture, in the order of Tile Image."
                ),
                LayoutSocket.Input(
                    "layout", tooltip="From the Tile Image node that cut the windows."
                ),
                io.Int.Input(
                    "feather",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Half the width of a soft transition between neighbors, in px of the "
                    "uncut picture. 0 is exact for stylized windows; use more if another node "
                    "changes each window differently.",
                ),
                io.Image.Input(
                    "original",
                    optional=True,
                    tooltip="The picture that is kept outside the mask: the input of Tile Image, "
                    "scaled to the size of the result if the windows were upscaled. Needed only "
                    "with a mask.",
                ),
                *mask_inputs(
                    "Where to use the tiles: white takes the tiles, black keeps the original "
                    "exactly, gray mixes. A mask of another size is scaled."
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
        from ..urst_core.method.patches import join_windows
        from ..urst_core.pictures.mask import blend_in_place

        windows = pictures_of(tiles)
        joined = join_windows(windows, layout, feather=feather)
        _warn_of_seams(windows, layout)
        [joined_mask] = masks_of(mask, mask_feather, [size_of(joined)])
        if joined_mask is not None:
            blend_in_place(joined, _original_for(joined, original), joined_mask)
        return io.NodeOutput(image_of(joined.unsqueeze(0), *host.image_kind()))


def _warn_of_seams(windows: Tensor, layout: Layout) -> None:
    """Log a warning if neighbors do not match; a node in between may do that on purpose."""
    from ..urst_core.method.seams import worst_seam

    worst = worst_seam(windows, layout)
    if worst is not None and worst.difference > VISIBLE_SEAM:
        logging.warning(
            "URST: tiles %d and %d of %d differ by %.2f (on a scale of 0 to 1) where they meet; "
            "are they all from one picture, and in the order of Tile Image? If a node in between "
            "changes each tile differently, a feather softens the transitions",
            worst.first + 1,
            worst.second + 1,
            len(windows),
            worst.difference,
        )


def _original_for(joined: Tensor, original: Tensor | None) -> TensorSource:
    """Return the original as a source.

    Raises:
        SettingsError: the original is missing.
        ShapeError: it is a batch, or does not fit the joined picture, (C, H, W).
    """
    if original is None:
        raise SettingsError(
            "Assemble Tiles has a mask, but no original to keep outside it; connect the input of "
            "Tile Image to original, or disconnect the mask"
        )
    source = single_source_of(original, node="The original of Assemble Tiles")
    if source.size != size_of(joined):
        (height, width), (rows, columns) = source.size, size_of(joined)
        raise ShapeError(
            f"original of {width} x {height} px (width x height) does not fit the result of "
            f"{columns} x {rows} px; connect the input of Tile Image, scaled like its tiles"
        )
    if source.channels != joined.shape[0]:
        raise ShapeError(
            f"original with {source.channels} channels does not fit tiles with "
            f"{joined.shape[0]}; remove the alpha with Split Image with Alpha"
        )
    return source
