"""Time of the artist's controls, beside a plain run of the same picture.

    python benchmarks/controls.py [EDGE] [--cases NAME ...]

Tiles have the size that is chosen for the machine. A first round, in which kernels are chosen, is
not counted. Runs alternate; the figures are process CPU time and wall time, relative to the plain
run of the same round, and the median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.geometry import Rectangle
from urst_core.method.pipeline import stylize
from urst_core.method.regions import Region, Regions, mix_along
from urst_core.pictures.mask import TensorMask
from urst_core.pictures.region_map import ColorRegions
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edge", nargs="?", type=int, default=1536, help="of the picture, in px")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="only these, and plain")
    options = parser.parse_args()
    edge = options.edge
    size = (edge, edge)
    landscape = DemoLandscape(size)
    content = TensorSource(landscape.read(Rectangle.of_size(size)))
    one = TensorSource(demo_painting((512, 512)))
    other = TensorSource(one.pixels.roll(1, 0))
    pixels = torch.zeros(3, *size, dtype=torch.uint8)
    pixels[0, : edge // 2], pixels[2, edge // 2 :] = 255, 255
    colors = [(255, 0, 0), (0, 0, 255)]
    halves = ColorRegions.of(TensorSource(pixels), colors, feather=64)
    two = Regions(halves, [Region([one]), Region([other])])
    thirds = torch.zeros(3, *size, dtype=torch.uint8)
    for channel in range(3):
        thirds[channel, edge * channel // 3 : edge * (channel + 1) // 3] = 255
    three_maps = ColorRegions.of(TensorSource(thirds), [*colors, (0, 255, 0)], feather=64)
    across, down = torch.arange(edge), torch.arange(edge)[:, None]
    is_near = (across - edge / 2) ** 2 + (down - edge / 2) ** 2 < (0.3 * edge) ** 2
    round_pixels = torch.zeros(3, *size, dtype=torch.uint8)
    round_pixels[0, is_near], round_pixels[2, ~is_near] = 255, 255
    disk = ColorRegions.of(TensorSource(round_pixels), colors, feather=64)
    three = Regions(three_maps, [Region([one]), Region([other]), Region([one, other])])
    gray = TensorMask(torch.linspace(0, 1, edge).expand(size))
    cases = {
        "plain": ([one], {}),
        "colors content": ([one], {"colors": "content"}),
        "colors matched": ([one], {"colors": "matched"}),
        "two regions": (two, {}),
        "two regions, colors content": (two, {"colors": "content"}),
        "three regions": (three, {}),
        "a disk": (Regions(disk, two.each), {}),
        "local statistics": ([one], {"stats": "local"}),
        "mixed along a gray map": (mix_along(gray, [one, other]), {}),
    }
    backbone = load_backbone()

    def run(styles: object, options: dict[str, str]) -> Callable[[], None]:
        settings = Settings(device="cpu", precision="fp32", **options)
        return lambda: stylize(content, styles, TensorCanvas(size), backbone, settings) and None

    if options.cases:
        cases = {name: case for name, case in cases.items() if name in ["plain", *options.cases]}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for number in range(ROUNDS + 1):
        for name, case in cases.items():
            used = measured(run(*case))
            if number:
                times[name].append(used)
    for name, each in times.items():
        relative = zip(each, times["plain"])
        cpu, wall = zip(*[(c / plain_c, w / plain_w) for (c, w), (plain_c, plain_w) in relative])
        print(
            f"{name:30} CPU {statistics.median(cpu):.2f}  wall {statistics.median(wall):.2f}  "
            f"({statistics.median(c for c, _ in each):.1f} s CPU)"
        )


def measured(run: Callable[[], None]) -> tuple[float, float]:
    """CPU and wall time of a run, in seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    run()
    return time.process_time() - cpu, time.monotonic() - wall


if __name__ == "__main__":
    main()
