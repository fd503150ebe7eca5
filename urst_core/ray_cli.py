"""``urst stylize --ray``: the same on the machines of a Ray cluster."""

from __future__ import annotations

import argparse
import time

from .commands import settings_of
from .distributed import stylize_distributed
from .distributed_output import store_of
from .download_bar import download_bar
from .locations import open_location
from .progress_bar import ProgressBar
from .start import Start
from .tiling import Progress
from .weights import load_backbone
from .zarr_canvas import notes_at
from .zarr_store import parse_location, unfinished_location


def stylize_on_ray(options: argparse.Namespace) -> None:
    """Stylize on a cluster, with a progress bar; says where the result is."""
    started = time.monotonic()
    backbone = load_backbone(
        options.backbone, options.weights, listener=download_bar(quiet=options.quiet)
    )
    styles = [
        style
        if backbone.network.style_names
        else open_location(parse_location(style), flatten=True)
        for style in options.styles
    ]
    try:
        with ProgressBar(quiet=options.quiet) as bar:

            def listen(progress: Progress) -> None:
                options.stop.check()
                bar.update(progress)

            stylize_distributed(
                options.content,
                styles,
                options.output,
                backbone,
                settings_of(options),
                address=options.ray,
                workers=options.ray_workers,
                style_weights=options.style_weights,
                options=options.stored,
                overwrite=options.overwrite,
                start=_start(options),
                listener=listen,
            )
    except (KeyboardInterrupt, SystemExit):
        store = store_of(options.output)
        if notes_at(store):
            options.kept = (
                f"the finished tiles are kept in {unfinished_location(store)}; go on with --resume"
            )
        raise
    if not options.quiet:
        print(f"{options.output}: done in {time.monotonic() - started:.1f} s")


def _start(options: argparse.Namespace) -> Start:
    return Start.RESUME if options.resume else Start.RESTART if options.restart else Start.NEW
