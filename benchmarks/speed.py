"""Speed of the tile loop, beside the published code or a plain implementation, in one run.

    python benchmarks/speed.py [--backbone NAME|all] [--weights FILE] [--size HxW ...]
        [--tile-size PX ...] [--precision NAME ...] [--rounds N] [--clock wall|cpu]
        [--device NAME] [--reference CHECKOUT] [--files [--plot FILE.png]]

Ours is the whole loop: 8-bit pixels read, stylized in tiles, and written as 8 bits; ``auto`` proves
its precision within its time. The plain way is the same network in its published form: contiguous,
reflection padding in every layer of every tile, normalized tile by tile, on the same windows. With
``--reference`` it is the published code itself, see ``published.py``. Rounds alternate, and the
best of each counts, so that other work on the machine disturbs the ratio least; so does the time
that the CPU spends (``--clock cpu``). ``--files`` measures from file to file instead; ``--plot``
draws that.

A tile size of 0 is that which would be chosen. On a GPU: ``--device cuda --size 8192x8192``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plots import Curves, plot_against_megapixels
from published import published_run
from timing import CLOCKS, best_of, best_seconds

from urst_core.backbones import DEFAULT_BACKBONE, REGISTRY, find_backbone
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import write_picture
from urst_core.geometry import Rectangle, cut, tile_around, windows_area
from urst_core.method.run import Run
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.model import Backbone
from urst_core.networks.sites import collect
from urst_core.pictures.padding import read_window
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.runs.file_run import FileRun
from urst_core.tiling.device import find_device
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone
from urst_core.weights.loading import EMBEDDED_FILES, load_backbone

Way = Callable[[], None]


def main() -> None:
    options = parse_options()
    threads = torch.get_num_threads()
    print(f"{threads} threads, {options.clock} time, best of {options.rounds} alternating rounds")
    names = list(REGISTRY)
    curves: Curves = {}
    for name in names if options.backbone == "all" else [options.backbone]:
        backbone = backbone_of(name, options.weights)
        for size in options.size:
            pixels = DemoLandscape(size).read(Rectangle.of_size(size))
            if options.files:
                print_file_speed(backbone, pixels, options, curves)
            else:
                print_tile_speed(backbone, TensorSource(pixels), options)
    if options.plot:
        plot_against_megapixels(curves, "megapixels a second, file to file", options.plot)


def print_tile_speed(
    backbone: Backbone, content: TensorSource, options: argparse.Namespace
) -> None:
    """A row for each tile size and precision."""
    device = find_device(options.device)
    painting = make_thumbnail(TensorSource(demo_painting((512, 512))), 0)
    thumbnail = make_thumbnail(content, 512)
    here = backbone.on(device)
    stats = here.collect(thumbnail, here.encode_style(here.network.style_names[:1] or [painting]))
    megapixels = content.size[0] * content.size[1] / 1e6
    base = "plain" if options.reference is None else "published"
    for asked in options.tile_size:
        settings = Settings(tile_size=asked or None, device=options.device)
        edge = Run.of(content, backbone, settings).tiles(torch.float32).edge
        settings = replace(settings, tile_size=edge)
        ways = {base: base_way(here, content, thumbnail, painting, stats, edge, options)}
        for precision in options.precision:
            ways[precision] = our_way(here, content, stats, replace(settings, precision=precision))
        seconds = best_seconds(ways, options.rounds, options.clock)
        frame = backbone.traits.frame_of(content.size)
        halo = windows_area(frame, edge, backbone.traits.halo) / (frame[0] * frame[1]) - 1
        print(
            f"{backbone.traits.name}, {megapixels:.1f} MP, tiles of {edge} px (halo {halo:.1%}): "
            + ", ".join(f"{way} {megapixels / taken:.2f} MP/s" for way, taken in seconds.items())
            + "; over "
            + f"{base}: "
            + ", ".join(f"{w} {seconds[base] / seconds[w]:.2f}" for w in ways if w != base),
            flush=True,
        )


def our_way(
    backbone: Backbone, content: TensorSource, stats: FrozenStats, settings: Settings
) -> Way:
    def run() -> None:
        canvas = TensorCanvas(content.size, dtype=torch.uint8)
        run = Run.of(content, backbone, settings)
        run.stylize(run.network(stats), canvas)

    return run


def base_way(
    backbone: Backbone,
    content: TensorSource,
    thumbnail: Tensor,
    style: Tensor,
    stats: FrozenStats,
    edge: int,
    options: argparse.Namespace,
) -> Way:
    """The published code, or the plain way of it."""
    if options.reference is not None:
        picture = content.pixels.unsqueeze(0).float() / 255
        return published_run(backbone, options.reference, picture, thumbnail, style, edge)
    device = backbone.device
    frame = backbone.traits.frame_of(content.size)
    cores = list(cut(Rectangle.of_size(frame), edge))
    tiles = [tile_around(core, backbone.traits.halo, frame) for core in cores]
    here = stats.to(device)

    def run() -> None:
        with torch.inference_mode():
            for tile in tiles:
                window = read_window(content, tile.window, device)
                collect(backbone.network.stages(window, here.code))

    return run


def print_file_speed(
    backbone: Backbone, pixels: Tensor, options: argparse.Namespace, curves: Curves
) -> None:
    """From a JPEG to a JPEG, all included; a point is added to each precision's curve."""
    with TemporaryDirectory(prefix="urst-") as name:
        folder = Path(name)
        styles = backbone.network.style_names[:1] or [str(folder / "style.jpg")]
        write_picture(TensorSource(demo_painting((512, 512))), folder / "style.jpg")
        write_picture(TensorSource(pixels), folder / "content.jpg")
        for precision in options.precision:
            settings = Settings(precision=precision, device=options.device)
            run = FileRun(
                folder / "content.jpg",
                styles,
                folder / "result.jpg",
                backbone,
                settings,
                overwrite=True,
            )
            seconds = best_of(run.run, options.rounds, options.clock)
            megapixels = pixels.shape[1] * pixels.shape[2] / 1e6
            print(
                f"{backbone.traits.name}, {megapixels:.1f} MP, JPEG to JPEG, {precision}: "
                f"{seconds:.1f} s, {megapixels / seconds:.2f} MP/s",
                flush=True,
            )
            curve = curves.setdefault(f"{backbone.traits.name}, {precision}", [])
            curve.append((megapixels, megapixels / seconds))


def backbone_of(name: str, weights: Path | None) -> Backbone:
    """The weights given or embedded; else random ones, which take as long."""
    if weights is None and name not in EMBEDDED_FILES:
        network = find_backbone(name)
        return build_backbone(network, network().state_dict(), origin="random")
    return load_backbone(name, weights)


def size_of(text: str) -> tuple[int, int]:
    height, width = (int(side) for side in text.split("x"))
    return height, width


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=size_of, nargs="+", default=[(1536, 2048)])
    parser.add_argument("--tile-size", type=int, nargs="+", default=[0])
    parser.add_argument("--precision", nargs="+", default=["fp32", "auto"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--reference", type=Path, metavar="CHECKOUT")
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="of --files")
    return parser.parse_args()


if __name__ == "__main__":
    main()
