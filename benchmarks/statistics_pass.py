"""Seconds before the first tile: thumbnail, style code and statistics, plain and in bands.

    python benchmarks/statistics_pass.py [--backbone NAME ...] [--pixels PX] [--edge PX]
        [--rounds N]

Plain is the pass of the published network, which stops at the last site, too. The last two measure
another strength, without and with what a run of strength 0.5 has remembered. Rounds alternate.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pictures import DEMO, content_of
from speed import backbone_of
from timing import CLOCKS, best_seconds

from urst_core.networks.model import Backbone
from urst_core.networks.network import StylizationNetwork
from urst_core.networks.remembering import RememberingBackbone
from urst_core.networks.sites import measure_sites
from urst_core.networks.style import StyleCode
from urst_core.pictures.source import TensorSource
from urst_core.pictures.thumbnail import make_thumbnail


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", nargs="+", default=["microast"])
    parser.add_argument("--pixels", type=int, default=2500, help="longest side of the picture")
    parser.add_argument("--edge", type=int, default=1024, help="edge of thumbnail and style")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    content = TensorSource(content_of(DEMO, options.pixels))
    square = torch.rand(1, 3, options.edge, options.edge)
    for name in options.backbone:
        ways = steps(backbone_of(name, None), content, square)
        for clock in CLOCKS:
            best = best_seconds(ways, options.rounds, clock)
            print(name, clock, ", ".join(f"{way} {s:.2f} s" for way, s in best.items()), flush=True)


def steps(
    backbone: Backbone, content: TensorSource, square: Tensor
) -> dict[str, Callable[[], object]]:
    code = backbone.encode_style([square])
    remembering = RememberingBackbone(backbone.network, backbone.fingerprint)
    remembering.collect(square, code, strength=0.5)

    def thumbnail() -> object:
        return make_thumbnail(content, square.shape[3])

    return {
        "thumbnail": thumbnail,
        "style, plain": lambda: encoded(backbone.network, square),
        "style, in bands": lambda: encoded(backbone.network.for_measuring(), square),
        "statistics, plain": lambda: measured(backbone.network, square, code),
        "statistics, in bands": lambda: measured(backbone.network.for_measuring(), square, code),
        "of strength 0.7": lambda: backbone.collect(square, code, strength=0.7),
        "of strength 0.7, after 0.5": lambda: remembering.collect(square, code, strength=0.7),
    }


@torch.inference_mode()
def encoded(network: StylizationNetwork, picture: Tensor) -> StyleCode:
    return network.style_code(picture)


@torch.inference_mode()
def measured(network: StylizationNetwork, picture: Tensor, code: StyleCode) -> object:
    return measure_sites(network.stages(picture, code), network.site_names)


if __name__ == "__main__":
    main()
