"""Stylize File: from file to file, without loading the whole picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.geometry import Rectangle, Size
from ..urst_core.pictures.preview import LayeredPreview, SampledPreview
from ..urst_core.pictures.source import close_picture, read_bands
from ..urst_core.progress import TILES_STAGE, Progress
from . import folders, host
from .convert import (
    PREVIEW_SIZE,
    mixture_of,
    page_preview,
    preview_image,
)
from .file_inputs import (
    complaint_about_output,
    complaint_about_print,
    find_format,
    format_inputs,
    output_options,
    picture_input,
    printing_of,
    result_inputs,
)
from .file_names import fill_in
from .file_runs import (
    choose_run,
    output_name_input,
    output_paths,
    overwrite_input,
    resume_input,
    style_files,
)
from .look import (
    colors_input,
    complaint_about_tile_size,
    look_inputs,
    matching_inputs,
    settings_of,
    stroke_inputs,
    tile_size_input,
)
from .remedies import naming_inputs
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    SavedOrMixed,
    backbone_input,
    folded_away,
    found_by,
    other_style_inputs,
    style_input,
)

if TYPE_CHECKING:
    from ..urst_core.choices import Fit
    from ..urst_core.runs.file_run import FileRun
    from ..urst_core.tiling.settings import IfInterrupted


class StylizeFile(io.ComfyNode):
    """Picture file and styles → stylized picture file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStylizeFile",
            display_name="Stylize File",
            category=CATEGORY,
            description="Stylizes a file of any size into another file, tile by tile; memory "
            "depends on the tile only. Depth, alpha, profile and metadata are kept. Finished "
            "tiles survive a cancel or a crash.",
            **found_by(
                "style transfer, neural style, painting, gigapixel, tiled, high resolution, "
                "file to file, 风格迁移, 大图, 高分辨率"
            ),
            inputs=[
                backbone_input(),
                picture_input("content"),
                style_input(),
                *look_inputs(),
                tile_size_input(),
                output_name_input("urst/stylized"),
                *format_inputs(),
                resume_input("picture"),
                overwrite_input(),
                *other_style_inputs(),
                *stroke_inputs(),
                colors_input(),
                *_crop_inputs(),
                *result_inputs(),
                *matching_inputs(),
            ],
            outputs=[
                io.String.Output("path", display_name="path", tooltip="Path of the file."),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip=f"The stylized picture, no larger than {PREVIEW_SIZE} px.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls,
        content: str | None = None,
        output_name: str | None = None,
        file_format: str | None = None,
        tile_size: int | None = None,
        print_size: str | None = None,
        dpi: float | None = None,
    ) -> bool | str:
        """True if the file exists and such a result can be written, else an error message."""
        answers = (
            folders.complaint_about(content),
            complaint_about_output(output_name, file_format),
            complaint_about_tile_size(tile_size),
            complaint_about_print(print_size, dpi),
        )
        return next((answer for answer in answers if answer is not True), True)

    @classmethod
    def fingerprint_inputs(cls, content: str, **_: object) -> str:
        """Changes when the file does, so that it is stylized again."""
        return folders.fingerprint(folders.picture_path(content))

    @classmethod
    def execute(
        cls,
        *,
        backbone: LoadedBackbone,
        content: str,
        style: Tensor | None = None,
        tile_size: int,
        output_name: str,
        file_format: str,
        quality: int,
        resume: bool,
        overwrite: bool,
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedOrMixed | None = None,
        crop_width: int = 0,
        crop_height: int = 0,
        crop_left: int = 0,
        crop_top: int = 0,
        print_size: str = "",
        dpi: float = 0.0,
        fit: Fit = "cover",
        metadata: bool = True,
        **look: Any,
    ) -> io.NodeOutput:
        from ..urst_core.runs.file_run import FileRun

        styles, weights = mixture_of(
            style, style_2, style_2_weight, style_names, saved_style, backbone
        )
        settings = settings_of(backbone, tile_size=tile_size, **look)
        format_ = find_format(file_format)
        with naming_inputs(), style_files(styles, backbone) as style_paths:
            path = folders.picture_path(content)
            name = folders.without_ending(fill_in(output_name, cls.hidden))
            size = _size_of(path)
            outputs = output_paths(name, format_.endings[0], size, overwrite=overwrite)
            runs = [
                FileRun(
                    path,
                    style_paths,
                    output,
                    backbone.backbone,
                    settings,
                    style_weights=weights or None,
                    options=output_options(format_, quality),
                    overwrite=overwrite,
                    describe=metadata,
                    printing=printing_of(print_size, dpi, fit),
                )
                for output in outputs
            ]
            region = Rectangle(crop_top, crop_left, crop_top + crop_height, crop_left + crop_width)
            run, if_interrupted = choose_run(runs, resume=resume or region.area > 0)
            areas = host.run_areas(backbone, run.source.size, styles, settings)
            with host.working_memory(backbone, *areas):
                progress = host.NodeProgress(
                    stages=host.stages_of(
                        backbone, settings, run.source.size, TILES_STAGE, "encoding"
                    )
                )
                if region.area:
                    run = runs[-1]
                    preview = _paint_region(run, region, progress)
                else:
                    preview = _run(run, if_interrupted, progress)
        image = preview_image(preview)
        shown = host.page_output(image, [run.output])
        return io.NodeOutput(str(run.output), image, ui=shown)


