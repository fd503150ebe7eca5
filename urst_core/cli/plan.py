"""``urst plan``: a forecast of what a run needs."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import psutil

from ..errors import SettingsError
from ..formats.output_options import output_options
from ..geometry import Rectangle
from ..pictures.resized import Resized
from ..progress import Progress
from ..runs.file_run import FileRun
from ..runs.plan import Plan, format_bytes
from ..runs.timing import calibrated
from .bars import ProgressBar
from .clip import is_clip_run
from .console import put
from .options import Commands
from .stylize import add_run_arguments, file_run_of

DEFAULT_OUTPUT = Path("stylized.tif")


def add_plan_command(commands: Commands) -> None:
    """Add ``plan`` to the commands of a parser."""
    command = commands.add_parser(
        "plan",
        help="forecast the tiles, memory, disk space and time that a picture needs",
        description="Forecast what `urst stylize` with the same options needs. "
        "Stylizes a few tiles to estimate the time; writes no file.",
    )
    add_run_arguments(command, default_output=DEFAULT_OUTPUT)
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.set_defaults(run=run_plan, quiet=False)


def run_plan(options: argparse.Namespace) -> None:
    """Print the forecast, even of a run that is then refused."""
    if is_clip_run(options):
        raise SettingsError(
            f"{options.content} is a video, and plans are made for pictures; a video needs the "
            "memory of one frame, and twice the disk space of the result"
        )
    options.stored = output_options(options)
    if options.output is None:
        options.output, options.overwrite = DEFAULT_OUTPUT, True
    run = file_run_of(
        options, content=options.content, styles=options.styles, output=options.output
    )
    if not run.styles:
        run = _with_some_style(run)
    run.check(overwrite=run.overwrite)
    plan, start = run.plan(), time.time() - psutil.Process().create_time()
    try:
        plan.check()
        with ProgressBar(quiet=not plan.temporary_bytes) as bar:

            def listen(progress: Progress) -> None:
                options.stop.check()
                bar.update(progress)

            started = time.monotonic()
            run.unpack(listen)
            start += time.monotonic() - started
        plan = _with_start(calibrated(run, plan), start)
    finally:
        put(json.dumps(plan.as_dict(), indent=1) if options.json else _told(plan, run))


def _with_some_style(run: FileRun) -> FileRun:
    """Choose any style, since all take the same time."""
    names = run.backbone.network.style_names
    return replace(run, styles=names[:1] or [str(run.content)])


def _with_start(plan: Plan, seconds: float) -> Plan:
    """Count the start of the program and the unpacking, which `urst stylize` repeats."""
    return replace(plan, seconds=plan.seconds and replace(plan.seconds, start=seconds))


def _told(plan: Plan, run: FileRun) -> str:
    """The plan as text."""
    height, width = plan.size
    precision = plan.precision or "the fastest precision that is accurate enough"
    passes = f", {plan.passes} passes" if plan.passes > 1 else ""
    levels = f" in {plan.levels} levels" if plan.levels > 1 else ""
    lines = [
        f"picture   {width} x {height} px, {height * width / 1e6:.1f} MP, "
        f"{run.source.channels} channels of {8 * run.source.dtype.itemsize} bits",
        *_print_line(run),
        f"frame     {plan.frame[1]} x {plan.frame[0]} px",
        f"tiles     {plan.tiles} of {plan.tile_size} px{levels}{passes}; their halo of "
        f"{run.backbone.traits.halo} px costs {plan.halo_share:.0%} more pixels",
        f"device    {plan.device}, {precision}: {format_bytes(plan.device_bytes)} of "
        f"{format_bytes(plan.device_free_bytes)} free",
        f"memory    {format_bytes(plan.program_bytes + plan.needed_bytes)}, the program's own "
        f"{format_bytes(plan.program_bytes)} included; "
        f"{format_bytes(plan.host_free_bytes)} free",
        f"disk      {format_bytes(plan.work_bytes)} for the work file, {_result_bytes(plan)} for "
        f"the result, of {format_bytes(plan.disk_free_bytes)} free in {plan.folder}",
    ]
    if plan.temporary_bytes:
        lines.append(
            f"temporary {format_bytes(plan.temporary_bytes)} for unpacked pictures, of "
            f"{format_bytes(plan.temporary_free_bytes)} free in {plan.temporary_folder}"
        )
    if plan.seconds is not None:
        seconds = plan.seconds
        lines.append(
            f"time      {_duration(seconds.total)}: start {_duration(seconds.start)}, "
            f"statistics {_duration(seconds.statistics)}, tiles {_duration(seconds.tiles)}, "
            f"encoding {_duration(seconds.encoding)}"
        )
    return "\n".join(lines)


def _result_bytes(plan: Plan) -> str:
    most = f"at most {format_bytes(plan.result_bytes)}"
    if plan.likely_result_bytes is None:
        return most
    return f"about {format_bytes(plan.likely_result_bytes)} ({most})"


def _print_line(run: FileRun) -> list[str]:
    """How the content becomes the print; nothing without one."""
    printing, picture = run.printing, run.source
    if printing.paper is None or not isinstance(picture, Resized):
        return []
    scale = picture.size[1] / picture.part.width
    cropped = 1 - picture.part.area / Rectangle.of_size(picture.picture.size).area
    return [
        f"print     {printing.paper} at {printing.used_dpi:g} dpi, {printing.fit}: {scale:.2f} "
        f"times the photograph's size, {cropped:.0%} of it cropped"
    ]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
