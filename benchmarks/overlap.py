"""Gain or cost of prefetching and delayed writing, from file to work file, in one run.

    python benchmarks/overlap.py [--size HxW ...] [--tile-size PX] [--rounds N]

Both ways do the same steps on the same tiles; rounds alternate, and the best of each counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import open_picture, write_picture
from urst_core.formats.work_file import WorkFile
from urst_core.geometry import tile_around
from urst_core.method.run import Run
from urst_core.pictures.source import TensorSource
from urst_core.tiling.loop import TileLoop
from urst_core.tiling.settings import Settings
from urst_core.tiling.stylize_tile import TileStylizer
from urst_core.weights.loading import load_backbone


def main() -> None:
    options = parse_options()
    print(f"{torch.get_num_threads()} threads, best of {options.rounds}")
    print("size          tiles   one by one   overlapped   ratio   same")
    for size in options.size:
        height, width = (int(side) for side in size.split("x"))
        with tempfile.TemporaryDirectory(prefix="urst-overlap-") as folder:
            compare(Path(folder), height, width, options)


def compare(folder: Path, height: int, width: int, options: argparse.Namespace) -> None:
    """Print a row."""
    write_picture(DemoLandscape((height, width)), folder / "content.png")
    backbone, cpu = load_backbone(), torch.device("cpu")
    settings = Settings(tile_size=options.tile_size, thumbnail_size=256, device="cpu")
    content = open_picture(folder / "content.png")
    style = TensorSource(demo_painting((256, 256)))
    stats = Run.of(content, backbone, settings).measure([style])
    network = Run.of(content, backbone, settings).network(stats)
    tiles = Run.of(content, backbone, settings).tiles(torch.float32)
    seconds = {one_by_one: float("inf"), overlapped: float("inf")}
    results: set[bytes] = set()
    for _ in range(options.rounds):
        for way, best in seconds.items():
            with WorkFile.create(folder / "pixels.tif", content) as pixels:
                work = TileStylizer(network, content, pixels, tiles.frame, cpu, halo=tiles.halo)
                started = time.perf_counter()
                way(tiles, work)
                seconds[way] = min(best, time.perf_counter() - started)
            results.add((folder / "pixels.tif").read_bytes())
    plain, ours = seconds.values()
    print(
        f"{f'{height} x {width}':12s}   {len(tiles.cores_to_do()):4d}   {plain:8.3f} s   "
        f"{ours:8.3f} s   {plain / ours:5.2f}   {'yes' if len(results) == 1 else 'NO'}",
        flush=True,
    )


def one_by_one(tiles: TileLoop, work: TileStylizer) -> None:
    with torch.inference_mode():
        for core in tiles.cores_to_do():
            tile = tile_around(core, tiles.traits.halo, tiles.frame)
            work.write(tile, work.compute(tile, work.read(tile)))


def overlapped(tiles: TileLoop, work: TileStylizer) -> None:
    tiles.run("tiles", work)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs="+", default=["64x64", "256x256", "512x512", "1024x1536"])
    parser.add_argument("--tile-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