def _crop_inputs() -> list[io.Input]:
    """A region to try settings with; none if its width or height is 0."""
    tooltips = {
        "crop_width": "Width of a region to try, in px; 0 paints the whole picture. Only this "
        "region is painted then, with the pixels that it has in the finished picture.",
        "crop_height": "Height of the region to try, in px; 0 paints the whole picture.",
        "crop_left": "Left edge of the region to try, in px.",
        "crop_top": "Upper edge of the region to try, in px.",
    }
    return [
        folded_away(
            io.Int.Input(
                name,
                optional=True,
                default=0,
                min=0,
                max=1 << 30,
                tooltip=tooltip,
            )
        )
        for name, tooltip in tooltips.items()
    ]


def _size_of(path: Path) -> Size:
    from ..urst_core.formats.open import open_picture

    source = open_picture(path)
    close_picture(source)
    return source.size


def _paint_region(
    run: FileRun, region: Rectangle, node_progress: host.NodeProgress
) -> SampledPreview:
    """Paint one region as the run's output, and return its preview."""
    from ..urst_core.formats.open import open_picture
    from ..urst_core.runs.crop import write_region

    write_region(run, region, node_progress.listener())
    preview, painted = page_preview(region.size), open_picture(run.output)
    for band, pixels in read_bands(painted, "preview"):
        preview.add(band, pixels)
    close_picture(painted)
    return preview


def _run(
    run: FileRun, if_interrupted: IfInterrupted, node_progress: host.NodeProgress
) -> LayeredPreview:
    """Run, and return the finished preview."""
    from ..urst_core.method.strokes import level_sizes
    from ..urst_core.runs.interrupted_preview import add_finished_cores
    from ..urst_core.runs.work_folder import WorkFolder

    preview = LayeredPreview(run.source.size, PREVIEW_SIZE)
    is_first = True

    def look(progress: Progress) -> Tensor | None:
        nonlocal is_first
        if is_first and progress.core is None and progress.tiles_done:
            # Tiles of an earlier run are not reported again.
            sizes = level_sizes(run.source.size, run.settings)
            add_finished_cores(preview, WorkFolder(run.output), run.source, sizes)
        is_first = is_first and progress.tiles_total == 0
        if progress.core is not None and progress.pixels is not None:
            preview.add(progress.core, progress.pixels, progress.frame)
        return preview.pixels if progress.tiles_done else None

    run.run(node_progress.listener(look=look), if_interrupted=if_interrupted)
    return preview
