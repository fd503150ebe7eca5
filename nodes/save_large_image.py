"""Save Image (Ultra-HR): saves IMAGEs of any size as files; the page shows a small copy."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.pictures.source import read_bands
from . import folders, host
from .convert import StoredPicture, check_image, page_preview, preview_image
from .file_inputs import complaint_about_output, find_format, format_inputs, output_options
from .file_names import fill_in
from .sockets import CATEGORY, found_by
from .workflow_metadata import workflow_metadata

DEPTHS = {"8": torch.uint8, "16": torch.uint16}
"""Types by bits per channel."""


class SaveLargeImage(io.ComfyNode):
    """IMAGE → files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTSaveImage",
            display_name="Save Image (Ultra-HR)",
            category=CATEGORY,
            description="Saves pictures of any size in ComfyUI's output folder, without a second "
            "copy in memory. The page shows only a small copy.",
            **found_by(
                "export image, big picture, gigapixel, TIFF, DeepZoom, 16 bit, "
                "high resolution, 大图, 高分辨率"
            ),
            inputs=[
                io.Image.Input("images", tooltip="Pictures of any size. Alpha is kept."),
                io.String.Input(
                    "filename_prefix",
                    default="urst/ultra",
                    tooltip="Beginning of the file names in ComfyUI's output folder; a number "
                    "follows. Replaced are %year%, %month%, %day%, %hour%, %minute%, %second%, "
                    "%width%, %height%, %batch_num%, %date:yyyy-MM-dd%, and widgets, as in "
                    "%Load Backbone.backbone%.",
                ),
                *format_inputs(),
                io.Combo.Input(
                    "bits",
                    options=list(DEPTHS),
                    default="8",
                    tooltip="Bits per channel. Only TIFF, PNG and DeepZoom support 16.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "paths", display_name="paths", tooltip="Paths of the files, one per line."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls,
        filename_prefix: str | None = None,
        file_format: str | None = None,
        bits: str | None = None,
    ) -> bool | str:
        """True if such files can be written, otherwise an error message."""
        return complaint_about_output(filename_prefix, file_format, bits=bits)

    @classmethod
    def execute(
        cls,
        *,
        images: Tensor,
        filename_prefix: str,
        file_format: str,
        quality: int,
        bits: str,
    ) -> io.NodeOutput:
        from ..urst_core.formats.open import ImageFileCanvas

        check_image(images)
        format_ = find_format(file_format)
        options = output_options(format_, quality)
        metadata = workflow_metadata(cls.hidden, format_.name)
        size = images.shape[1], images.shape[2]
        prefix = fill_in(filename_prefix, cls.hidden)
        paths, previews = [], []
        # Two passes for each picture: it is written in bands, then encoded.
        progress = host.NodeProgress(pictures=len(images), stages=("saving", "encoding"))
        for index, image in enumerate(images):
            name = folders.without_ending(prefix.replace("%batch_num%", str(index)))
            paths.append(folders.numbered_output(name, size).path(format_.endings[0]))
            previews.append(page_preview(size))
            picture = StoredPicture(image, DEPTHS[bits], metadata)
            listener = progress.listener(picture=index, look=host.existing_preview(previews[-1]))
            encoded = host.encoding_listener(listener, size)
            with ImageFileCanvas(paths[-1], picture, options, listener=encoded) as canvas:
                for band, pixels in read_bands(picture, "saving", listener):
                    canvas.write(band, pixels)
                    previews[-1].add(band, pixels)
        shown = host.page_output(preview_image(*previews), paths)
        return io.NodeOutput("\n".join(map(str, paths)), ui=shown)
