"""How much of what the built-in network makes of a painting other networks have learned from it.

    python benchmarks/like_the_teacher.py BACKBONE=FILE ... --content DIR --style DIR
        [--edge 128] [--contents 6] [--styles 24]

Crops of photographs, each in crops of paintings, as the built-in network paints them, against each
network's results. Columns, 0 for equal pictures:

pixels  mean squared difference from the built-in network's paintings, relative to that of the mean
        painting over all styles. A network that ignores styles has 1 or more.
colors  the same of the pictures' mean colors.
detail  energy of detail finer than 5 px, relative to the built-in network's; 1 is as crisp.

For pictures that nobody has learned from, name folders of held-out ones.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.networks.network import StylizationNetwork
from urst_core.networks.sites import collect
from urst_core.training.losses import GRID_PERIODS, finer_than
from urst_core.training.pictures import PictureFolder
from urst_core.training.teacher import Teacher
from urst_core.weights.loading import load_backbone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="+", metavar="BACKBONE=FILE")
    parser.add_argument("--content", type=Path, nargs="+", required=True)
    parser.add_argument("--style", type=Path, nargs="+", required=True)
    parser.add_argument("--edge", type=int, default=128)
    parser.add_argument("--contents", type=int, default=6)
    parser.add_argument("--styles", type=int, default=24)
    options = parser.parse_args()
    contents = crops(options.content, options.contents, options.edge)
    styles = crops(options.style, options.styles, options.edge)
    teacher = Teacher()
    painted = torch.stack(
        [teacher.paint(contents, style.expand_as(contents)) for style in styles.split(1)]
    )
    print("| network | pixels | colors | detail |\n|---|---|---|---|")
    for entry in options.weights:
        name, _, file = entry.partition("=")
        network = load_backbone(name, Path(file)).network
        shown = torch.stack([results(network, contents, style) for style in styles.split(1)])
        print(row(Path(file).stem, shown, painted), flush=True)


def crops(folders: list[Path], count: int, edge: int) -> Tensor:
    folder = PictureFolder.open(folders, edge, report=print)
    return folder.crops(count, edge, random.Random(0))


@torch.inference_mode()
def results(network: StylizationNetwork, contents: Tensor, style: Tensor) -> Tensor:
    """(N, 3, H, W), each with its own statistics."""
    code = network.style_code(style)
    painted = [collect(network.stages(content, code))[1] for content in contents.split(1)]
    return torch.cat(painted).clamp(0.0, 1.0)


def row(title: str, shown: Tensor, painted: Tensor) -> str:
    """One line of the table; pictures are (styles, contents, 3, H, W)."""
    pixels = relative(shown, painted)
    colors = relative(shown.mean((-2, -1)), painted.mean((-2, -1)))
    energies = [
        finer_than(p.flatten(0, 1), GRID_PERIODS[0] + 1).square().mean() for p in (shown, painted)
    ]
    return f"| {title} | {pixels:.3f} | {colors:.3f} | {float(energies[0] / energies[1]):.2f} |"


def relative(shown: Tensor, painted: Tensor) -> float:
    """Mean squared difference over that of the mean over styles."""
    mean = painted.mean(0, keepdim=True)
    return float((shown - painted).square().mean() / (mean - painted).square().mean())


if __name__ == "__main__":
    main()
