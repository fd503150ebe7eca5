"""Stylize Video File: from video to video, frame by frame, with the sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.errors import URSTError
from ..urst_core.formats.clip_endings import RESULT_ENDINGS, is_clip
from ..urst_core.formats.output_options import DEFAULT_QUALITY, OutputOptions
from . import folders, host
from .convert import mixture_of
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
    found_by,
    other_style_inputs,
    style_input,
)

if TYPE_CHECKING:
    from ..urst_core.runs.clip_run import ClipRun

CONTAINERS = [ending.removeprefix(".") for ending in RESULT_ENDINGS]


class StylizeVideoFile(io.ComfyNode):
    """Video file and styles → stylized video file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTStylizeVideoFile",
            display_name="Stylize Video File",
            category=CATEGORY,
            description="Stylizes a video file of any length into another one, frame by frame, "
            "without flicker: all frames share statistics, which are measured on a sample. Sound, "
            "frame rate and times are kept. Finished seconds survive a cancel or a crash.",
            **found_by(
                "style transfer, video, movie, film, animation, mp4, flicker, temporal, "
                "风格迁移, 视频, 无闪烁"
            ),
            inputs=[
                backbone_input(),
                io.Combo.Input(
                    "content",
                    options=folders.video_choices(),
                    upload=io.UploadType.video,
                    tooltip="A video file in ComfyUI's input folder. Workflows can also use NAME "
                    "[output].",
                ),
                style_input(),
                *look_inputs(),
                tile_size_input(),
                output_name_input("urst/video"),
                io.Combo.Input(
                    "container",
                    options=CONTAINERS,
                    default=CONTAINERS[0],
                    tooltip="Kind of the file, with H.264 inside. mp4 plays everywhere; mkv holds "
                    "every kind of sound.",
                ),
                io.Int.Input(
                    "quality",
                    default=DEFAULT_QUALITY,
                    min=1,
                    max=100,
                    tooltip="Quality of the encoded frames. The sound is copied as it is.",
                ),
                resume_input("video"),
                overwrite_input(),
                *other_style_inputs(),
                *stroke_inputs(),
                colors_input(),
                *matching_inputs(),
            ],
            outputs=[
                io.String.Output("path", display_name="path", tooltip="Path of the file."),
                io.Video.Output(
                    "stylized", display_name="video", tooltip="The stylized video, with its sound."
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
        tile_size: int | None = None,
    ) -> bool | str:
        """True if the file exists and the result can be written, else an error message."""
        from ..urst_core.formats.clip import av_library

        try:
            with naming_inputs():
                av_library()
                if content is not None:
                    folders.picture_path(content)
                if output_name is not None:
                    folders.check_output_prefix(output_name)
        except URSTError as error:
            return str(error)
        return complaint_about_tile_size(tile_size)

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
        container: str,
        quality: int,
        resume: bool,
        overwrite: bool,
        style_2: Tensor | None = None,
        style_2_weight: float = 0.5,
        style_names: str = "",
        saved_style: SavedOrMixed | None = None,
        **look: Any,
    ) -> io.NodeOutput:
        from ..urst_core.runs.clip_run import ClipRun

        styles, weights = mixture_of(
            style, style_2, style_2_weight, style_names, saved_style, backbone
        )
        settings = settings_of(backbone, tile_size=tile_size, **look)
        with naming_inputs(), style_files(styles, backbone) as style_paths:
            path = folders.picture_path(content)
            made = ClipRun(path, style_paths, path, backbone.backbone, settings)
            made = replace(
                made,
                style_weights=weights or None,
                options=OutputOptions(quality=quality),
                overwrite=overwrite,
            )
            name = _without_ending(fill_in(output_name, cls.hidden))
            size = made.clip.size
            outputs = output_paths(name, f".{container}", size, overwrite=overwrite)
            runs = [replace(made, output=output) for output in outputs]
            run, if_interrupted = choose_run(runs, resume=resume)
            with host.working_memory(backbone, *host.run_areas(backbone, size, styles, settings)):
                _run(run, if_interrupted)
        return io.NodeOutput(str(run.output), _video_of(run.output), ui=_shown(run.output))


def _run(run: ClipRun, if_interrupted: Any) -> None:
    from ..urst_core.runs.clip_run import FRAMES_STAGE, STATISTICS_STAGE

    progress = host.NodeProgress(stages=[STATISTICS_STAGE, FRAMES_STAGE])
    # No live previews: pages take them for videos here, as they show the chosen one.
    run.run(progress.listener(), if_interrupted=if_interrupted)


def _without_ending(name: str) -> str:
    return name.rpartition(".")[0] if is_clip(Path(name)) else name


def _video_of(path: Path) -> Any:
    """The file as ComfyUI's VIDEO."""
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile(str(path))


def _shown(path: Path) -> dict[str, Any]:
    """What the page shows and scripts find, as Save Video does."""
    file = folders.view_of(path)
    name = f"{file['subfolder']}/{file['filename']}".removeprefix("/")
    return {"images": [file], "animated": (True,), "files": [file], "text": [name]}
