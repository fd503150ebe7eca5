"""``urst stylize`` of a video: frame by frame, with its sound."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import SettingsError
from ..formats.clip_endings import is_clip
from ..networks.model import Backbone
from ..progress import Progress
from ..runs.clip_run import ClipRun
from .bars import ProgressBar
from .console import say
from .options import if_interrupted_of, settings_of

NOT_OF_VIDEOS = ("mask", "regions", "mix_map", "crop", "print_size", "dpi", "ray")
"""Options of pictures."""


def is_clip_run(options: argparse.Namespace) -> bool:
    """Whether a video is to be stylized, by the name of the content or of the result."""
    places = (options.content, options.output)
    return any(isinstance(place, Path) and is_clip(place) for place in places)


def stylize_clip(options: argparse.Namespace, load_backbone: Callable[[], Backbone]) -> None:
    """Stylize a video with a progress bar, and say where the result is.

    Raises:
        URSTError: an option is not for videos, or as in :meth:`ClipRun.run`.
    """
    _check(options)
    started = time.monotonic()
    run = ClipRun(
        options.content,
        options.styles,
        options.output,
        load_backbone(),
        settings_of(options),
        style_weights=options.style_weights,
        options=options.stored,
        overwrite=options.overwrite,
        describe=not options.no_metadata,
    )
    with ProgressBar(quiet=options.quiet) as bar:

        def listen(progress: Progress) -> None:
            options.stop.check()
            bar.update(progress)

        run.run(listen, if_interrupted=if_interrupted_of(options))
    if not options.quiet:
        (height, width), count = run.clip.size, run.clip.count
        seconds = time.monotonic() - started
        say(
            f"{run.output}: {count} frames of {width} x {height} px in {seconds:.1f} s, "
            f"{seconds / count:.2f} s a frame"
        )


def _check(options: argparse.Namespace) -> None:
    """Refuse options of pictures, URLs, and a picture as content.

    Raises:
        SettingsError: names it.
    """
    for name in NOT_OF_VIDEOS:
        value = getattr(options, name)
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise SettingsError(f"{option} {value} does not work with videos; leave it out")
    for place in (options.content, options.output):
        if not isinstance(place, Path):
            raise SettingsError(f"{place} is a URL; videos are read and written as local files")
    if not is_clip(options.content):
        raise SettingsError(
            f"{options.output} is a video, and {options.content} is not; give both the same kind"
        )
