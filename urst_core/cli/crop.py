"""``urst stylize --crop``: one region at full size, to try settings before a long run."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from ..geometry import Rectangle, Size
from ..progress import Progress
from ..runs.crop import write_region
from ..runs.file_run import FileRun
from .bars import ProgressBar
from .console import say

CROP = re.compile(r"(?:(\d+),(\d+),)?(\d+)x(\d+)")


@dataclass(frozen=True)
class Crop:
    """A region in px; in the middle of the picture if it has no corner."""

    width: int
    height: int
    left: int | None = None
    top: int | None = None

    def __str__(self) -> str:
        corner = "" if self.left is None else f"{self.left},{self.top},"
        return f"{corner}{self.width}x{self.height}"

    def region(self, size: Size) -> Rectangle:
        """Its place in a picture of that size, which it may exceed if it has a corner."""
        height, width = min(self.height, size[0]), min(self.width, size[1])
        if self.left is None or self.top is None:
            top, left = (size[0] - height) // 2, (size[1] - width) // 2
            return Rectangle(top, left, top + height, left + width)
        return Rectangle(self.top, self.left, self.top + self.height, self.left + self.width)


def add_crop_argument(command: argparse.ArgumentParser) -> None:
    """Add ``--crop``."""
    command.add_argument(
        "--crop",
        type=_crop,
        metavar="[X,Y,]WxH",
        help="paint only this region in px, with the pixels that it has in the finished picture, "
        "to try settings; without X,Y in the middle",
    )


def _crop(text: str) -> Crop:
    found = CROP.fullmatch(text)
    if found is None or not (int(found[3]) and int(found[4])):
        raise argparse.ArgumentTypeError(
            f"crop {text!r} is not [X,Y,]WIDTHxHEIGHT, as in 800x600 or 1000,2000,800x600"
        )
    left, top, width, height = found.groups()
    corner = (None, None) if left is None else (int(left), int(top))
    return Crop(int(width), int(height), *corner)


def paint_crop(options: argparse.Namespace, run: FileRun) -> None:
    """Paint the region with a progress bar, and say where it is."""
    region = options.crop.region(run.source.size)
    with ProgressBar(quiet=options.quiet) as bar:

        def listen(progress: Progress) -> None:
            options.stop.check()
            bar.update(progress)

        write_region(run, region, listen)
    if not options.quiet:
        width, height = region.width, region.height
        say(f"{run.output}: {width} x {height} px at {region.left},{region.top}")
