"""Time of the artist's controls, beside a plain run of the same picture.

    python benchmarks/controls.py [EDGE | PHOTO] [--cases NAME ...] [--rounds N]

The picture is a drawn landscape of EDGE x EDGE px, or a photograph. Tiles have the size that is
chosen for the machine. A first round, in which kernels are chosen, is not counted. Runs alternate;
the figures are process CPU time and wall time, relative to the plain run of the same round, and the
median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from urst_core.backbones import find_backbone
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import open_picture
from urst_core.geometry import Rectangle, Size
from urst_core.method.pipeline import stylize
from urst_core.method.regions import Region, Regions, mix_along
from urst_core.networks.model import Backbone
from urst_core.pictures.mask import TensorMask
from urst_core.pictures.region_map import ColorRegions
from urst_core.pictures.source import Source, TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
FEATHER = 64


@dataclass(frozen=True)
class Case:
    """A run that is timed, and the name of the one that it is compared with."""

    styles: Sequence[Source] | Regions
    settings: dict[str, Any] = field(default_factory=dict)
    beside: str = "plain"
    backbone: str = "microast"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", nargs="?", default="1536", help="edge in px, or a photograph")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    content = picture_of(options.picture)
    cases = all_cases(content.size)
    if options.cases:
        chosen = {name for each in options.cases for name in (each, cases[each].beside)}
        cases = {name: case for name, case in cases.items() if name in chosen}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for number in range(options.rounds + 1):
        for name, case in cases.items():
            used = measured(run_of(content, case))
            if number:
                times[name].append(used)
    for name, each in times.items():
        pairs = zip(each, times[cases[name].beside])
        cpu, wall = zip(*[(c / plain_c, w / plain_w) for (c, w), (plain_c, plain_w) in pairs])
        print(
            f"{name:30} CPU {statistics.median(cpu):.2f}  wall {statistics.median(wall):.2f}  "
            f"({statistics.median(c for c, _ in each):.1f} s CPU)"
        )


def picture_of(name: str) -> TensorSource:
    """A drawn landscape of that edge, or a photograph, in memory."""
    if name.isdecimal():
        size = int(name), int(name)
        return TensorSource(DemoLandscape(size).read(Rectangle.of_size(size)))
    photograph = open_picture(Path(name))
    return TensorSource(photograph.read(Rectangle.of_size(photograph.size))[:3])


def all_cases(size: Size) -> dict[str, Case]:
    """Every case, by its name; plain runs first."""
    one = TensorSource(demo_painting((1024, 1024)))
    other = TensorSource(one.pixels.roll(1, 0))
    down, across = torch.arange(size[0])[:, None] / size[0], torch.arange(size[1]) / size[0]
    wide = size[1] / size[0]
    below = (down > 0.5 + 0.1 * across + 0.03 * torch.sin(9 * across)).long()
    inside = (down - 0.5) ** 2 + (across - wide / 2) ** 2 < 0.3**2
    sun = (down - 0.3) ** 2 + (across - 0.6 * wide) ** 2 < 0.2**2
    styles = [Region([one]), Region([other]), Region([one, other])]
    two = Regions(region_map(below), styles[:2])
    gray = TensorMask(torch.linspace(0, 1, size[1]).expand(size))
    return {
        "plain": Case([one]),
        "colors content": Case([one], {"colors": "content"}),
        "colors matched": Case([one], {"colors": "matched"}),
        "local statistics": Case([one], {"stats": "local"}),
        "two regions": Case(two),
        "two regions, colors content": Case(two, {"colors": "content"}),
        "two regions, own statistics": Case(Regions(two.map, two.each, "region")),
        "three regions": Case(Regions(region_map(below.masked_fill(sun, 2)), styles)),
        "a disk": Case(Regions(region_map(inside.long()), styles[:2])),
        "mixed along a gray map": Case(mix_along(gray, [one, other])),
        "AdaIN": Case([one], beside="AdaIN", backbone="adain"),
        "AdaIN, distribution": Case(
            [one], {"match": "distribution"}, beside="AdaIN", backbone="adain"
        ),
    }


def region_map(numbers: Tensor) -> ColorRegions:
    """The map of regions with these numbers, (h, w)."""
    count = int(numbers.max()) + 1
    pixels = torch.tensor(COLORS, dtype=torch.uint8)[numbers].permute(2, 0, 1).contiguous()
    return ColorRegions.of(TensorSource(pixels), COLORS[:count], feather=FEATHER)


def run_of(content: TensorSource, case: Case) -> Callable[[], object]:
    """The run of a case, with the built-in weights or random ones."""
    settings = Settings(device="cpu", precision="fp32", **case.settings)
    if case.backbone == "microast":
        backbone = load_backbone()
    else:
        torch.manual_seed(0)
        network = find_backbone(case.backbone)().eval().requires_grad_(False)
        backbone = Backbone(network, "random")
    canvas = TensorCanvas(content.size)
    return lambda: stylize(content, case.styles, canvas, backbone, settings)


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall time of a run, in seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    run()
    return time.process_time() - cpu, time.monotonic() - wall


if __name__ == "__main__":
    main()
