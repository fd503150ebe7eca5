"""``urst stylize``: pictures in the style of one painting, of several, or of a mixture."""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..cluster.run import add_distributed_arguments
from ..errors import SettingsError, URSTError
from ..formats.output_options import add_output_arguments, output_options
from ..formats.zarr.store import Location, parse_location
from ..networks.model import Backbone
from ..progress import Progress
from ..runs.file_run import FileRun
from ..runs.paintings import Painting
from ..runs.work_folder import WorkFolder
from ..tiling.settings import IfInterrupted
from ..weights.loading import load_backbone
from .bars import ProgressBar, download_bar
from .clip import is_clip_run, stylize_clip
from .console import say
from .crop import add_crop_argument, paint_crop
from .defaults import add_default_arguments, check_weights
from .job import add_job_arguments, is_job, run_job
from .options import (
    Commands,
    add_input_arguments,
    add_mask_arguments,
    add_print_arguments,
    add_stylizing_options,
    if_interrupted_of,
    input_options_of,
    mask_of,
    printing_of,
    settings_of,
)
from .ray import stylize_on_ray
from .regions import add_region_arguments, map_of, region_styles_of


def add_stylize_command(commands: Commands) -> None:
    """Add ``stylize`` to the commands of a parser."""
    command = commands.add_parser(
        "stylize",
        help="paint a picture, a folder of them, or a video, in the style of another",
        description="Paint a picture or a video in the style of a painting, or of a mixture of "
        "several. If OUT is a folder, paint every picture in every style.",
    )
    add_run_arguments(command)
    add_job_arguments(command)
    add_crop_argument(command)
    start = command.add_mutually_exclusive_group()
    start.add_argument(
        "--resume",
        action="store_true",
        help="resume an interrupted run, if there is one",
    )
    start.add_argument(
        "--restart", action="store_true", help="discard an interrupted run, and start over"
    )
    add_distributed_arguments(command)
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_stylize)


def add_run_arguments(
    command: argparse.ArgumentParser, *, default_output: Path | None = None
) -> None:
    """Add the arguments that describe a run from file to file."""
    add = command.add_argument
    add("content", type=parse_location, metavar="CONTENT", help="the picture, of any size")
    add(
        "styles",
        nargs="*",
        metavar="STYLE",
        help="a painting, a style file (see `urst style`), or the name of a built-in style; "
        "several are mixed",
    )
    add(
        "-o",
        "--output",
        type=parse_location,
        required=default_output is None,
        metavar="OUT",
        help=f"(default: {default_output})" if default_output else None,
    )
    add(
        "--style-weights",
        type=float,
        nargs="+",
        metavar="W",
        help="share of each style, any scale (default: equal)",
    )
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    add(
        "--no-metadata",
        action="store_true",
        help="do not store in OUT what it was painted with; metadata of CONTENT are kept",
    )
    add_default_arguments(command)
    add_input_arguments(command)
    add_mask_arguments(command)
    add_region_arguments(command)
    add_stylizing_options(command)
    add_print_arguments(command)
    add_output_arguments(command)
    command.set_defaults(command=command)


def run_stylize(options: argparse.Namespace) -> None:
    """Stylize one picture in one style, or in a mixture of several; or every picture of a job."""
    options.stored = output_options(options)
    _check_combination(options)
    if is_clip_run(options):
        with _kept_if_stopped(options):
            stylize_clip(options, lambda: _backbone_of(options))
        return
    if is_job(options):
        _run_job(options)
        return
    if options.ray is not None:
        stylize_on_ray(options)
        return
    if options.crop is not None:
        content, output = options.content, options.output
        run = file_run_of(options, content=content, styles=options.styles, output=output)
        paint_crop(options, run)
        return
    if options.resume and not options.quiet:
        interruption = WorkFolder(_local_path(options.output)).interruption()
        say(f"resuming with {interruption}" if interruption else "nothing to resume, starting")
    stylize_file(
        options,
        content=options.content,
        styles=options.styles,
        output=options.output,
        if_interrupted=if_interrupted_of(options),
    )


def _given(options: argparse.Namespace, *names: str) -> Iterator[tuple[str, Path]]:
    """Options that were given, as users write them, and their values."""
    for name in names:
        if getattr(options, name) is not None:
            yield f"--{name.replace('_', '-')}", getattr(options, name)


