"""Load Image (Ultra-HR): loads a file of any size and depth as an IMAGE."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.pictures.source import Source, read_bands, to_unit
from ..urst_core.tiling.device import check_host_memory
from . import folders, host
from .convert import ImageCanvas, page_preview, preview_image
from .file_inputs import picture_input
from .sockets import CATEGORY, found_by

BYTES_PER_PIXEL = 12
"""Three channels of float32."""

BYTES_PER_MASK_PIXEL = 4


class LoadLargeImage(io.ComfyNode):
    """File → IMAGE, MASK."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTLoadImage",
            display_name="Load Image (Ultra-HR)",
            category=CATEGORY,
            description="Loads pictures of more than 178 megapixels, which Load Image refuses, and "
            "keeps all 16 bits. Needs 12 bytes of memory per pixel; Stylize File does not load "
            "the picture at all.",
            **found_by(
                "open image, big picture, gigapixel, TIFF, 16 bit, high resolution, 大图, 高分辨率"
            ),
            inputs=[picture_input("image")],
            outputs=[
                io.Image.Output(
                    "picture",
                    display_name="image",
                    tooltip="The picture, upright, its colors in sRGB.",
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="Where the picture is transparent; without alpha an empty mask of "
                    "64 x 64 px, like that of Load Image.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, image: str | None = None) -> bool | str:
        """True if the file exists, otherwise an error message."""
        return folders.complaint_about(image)

    @classmethod
    def fingerprint_inputs(cls, image: str, **_: object) -> str:
        """Changes when the file does, so that it is read again."""
        return folders.fingerprint(folders.picture_path(image))

    @classmethod
    def execute(cls, *, image: str) -> io.NodeOutput:
        from ..urst_core.formats.image_file import ImageFile

        with ImageFile(folders.picture_path(image), to_srgb=True) as source:
            picture, mask = _empty_tensors(source, image)
            canvas, mask_canvas = ImageCanvas(picture[0]), ImageCanvas(mask[0].unsqueeze(-1))
            preview = page_preview(source.size)
            listener = host.progress_listener(look=host.existing_preview(preview))
            for band, pixels in read_bands(source, "loading", listener):
                values = to_unit(pixels)
                canvas.write(band, values[:3])
                if source.channels == 4:
                    mask_canvas.write(band, 1.0 - values[3:])
                preview.add(band, pixels)
        shown = host.page_output(preview_image(preview))
        return io.NodeOutput(picture, mask, ui=shown)


def _empty_tensors(source: Source, name: str) -> tuple[Tensor, Tensor]:
    """Allocate an IMAGE and a MASK; without alpha the mask is already complete.

    Raises:
        DeviceError: they do not fit in memory.
    """
    (height, width), has_alpha = source.size, source.channels == 4
    bytes_per_pixel = BYTES_PER_PIXEL + (BYTES_PER_MASK_PIXEL if has_alpha else 0)
    check_host_memory(
        height * width * bytes_per_pixel,
        f"picture {name} of {width} x {height} px",
        remedy="use Stylize File, which never loads the whole picture",
    )
    mask = torch.empty(1, height, width) if has_alpha else torch.zeros(1, 64, 64)
    return torch.empty(1, height, width, 3), mask
