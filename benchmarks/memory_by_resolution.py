"""Peak memory against the picture's size, tiled and whole, of each network.

    python benchmarks/memory_by_resolution.py [--backbones NAME ...] [--edges PX ...]
        [--tiles N] [--whole-limit GB] [--tile-size PX] [--figures FILE.json] [--plot FILE.png]

Square pictures in memory, stylized with fine strokes: in tiles, and in one tile. Each run is a
process of its own; counted is what it held resident at most above what it held before, picture and
result included. Weights are random, since they do not matter here.

Gigabytes are printed, in tiles first. With --tiles a run ends after that many tiles. The result's
memory is written before, so that all of it counts. The allocator may keep more in a longer run: a
network that is fast enough should be run to the end, too.

Whole pictures are left out where the square of the size, from the run before, promises more than
--whole-limit. With --figures, figures are kept in a file, and those in it are not measured again,
whatever the number of tiles: the table can be made in pieces, and drawn from all of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from contextlib import suppress
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memory import held_bytes
from plots import Curves, plot_against_megapixels

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.progress import TILES_STAGE, Progress
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone

CPU = torch.device("cpu")

WHOLE = 1 << 16
"""A tile size, in px, above that of all pictures."""

HIDDEN = "_"
"""Begins names of curves that matplotlib leaves out of the legend."""


class EnoughTilesError(Exception):
    """Ends a run early."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=list(REGISTRY), choices=list(REGISTRY))
    parser.add_argument("--edges", type=int, nargs="+", default=[1000, 2000, 4000, 10000])
    parser.add_argument("--tiles", type=int, metavar="N", help="default: all of them")
    parser.add_argument("--whole-limit", type=float, default=8.0, metavar="GB")
    parser.add_argument("--tile-size", type=int, default=512, metavar="PX")
    parser.add_argument("--figures", type=Path, metavar="FILE.json")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    kept = KeptFigures(options.figures)
    curves: Curves = {}
    edges = " | ".join(f"{edge:,} px" for edge in options.edges)
    print(f"| network | {edges} |\n|---|{'---|' * len(options.edges)}", flush=True)
    for name in options.backbones:
        edge_before, whole_before, cells = 1, 0.0, []
        for edge in options.edges:
            tiled = kept.measured(name, edge, options.tile_size, options.tiles)
            curves.setdefault(name, []).append((edge**2 / 1e6, tiled))
            whole = kept.find(name, edge, WHOLE)
            if whole is None and whole_before * (edge / edge_before) ** 2 <= options.whole_limit:
                whole = kept.measured(name, edge, WHOLE, None)
            if whole is not None:
                edge_before, whole_before = edge, whole
                curves.setdefault(f"{HIDDEN}{name}, whole", []).append((edge**2 / 1e6, whole))
            in_one_tile = "not tried" if whole is None else f"{whole:.2f}"
            cells.append(f"{tiled:.2f}, {in_one_tile}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if options.plot:
        dashed = [name for name in curves if name.startswith(HIDDEN)]
        label = "peak memory, GB (dashed: in one tile)"
        plot_against_megapixels(curves, label, options.plot, dashed)


class KeptFigures:
    """Figures in a JSON file, written after each run; in memory only where no file is named."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.figures: dict[str, float] = {}
        if path is not None and path.exists():
            self.figures = json.loads(path.read_text(encoding="utf-8"))

    def find(self, name: str, edge: int, tile_size: int) -> float | None:
        """A kept figure, of any number of tiles."""
        prefix = f"{name} {edge} {tile_size} "
        return next((each for key, each in self.figures.items() if key.startswith(prefix)), None)

    def measured(self, name: str, edge: int, tile_size: int, tiles: int | None) -> float:
        found = self.find(name, edge, tile_size)
        if found is not None:
            return found
        key = f"{name} {edge} {tile_size} {tiles}"
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            self.figures[key] = pool.apply(peak_of, (name, edge, tile_size, tiles))
        if self.path is not None:
            self.path.write_text(json.dumps(self.figures, indent=1), encoding="utf-8")
        return self.figures[key]


def peak_of(name: str, edge: int, tile_size: int, tiles: int | None) -> float:
    """Gigabytes of one run."""
    network = find_backbone(name)
    backbone = build_backbone(network, network().state_dict(), origin="random")
    styles = backbone.network.style_names[:1] or [TensorSource(noise(256))]
    settings = Settings(tile_size=tile_size, thumbnail_size=512, strokes="fine", device="cpu")
    before = held_bytes(CPU)
    canvas = TensorCanvas((edge, edge))
    canvas.pixels.fill_(0)  # pages that are never written are not resident

    def listen(progress: Progress) -> None:
        if progress.stage == TILES_STAGE and tiles and progress.tiles_done >= tiles:
            raise EnoughTilesError

    with suppress(EnoughTilesError):
        stylize(TensorSource(noise(edge)), styles, canvas, backbone, settings, listener=listen)
    return (held_bytes(CPU) - before) / 1e9


def noise(edge: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, edge, edge), dtype=torch.uint8)


if __name__ == "__main__":
    main()