def _check_combination(options: argparse.Namespace) -> None:
    """Refuse options that do not work together.

    Raises:
        SettingsError: names both.
    """
    whole = [*_given(options, "mask", "regions", "mix_map", "ray")]
    whole += [("folder", options.output)] if is_job(options) else []
    for option, value in whole if options.crop is not None else ():
        raise SettingsError(
            f"--crop {options.crop} tries one region of a picture in one style; leave out {option} "
            f"{value}"
        )
    maps = list(_given(options, "regions", "mix_map"))
    for option, value in maps if is_job(options) else ():
        raise SettingsError(
            f"{option} {value} is the map of one picture; name one picture and one file"
        )
    for option, value in maps if options.print_size is not None else ():
        raise SettingsError(
            f"{option} {value} does not work with prints; leave out {option} or --print-size"
        )
    on_one_machine = _given(options, "mask", "regions", "mix_map", "print_size", "dpi")
    shares_tiles = options.ray is not None and not is_job(options)
    for option, value in on_one_machine if shares_tiles else ():
        raise SettingsError(
            f"{option} {value} does not work on clusters; leave out {option} or --ray"
        )
    if options.ray is None and options.ray_workers is not None:
        raise SettingsError(
            f"--ray-workers {options.ray_workers} is for clusters; name one with --ray, "
            "or leave it out"
        )


def _run_job(options: argparse.Namespace) -> None:
    backbone = _backbone_of(options)

    def run_of(painting: Painting) -> FileRun:
        return file_run_of(
            options,
            content=painting.content,
            styles=painting.style.styles,
            output=painting.output,
            backbone=backbone,
        )

    run_job(options, backbone, run_of)


def stylize_file(
    options: argparse.Namespace,
    *,
    content: Location,
    styles: Sequence[str],
    output: Location,
    if_interrupted: IfInterrupted,
) -> None:
    """Stylize a file with a progress bar; print where the result is, or what has been kept."""
    started = time.monotonic()
    run = file_run_of(options, content=content, styles=styles, output=output)
    height, width = run.source.size
    has_begun = False
    try:
        with ProgressBar(quiet=options.quiet) as bar:

            def listen(progress: Progress) -> None:
                nonlocal has_begun
                has_begun = True
                options.stop.check()
                bar.update(progress)

            run.run(listen, if_interrupted=if_interrupted)
    except BaseException:
        if has_begun:
            options.kept = _kept(run.output)
        raise
    if not options.quiet:
        seconds = time.monotonic() - started
        megapixels = height * width / 1e6
        say(f"{output}: {width} x {height} px, {megapixels:.1f} MP in {seconds:.1f} s")


def file_run_of(
    options: argparse.Namespace,
    *,
    content: Location,
    styles: Sequence[str],
    output: Location,
    backbone: Backbone | None = None,
) -> FileRun:
    """The run that the options describe.

    Args:
        options: of the command.
        content, styles, output: as in :class:`~urst_core.runs.file_run.FileRun`.
        backbone: that of the options, if it is already loaded.

    Raises:
        SettingsError: a location is a URL.
    """
    return FileRun(
        _local_path(content),
        [*styles, *region_styles_of(options)],
        _local_path(output),
        backbone or _backbone_of(options),
        settings_of(options),
        style_weights=options.style_weights,
        options=options.stored,
        input_options=input_options_of(options),
        overwrite=options.overwrite,
        mask=mask_of(options),
        regions=map_of(options, input_options_of(options)),
        describe=not options.no_metadata,
        printing=printing_of(options),
    )


def _backbone_of(options: argparse.Namespace) -> Backbone:
    backbone = load_backbone(
        options.backbone, options.weights, listener=download_bar(quiet=options.quiet)
    )
    check_weights(options, backbone)
    return backbone


def _local_path(location: Location) -> Path:
    if isinstance(location, Path):
        return location
    raise SettingsError(
        f"{location} is a URL, which only Ray workers read and write; use --ray local, or name a "
        "local file"
    )


@contextmanager
def _kept_if_stopped(options: argparse.Namespace) -> Generator[None, None, None]:
    """Say what an interrupted run has kept."""
    try:
        yield
    except BaseException:
        if isinstance(options.output, Path):
            options.kept = _kept(options.output)
        raise


def _kept(output: Path) -> str:
    """Progress of an interrupted run, for a message; empty if there is nothing to resume."""
    try:
        interruption = WorkFolder(output).interruption()
    except URSTError:
        return ""
    return f"{interruption}, kept beside {output}; continue with --resume" if interruption else ""
