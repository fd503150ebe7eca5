"""The front door for files: pictures and videos of any size, with bounded memory.

::

    import urst_core as urst

    urst.stylize_file("giga.tif", "painting.jpg", "painted.tif")
    urst.stylize_video("clip.mp4", "painting.jpg", "painted.mp4")
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from .api import listed, model_of
from .backbones import DEFAULT_BACKBONE
from .choices import StatsOfRegions
from .errors import SettingsError
from .formats.input_options import InputOptions
from .formats.output_options import OutputOptions
from .method.regions import check_without_map
from .model import Model, ProgressOption, listening
from .runs.clip_run import ClipRun
from .runs.file_run import FileRun
from .runs.mask_file import MaskFile
from .runs.printing import Fit, PaperSize, Printing
from .runs.region_file import MapFile, MixFile, RegionFile, region_styles
from .tiling.settings import IfInterrupted, SettingsOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .kinds import PicturePath

WhenInterrupted = Literal["resume", "restart", "refuse"]

_IF_INTERRUPTED: dict[str, IfInterrupted] = {
    "resume": IfInterrupted.RESUME,
    "restart": IfInterrupted.DISCARD,
    "refuse": IfInterrupted.REFUSE,
}


def stylize_file(
    content: PicturePath,
    styles: PicturePath | Sequence[PicturePath] | Mapping[str, PicturePath | Sequence[PicturePath]],
    output: PicturePath,
    *,
    weights: Sequence[float] | None = None,
    mask: PicturePath | None = None,
    mask_feather: int = 0,
    regions: PicturePath | None = None,
    region_strengths: Mapping[str, float] | None = None,
    region_feather: int = 0,
    region_stats: StatsOfRegions = "picture",
    mix_map: PicturePath | None = None,
    backbone: str | Model = DEFAULT_BACKBONE,
    overwrite: bool = False,
    if_interrupted: WhenInterrupted = "resume",
    stored: OutputOptions | None = None,
    print_size: str | None = None,
    dpi: float | None = None,
    fit: Fit = "cover",
    metadata: bool = True,
    strict: bool = False,
    any_size: bool = False,
    progress: ProgressOption = None,
    **options: Unpack[SettingsOptions],
) -> Path:
    """Paint a picture file of any size into another file, with bounded memory.

    A run that is interrupted, whether by an error, Ctrl-C or a power cut, keeps what is finished
    beside the output; the same call resumes it, and ends with the same file. Needs libvips
    (``pip install "urst[app]"``).

    Args:
        content: the picture.
        styles: picture files, style files, or names of styles inside the weights; one, or a list
            to be mixed; or by color of a map of regions, as in :func:`color_regions`.
        output: the file to make. Its ending chooses the format: ``.jpg .png .tif .webp .avif
            .exr .dzi .npy .zarr``.
        weights: share of each style, on any scale; equal when not given.
        mask: a picture file of the content's size; white is stylized, black stays.
        mask_feather: how far inside the mask style fades in, in px.
        regions: a picture file in which each color is a region.
        region_strengths, region_feather, region_stats: as for :func:`color_regions`.
        mix_map: a gray picture file, as for :func:`mix_along_map`; ``styles`` are then its row.
        backbone: as for :func:`stylize`.
        overwrite: whether to replace a file of the output's name.
        if_interrupted: what to do about an earlier, interrupted run for this output: ``resume``
            it, throw it away and ``restart``, or ``refuse``.
        stored: quality, compression and more of the output's format.
        print_size: width and height on paper, as in ``"100x70cm"``, ``"24x36in"``: the content is
            enlarged or shrunk to the print's pixels, and painted at that size. A mask is, too.
        dpi: dots per inch of the print, 300 when not given; without ``print_size`` it is only noted
            in the output.
        fit: ``cover`` fills the paper and crops what is too long, ``contain`` keeps the whole
            picture.
        metadata: whether the output says what it was painted with; its other metadata are the
            content's. ``urst describe`` prints it.
        strict: whether to refuse damaged pictures, of which otherwise a warning is logged.
        any_size: whether to accept pictures that unpack to more than a thousand times their files.
        progress: as for :func:`stylize`.
        **options: fields of :class:`Settings`, as for :func:`stylize`.

    Returns:
        The path of the output.

    Raises:
        TypeError: an option is unknown.
        URSTError: one of its subclasses, for what cannot be used, or not be written.

    Example:
        >>> import urst_core as urst
        >>> urst.stylize_file("photo.jpg", "painting.jpg", "painted.tif", strength=0.8).name
        'painted.tif'
        >>> urst.stylize_file(
        ...     "photo.jpg", "painting.jpg", "card.jpg", print_size="40x30mm", dpi=100
        ... ).name
        'card.jpg'
    """
    earlier = _earlier_run(if_interrupted)
    model = model_of(backbone, progress)
    input_options = InputOptions(strict=strict, any_size=any_size)
    several, map_file = _styles_and_map(
        styles,
        regions,
        mix_map,
        strengths=region_strengths or {},
        feather=region_feather,
        stats=region_stats,
        options=input_options,
    )
    paper = None if print_size is None else PaperSize.parse(print_size)
    printing = Printing(paper, dpi, fit)
    run = FileRun(
        Path(content),
        several,
        Path(output),
        model.backbone,
        model.settings_with(options),
        style_weights=weights,
        options=stored or OutputOptions(),
        overwrite=overwrite,
        input_options=input_options,
        mask=None if mask is None else MaskFile(Path(mask), mask_feather, input_options, printing),
        regions=map_file,
        describe=metadata,
        printing=printing,
    )
    with listening(progress) as listener:
        run.run(listener, if_interrupted=earlier)
    return run.output


def stylize_video(
    content: PicturePath,
    styles: PicturePath | Sequence[PicturePath],
    output: PicturePath,
    *,
    weights: Sequence[float] | None = None,
    backbone: str | Model = DEFAULT_BACKBONE,
    overwrite: bool = False,
    if_interrupted: WhenInterrupted = "resume",
    stored: OutputOptions | None = None,
    metadata: bool = True,
    progress: ProgressOption = None,
    **options: Unpack[SettingsOptions],
) -> Path:
    """Paint a video of any length, with its times and its sound, one frame in memory at a time.

    Statistics are measured once, on frames from all over the video, so what stands still does not
    flicker. An interrupted run keeps finished seconds; the same call resumes it. Needs PyAV
    (``pip install "urst[app,video]"``).

    Args:
        content: the video.
        styles: picture files, style files, or names of styles inside the weights; one, or a list
            to be mixed.
        output: the file to make, with H.264 inside: ``.mp4 .mov .mkv``.
        weights: share of each style, on any scale; equal when not given.
        backbone: as for :func:`stylize`.
        overwrite: whether to replace a file of the output's name.
        if_interrupted: as for :func:`stylize_file`.
        stored: the quality of the encoded frames.
        metadata: whether the output says what it was painted with.
        progress: as for :func:`stylize`.
        **options: fields of :class:`Settings`, as for :func:`stylize`.

    Returns:
        The path of the output.

    Raises:
        TypeError: an option is unknown.
        URSTError: one of its subclasses, for what cannot be used, or not be written.

    Example:
        >>> import urst_core as urst
        >>> urst.stylize_video("clip.mp4", "painting.jpg", "painted.mp4", strokes="fine").name
        'painted.mp4'
    """
    earlier = _earlier_run(if_interrupted)
    model = model_of(backbone, progress)
    run = ClipRun(
        Path(content),
        [os.fspath(style) for style in listed(styles)],
        Path(output),
        model.backbone,
        model.settings_with(options),
        style_weights=weights,
        options=stored or OutputOptions(),
        overwrite=overwrite,
        describe=metadata,
    )
    with listening(progress) as listener:
        run.run(listener, if_interrupted=earlier)
    return run.output


def _earlier_run(if_interrupted: str) -> IfInterrupted:
    if if_interrupted not in _IF_INTERRUPTED:
        raise SettingsError(
            f"if_interrupted {if_interrupted!r} is unknown", f"use {', '.join(_IF_INTERRUPTED)}"
        )
    return _IF_INTERRUPTED[if_interrupted]


def _styles_and_map(
    styles: Any,
    regions: PicturePath | None,
    mix_map: PicturePath | None,
    *,
    strengths: Mapping[str, float],
    feather: int,
    stats: StatsOfRegions,
    options: InputOptions,
) -> tuple[list[str], MapFile | None]:
    """The files of all styles, and the map of regions or mixtures, if there is one."""
    if isinstance(styles, Mapping) != (regions is not None) or (regions and mix_map):
        raise SettingsError(
            "a map of regions and styles by color belong together; pass both, or neither"
        )
    if regions is None:
        used = "picture" if mix_map else stats
        check_without_map(strengths=strengths, feather=feather, stats=used)
        map_file = None if mix_map is None else MixFile(Path(mix_map), options=options, stats=stats)
        return [os.fspath(style) for style in listed(styles)], map_file
    by_color = cast("Mapping[str, Any]", styles)
    named = [(name, style) for name, each in by_color.items() for style in listed(each)]
    each = region_styles([name for name, _ in named], strengths)
    return [os.fspath(style) for _, style in named], RegionFile(
        Path(regions), each, feather, options=options, stats=stats
    )
