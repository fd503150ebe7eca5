"""Sizes of all networks: parameters, file, and operations per pixel.

    python benchmarks/networks.py [--backbones NAME ...]

Prints the table of docs/backbones.md. Operations are counted by PyTorch for a tile inside the
picture: 2 for each multiplication with its addition, in the network with folded statistics. Weights
are random; networks whose size depends on their weights have their published size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.backbones.metanet import WIDTHS, MetaNet
from urst_core.backbones.microast import MicroAST
from urst_core.networks.model import Backbone
from urst_core.networks.network import StylizationNetwork

WINDOW = 512
"""Edge of the tile, in px; without computing, so its size costs no time."""

HEADER = """\
| network | parameters | file, MB | for tiles: parameters | kFLOP/px | halo, px | normalizations |
|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=list(REGISTRY), choices=list(REGISTRY))
    options = parser.parse_args()
    print(HEADER)
    for name in options.backbones:
        for title, network in sizes_of(name):
            print(row(title, Backbone(network.eval().requires_grad_(False), "")), flush=True)


def sizes_of(name: str) -> Iterator[tuple[str, StylizationNetwork]]:
    """A network in its published size, or in its three sizes; MicroAST with its variants."""
    network_class = find_backbone(name)
    if network_class is MetaNet:
        for width in WIDTHS:
            yield f"{name}, width {width}", MetaNet(width)
        return
    yield name, network_class()
    if network_class is MicroAST:
        yield f"{name}, blurred", MicroAST(blurred=True)
        yield f"{name}, extended (built in)", MicroAST(extended=True)


@torch.inference_mode()
def row(title: str, backbone: Backbone) -> str:
    picture = torch.rand(1, 3, 64, 64)
    code = backbone.encode_style(backbone.network.style_names[:1] or [picture])
    tiles = backbone.bake(backbone.collect(picture, code))
    operations = operations_of(tiles.prepared(torch.device("meta")))
    values, tile_values = count(backbone.network), count(tiles)
    return (
        f"| {title} | {values:,} | {4 * values / 1e6:.1f} | {tile_values:,} | "
        f"{operations / WINDOW**2 / 1000:.1f} | {backbone.traits.halo} | "
        f"{len(backbone.network.site_names)} |"
    )


def operations_of(network: nn.Module) -> int:
    """Floating-point operations for a tile of :data:`WINDOW` px, without computing any."""
    window = torch.empty(1, 3, WINDOW, WINDOW, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(window, at_border=False)
    return counter.get_total_flops()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


if __name__ == "__main__":
    main()
