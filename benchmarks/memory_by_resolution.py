"""Peak memory against the picture's size, tiled and whole, of each network.

    python benchmarks/memory_by_resolution.py [--backbones NAME ...] [--edges PX ...]
        [--whole-up-to PX] [--plot FILE.png]

Square pictures in memory, stylized with fine strokes: in tiles as chosen for this machine, and in
one tile. Each run is a process of its own; counted is what it held resident at most above what it
held before, picture and result included. Weights are random, since they do not matter here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memory import held_bytes
from plots import Curves, plot_against_megapixels

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=list(REGISTRY), choices=list(REGISTRY))
    parser.add_argument("--edges", type=int, nargs="+", default=[1000, 2000, 4000, 10000])
    parser.add_argument("--whole-up-to", type=int, default=4000, metavar="PX")
    parser.add_argument("--tile-size", type=int, default=512, metavar="PX")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    curves: Curves = {}
    print("backbone          px   tiles: GB        s   whole: GB        s", flush=True)
    for name in options.backbones:
        for edge in options.edges:
            cells = [measured(name, edge, options.tile_size)]
            if edge <= options.whole_up_to:
                cells.append(measured(name, edge, 1 << 16))
            for way, (gigabytes, _) in zip(("tiles", "whole"), cells):
                curves.setdefault(f"{name}, {way}", []).append((edge**2 / 1e6, gigabytes))
            figures = "   ".join(f"{gb:9.2f} {seconds:8.1f}" for gb, seconds in cells)
            print(f"{name:16s}{edge:5d}   {figures}", flush=True)
    if options.plot:
        plot_against_megapixels(curves, "peak memory, GB", options.plot)


def measured(name: str, edge: int, tile_size: int) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak_of, (name, edge, tile_size))


def peak_of(name: str, edge: int, tile_size: int) -> tuple[float, float]:
    """Gigabytes and seconds of processor time of one run."""
    network = find_backbone(name)
    backbone = build_backbone(network, network().state_dict(), origin="random")
    styles = backbone.network.style_names[:1] or [TensorSource(noise(256))]
    settings = Settings(tile_size=tile_size, thumbnail_size=512, strokes="fine", device="cpu")
    before, began = held_bytes(CPU), time.process_time()
    canvas = TensorCanvas((edge, edge))
    stylize(TensorSource(noise(edge)), styles, canvas, backbone, settings)
    return (held_bytes(CPU) - before) / 1e9, time.process_time() - began


def noise(edge: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, edge, edge), dtype=torch.uint8)


if __name__ == "__main__":
    main()
