"""``urst stylize --ray``: stylizing on the machines of a Ray cluster."""

from __future__ import annotations

import argparse
import time

from ..cluster.levels import LevelStores
from ..cluster.output import store_of
from ..cluster.run import stylize_distributed
from ..formats.styles import open_style
from ..formats.zarr.canvas import notes_at
from ..formats.zarr.store import unfinished_location
from ..networks.model import Backbone
from ..progress import Progress
from ..runs.description import Description
from ..weights.loading import load_backbone
from .bars import ProgressBar, download_bar
from .console import say
from .options import if_interrupted_of, input_options_of, settings_of


def stylize_on_ray(options: argparse.Namespace) -> None:
    """Stylize on a cluster with a progress bar, and print where the result is."""
    started = time.monotonic()
    backbone = load_backbone(
        options.backbone, options.weights, listener=download_bar(quiet=options.quiet)
    )
    styles = [open_style(style, backbone, input_options_of(options)) for style in options.styles]
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
                input_options=input_options_of(options),
                overwrite=options.overwrite,
                if_interrupted=if_interrupted_of(options),
                painting=None if options.no_metadata else _description(options, backbone),
                listener=listen,
            )
    except (KeyboardInterrupt, SystemExit):
        store = store_of(options.output)
        begun = [place for place in (store, LevelStores(store, 1).picture(0)) if notes_at(place)]
        if begun:
            options.kept = (
                f"the finished tiles are kept in {unfinished_location(begun[0])}; "
                "continue with --resume"
            )
        raise
    if not options.quiet:
        say(f"{options.output}: done in {time.monotonic() - started:.1f} s")


def _description(options: argparse.Namespace, backbone: Backbone) -> str:
    return Description.of(
        backbone,
        options.styles,
        settings_of(options),
        options.stored,
        style_weights=options.style_weights,
    ).text()
