"""How fast the tile loop is, beside the plain way of the published code, in one run.

    python benchmarks/speed.py [--backbone NAME] [--weights FILE] [--size HxW] [--tile-size PX ...]

The plain way: the same network in its published form, contiguous, reflection padding in every
layer of every tile, normalized tile by tile. Both see the same windows; rounds alternate, and the
best of each counts, so that other work on the machine disturbs the ratio least.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.backbone import Backbone
from urst_core.backbones import BACKBONES, DEFAULT_BACKBONE
from urst_core.canvas import TensorSource, make_thumbnail, read_window
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.geometry import Rectangle, Tile, cut, tile_around
from urst_core.tin import collect
from urst_core.weights import build_backbone, load_backbone


def main() -> None:
    options = parse_options()
    backbone = backbone_of(options.backbone, options.weights)
    size = tuple(int(side) for side in options.size.split("x"))
    content = TensorSource(DemoLandscape(size).read(Rectangle.of_size(size)))
    style = make_thumbnail(TensorSource(demo_painting((512, 512))), 0)
    stats = backbone.collect(make_thumbnail(content, 512), backbone.encode_style([style]))
    baked = backbone.bake(stats).prepared(torch.device("cpu"))
    frame = backbone.traits.frame_of(size)
    megapixels = size[0] * size[1] / 1e6
    print(f"{backbone.traits.title}, {size[0]} x {size[1]} px, {torch.get_num_threads()} threads")
    print("tile size   halo cost   plain MP/s   ours MP/s   ratio")
    for edge in options.tile_size:
        tiles = [
            tile_around(core, backbone.traits.halo, frame)
            for core in cut(Rectangle.of_size(frame), edge)
        ]
        windows = [read_window(content, tile.window, torch.device("cpu")) for tile in tiles]

        def plain(_tile: Tile, window: Tensor) -> Tensor:
            return collect(backbone.network.stages(window, stats.code))[1]

        def ours(tile: Tile, window: Tensor) -> Tensor:
            return baked(window, at_border=tile.touches_border(frame))

        seconds = {plain: float("inf"), ours: float("inf")}
        for _ in range(options.rounds):
            for way, best in seconds.items():
                seconds[way] = min(best, time_of(way, tiles, windows))
        read = sum(tile.window.area for tile in tiles) / (frame[0] * frame[1])
        print(
            f"{edge:9d}   {read - 1:8.1%}   {megapixels / seconds[plain]:10.2f}"
            f"   {megapixels / seconds[ours]:9.2f}   {seconds[plain] / seconds[ours]:5.2f}"
        )


def time_of(
    way: Callable[[Tile, Tensor], Tensor], tiles: list[Tile], windows: list[Tensor]
) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        for tile, window in zip(tiles, windows):
            way(tile, window)
    return time.perf_counter() - started


def backbone_of(name: str, weights: Path | None) -> Backbone:
    """The weights given or embedded; else random ones, which take as long."""
    for network in BACKBONES:
        if network.traits.name == name and weights is None and name != DEFAULT_BACKBONE:
            return build_backbone(network, network().state_dict(), origin="random")
    return load_backbone(name, weights)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", default="1536x2048")
    parser.add_argument("--tile-size", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
