"""How fast the tile loop is, beside the plain way of the published code, in one run.

    python benchmarks/speed.py [--backbone NAME|all] [--weights FILE] [--size HxW]
        [--tile-size PX ...] [--rounds N]

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
from urst_core.backbones import BACKBONES, DEFAULT_BACKBONE, find_backbone
from urst_core.canvas import TensorSource, make_thumbnail, read_window
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.geometry import Rectangle, Tile, cut, tile_around
from urst_core.tin import collect
from urst_core.weights import EMBEDDED_FILES, build_backbone, load_backbone


def main() -> None:
    options = parse_options()
    names = [network.traits.name for network in BACKBONES]
    height, width = (int(side) for side in options.size.split("x"))
    content = TensorSource(DemoLandscape((height, width)).read(Rectangle(0, 0, height, width)))
    print(f"{height} x {width} px, {torch.get_num_threads()} threads, best of {options.rounds}")
    print("backbone           tile size   halo cost   plain MP/s   ours MP/s   ratio")
    for name in names if options.backbone == "all" else [options.backbone]:
        compare(backbone_of(name, options.weights), content, options)


def compare(backbone: Backbone, content: TensorSource, options: argparse.Namespace) -> None:
    """Print a row for each tile size."""
    painting = make_thumbnail(TensorSource(demo_painting((512, 512))), 0)
    styles = backbone.network.style_names[:1] or [painting]
    stats = backbone.collect(make_thumbnail(content, 512), backbone.encode_style(styles))
    baked = backbone.bake(stats).prepared(torch.device("cpu"))
    frame = backbone.traits.frame_of(content.size)
    megapixels = content.size[0] * content.size[1] / 1e6
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
            f"{backbone.traits.name:17s}   {edge:9d}   {read - 1:8.1%}"
            f"   {megapixels / seconds[plain]:10.2f}   {megapixels / seconds[ours]:9.2f}"
            f"   {seconds[plain] / seconds[ours]:5.2f}",
            flush=True,
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
    if weights is None and name not in EMBEDDED_FILES:
        network = find_backbone(name)
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
