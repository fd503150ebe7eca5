"""Join Detail: prepares the picture to paint on the next level of larger strokes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.errors import SettingsError
from ..urst_core.progress import CONTENTS_STAGE
from ..urst_core.tiling.settings import Settings
from . import host
from .convert import empty_image, single_source_of
from .look import stroke_inputs, stroke_settings
from .sockets import CATEGORY, LevelSocket, found_by, size_input

if TYPE_CHECKING:
    from ..urst_core.method.one_level import OneLevel

TITLE = "Join Detail"


class JoinDetail(io.ComfyNode):
    """Painting of the level below, and the content → picture to paint next, LEVEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTJoinDetail",
            display_name=TITLE,
            category=CATEGORY,
            description="Larger strokes by hand, level by level: enlarges the painting so far to "
            "the next size, at most twice as large, and adds the photograph's detail of that size. "
            "Paint the result, then use Merge Strokes.",
            **found_by(
                "large strokes, brush size, pyramid, multi-scale, upscale, enlarge, coarse to "
                "fine, 笔触, 大笔触, 细节, 放大"
            ),
            inputs=[
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The photograph to paint, at full size. Only for the first level, "
                    "which is a small copy of it.",
                ),
                io.Image.Input(
                    "painting",
                    optional=True,
                    tooltip="The painting so far: for the second level the preview of Make "
                    "Thumbnail Stats, then the output of Merge Strokes. Leave it unconnected for "
                    "the first level.",
                ),
                LevelSocket.Input(
                    "below",
                    optional=True,
                    tooltip="The level of the painting, from its Join Detail. Leave it unconnected "
                    "for the first level.",
                ),
                io.Image.Input(
                    "enlarged",
                    optional=True,
                    tooltip="The same painting, enlarged to any size by another node, for example "
                    "an upscale model. If unconnected, this node enlarges the painting.",
                ),
                size_input(
                    "thumbnail_size",
                    optional=True,
                    default=Settings.thumbnail_size,
                    tooltip="Longest side, in px, of the first level if strokes is 0. Only for the "
                    "first level.",
                ),
                *stroke_inputs(
                    "Final size of the first level's strokes; only for the first level. 0: the "
                    "same share of the picture as in a picture of thumbnail_size. 4: four times "
                    "the backbone's own size, which takes two more levels; 2 takes one."
                ),
            ],
            outputs=[
                io.Image.Output(
                    "joined",
                    display_name="image",
                    tooltip="The picture to paint on this level, for Make Thumbnail Stats and Tile "
                    "Image.",
                ),
                LevelSocket.Output(
                    "level",
                    display_name="level",
                    tooltip="This level, for its Make Thumbnail Stats and Merge Strokes, and for "
                    "the next Join Detail.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        *,
        image: Tensor | None = None,
        painting: Tensor | None = None,
        below: OneLevel | None = None,
        enlarged: Tensor | None = None,
        thumbnail_size: int = Settings.thumbnail_size,
        strokes: float = 0.0,
        detail: float = 1.0,
        brushwork: float = 0.25,
        brushwork_seed: int = 0,
    ) -> io.NodeOutput:
        from ..urst_core.method.one_level import OneLevel

        chosen = stroke_settings(strokes, detail, brushwork, brushwork_seed)
        settings = replace(Settings(thumbnail_size=thumbnail_size), **chosen)
        progress = host.NodeProgress()
        if image is not None and painting is None and below is None:
            progress = host.NodeProgress(stages=(CONTENTS_STAGE, "joining"))
            source = single_source_of(image, node=TITLE)
            level = OneLevel.coarsest(source, settings, progress.listener())
        elif image is None and painting is not None and below is not None:
            level = below.above(
                single_source_of(painting, node="The painting of Join Detail"),
                settings,
                enlarged=None
                if enlarged is None
                else single_source_of(enlarged, node="The enlarged painting of Join Detail"),
            )
        else:
            raise SettingsError(
                "Join Detail takes only image on the first level, painting and below on the "
                "others; below comes from the Join Detail of the painting's level"
            )
        joined, canvas = empty_image(level.level.size, 3, *host.image_kind())
        level.join(canvas, progress.listener())
        return io.NodeOutput(joined, level)
