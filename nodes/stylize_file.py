"""Stylize File: from file to file, without loading the whole picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor

from ..urst_core.formats.open import ImageFileCanvas, open_picture
from ..urst_core.formats.output_format import Format
from ..urst_core.formats.output_options import OutputOptions
from ..urst_core.geometry import Rectangle
from ..urst_core.method.level_pictures import TILES_STAGE
from ..urst_core.method.strokes import level_sizes
from ..urst_core.networks.saved_style import ENDING as STYLE_ENDING
from ..urst_core.networks.saved_style import SavedStyle
from ..urst_core.networks.style import StyleCode
from ..urst_core.pictures.metadata import PictureMetadata
from ..urst_core.pictures.preview import LayeredPreview, SampledPreview
from ..urst_core.pictures.source import TensorSource, close_picture, read_bands
from ..urst_core.progress import Progress
from ..urst_core.tiling.settings import IfInterrupted
from . import folders, host
from .convert import (
    PREVIEW_SIZE,
    StoredPicture,
    mixture_of,
    page_preview,
    preview_image,
)
from .file_inputs import (
    complaint_about_output,
    find_format,
    format_inputs,
    output_options,
    picture_input,
)
from .file_names import fill_in
from .remedies import naming_inputs
from .sockets import (
    CATEGORY,
    LoadedBackbone,
    backbone_input,
    colors_input,
    complaint_about_tile_size,
    folded_away,
    found_by,
    look_inputs,
    other_style_inputs,
    stroke_inputs,
    stroke_settings,
    style_input,
    tile_size_input,
)

if TYPE_CHECKING:
    from ..urst_core.runs.file_run import FileRun


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
                io.String.Input(
                    "output_name",
                    default="urst/stylized",
                    tooltip="Beginning of the result's name in ComfyUI's output folder, with / "
                    "between folders; a number and the format's extension follow. Replaced are "
                    "%year%, %month%, %day%, %hour%, %minute%, %second%, %width%, %height%, "
                    "%date:yyyy-MM-dd%, and widgets, as in %Load Backbone.backbone%.",
                ),
                *format_inputs(),
                io.Boolean.Input(
                    "resume",
                    default=True,
                    label_on="auto",
                    label_off="start over",
                    tooltip="auto: an earlier run of this name that was cancelled or crashed is "
                    "resumed if picture and settings are the same; otherwise a new file is "
                    "started. start over: such runs are discarded.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="On: the name gets no number, and an existing file of that name is "
                    "replaced.",
                ),
                *other_style_inputs(),
                *stroke_inputs(),
                colors_input(),
                *_crop_inputs(),
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
    ) -> bool | str:
        """True if the file exists and such a result can be written, else an error message."""
        answers = (
            folders.complaint_about(content),
            complaint_about_output(output_name, file_format),
            complaint_about_tile_size(tile_size),
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
        thumbnail_size: int,
        style_size: int,
        strength: float,
        statistics: str,
        tile_size: int,
        output_name: str,
        file_format: str,
        quality: int,
        resume: bool,
        overwrite: bool,
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedStyle | None = None,
        strokes: float = 0.0,
        detail: float = 1.0,
        brushwork: float = 0.5,
        brushwork_seed: int = 0,
        colors: str = "style",
        crop_width: int = 0,
        crop_height: int = 0,
        crop_left: int = 0,
        crop_top: int = 0,
    ) -> io.NodeOutput:
        styles, weights = mixture_of(
            style, style_2, style_2_weight, style_names, saved_style, backbone
        )
        settings = replace(
            host.settings_for(backbone),
            thumbnail_size=thumbnail_size,
            style_size=style_size,
            strength=strength,
            stats=statistics,
            tile_size=tile_size or None,
            **stroke_settings(strokes, detail, brushwork, brushwork_seed),
            colors=colors,
        )
        place = OutputPlace(fill_in(output_name, cls.hidden), find_format(file_format), overwrite)
        with naming_inputs(), _style_files(styles, backbone) as style_paths:
            path = folders.picture_path(content)
            outputs = place.outputs(path)
            from ..urst_core.runs.file_run import FileRun  # noqa: PLC0415 - on use

            runs = [
                FileRun(
                    path,
                    style_paths,
                    output,
                    backbone.backbone,
                    settings,
                    style_weights=weights or None,
                    options=output_options(place.format, quality),
                    overwrite=overwrite,
                )
                for output in outputs
            ]
            region = Rectangle(crop_top, crop_left, crop_top + crop_height, crop_left + crop_width)
            run, if_interrupted = _choose(runs, resume=resume or region.area > 0)
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


@dataclass(frozen=True)
class OutputPlace:
    """Where a node's result goes.

    Attributes:
        name: beginning of its name in ComfyUI's output folder.
        format: its format.
        overwrite: whether it gets exactly that name, and replaces an existing file.
    """

    name: str
    format: Format
    overwrite: bool

    def outputs(self, content: Path) -> list[Path]:
        """Files of interrupted runs that may be resumed, then the file for a new run."""
        ending, source = self.format.endings[0], open_picture(content)
        close_picture(source)
        numbered = folders.numbered_output(folders.without_ending(self.name), source.size)
        if self.overwrite:
            return [numbered.folder / f"{numbered.name}{ending}"]
        return [*numbered.interrupted(ending), numbered.path(ending)]


def _choose(runs: Sequence[FileRun], *, resume: bool) -> tuple[FileRun, IfInterrupted]:
    """The interrupted run to resume, or else the last one, which is new."""
    for run in runs if resume else ():
        if run.can_resume():
            return run, IfInterrupted.RESUME
    if not resume:
        for run in runs[:-1]:
            run.discard_interrupted()
    return runs[-1], IfInterrupted.DISCARD


def _paint_region(
    run: FileRun, region: Rectangle, node_progress: host.NodeProgress
) -> SampledPreview:
    """Paint one region as the run's output, and return its preview."""
    from ..urst_core.runs.crop import write_region  # noqa: PLC0415 - on use

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
    from ..urst_core.runs.work_folder import WorkFolder, add_finished_cores  # noqa: PLC0415 - on use

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


@contextmanager
def _style_files(
    styles: Sequence[TensorSource | str | StyleCode], backbone: LoadedBackbone
) -> Iterator[list[str]]:
    """Styles as a file run takes them: names, or temporary files (pictures of 16 bits)."""
    name = backbone.backbone.traits.name
    temporary = Path(folder_paths.get_temp_directory())
    temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=temporary, ignore_cleanup_errors=True) as folder:
        yield [
            style if isinstance(style, str) else _save_style(style, Path(folder) / str(index), name)
            for index, style in enumerate(styles)
        ]


def _save_style(style: TensorSource | StyleCode, path: Path, backbone_name: str) -> str:
    if isinstance(style, StyleCode):
        path = path.with_suffix(STYLE_ENDING)
        SavedStyle(style, backbone_name).save(path)
        return str(path)
    path = path.with_suffix(".tif")
    # Without alpha, as in Stylize Image.
    colors = style.pixels[:3].permute(1, 2, 0)
    picture = StoredPicture(colors, torch.uint16, PictureMetadata())
    with ImageFileCanvas(path, picture, OutputOptions(compression="none")) as canvas:
        for band, pixels in read_bands(picture, "styles"):
            canvas.write(band, pixels)
    return str(path)
