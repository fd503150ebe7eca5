"""Time of the artist's controls, beside a plain run of the same picture.

    python benchmarks/controls.py [EDGE]

Runs alternate; the figures are process CPU time and wall time, relative to the plain run of the
same round, and the median of the rounds.
"""

from __future__ import annotations

import statistics
import sys
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
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 1536
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
    three = Regions(three_maps, [Region([one]), Region([other]), Region([one, other])])
    gray = TensorMask(torch.linspace(0, 1, edge).expand(size))
    cases = {
        "plain": ([one], {}),
        "colors content": ([one], {"colors": "content"}),
        "colors matched": ([one], {"colors": "matched"}),
        "two regions": (two, {}),
        "two regions, colors content": (two, {"colors": "content"}),
        "three regions": (three, {}),
        "local statistics": ([one], {"stats": "local"}),
        "mixed along a gray map": (mix_along(gray, [one, other]), {}),
    }
    backbone = load_backbone()

    def run(styles: object, options: dict[str, str]) -> Callable[[], None]:
        settings = Settings(tile_size=256, device="cpu", precision="fp32", **options)
        return lambda: stylize(content, styles, TensorCanvas(size), backbone, settings) and None

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            times[name].append(measured(run(*case)))
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
