"""Time that is saved by not computing what is left of the halo where no result needs it.

    python benchmarks/spent_halo.py [--backbones NAME ...] [--edges PX ...] [--margin PX]
        [--rounds N] [--dtype float32|bfloat16]

Each network, with random weights, computes a window of a core of each edge with its halo, once all
of it and once the core with its margin only, in alternating rounds on one thread. Printed are the
least processor times and whether the cores are equal bit for bit.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.geometry import Rectangle
from urst_core.networks.model import Backbone
from urst_core.networks.tile_network import TileNetwork
from urst_core.weights.checkpoint import build_backbone


def main() -> None:
    options = parse_options()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    for name in options.backbones:
        network_class = find_backbone(name)
        backbone = build_backbone(network_class, network_class().state_dict(), origin="random")
        network, halo = tile_network(backbone, dtype), backbone.traits.halo
        for edge in options.edges:
            length = edge + 2 * (options.margin + halo)
            window = torch.rand(1, 3, length, length)
            needed = Rectangle(halo, halo, length - halo, length - halo)
            every, fewer, is_equal = compared(network, window, needed, options.rounds)
            print(
                f"{name:16s} core {edge:5d} px, halo {halo:3d}: {every:6.2f} s, {fewer:6.2f} s, "
                f"{fewer / every:.3f}, {'equal' if is_equal else 'NOT EQUAL'}",
                flush=True,
            )


def tile_network(backbone: Backbone, dtype: torch.dtype) -> TileNetwork:
    """The network of one style, for tiles on a CPU."""
    content = torch.rand(1, 3, 64, 96)
    styles = backbone.network.style_names[:1] or [torch.rand(1, 3, 64, 72)]
    with torch.inference_mode():
        code = backbone.encode_style(styles)
        return backbone.bake(backbone.collect(content, code)).prepared(torch.device("cpu"), dtype)


def compared(
    network: TileNetwork, window: Tensor, needed: Rectangle, rounds: int
) -> tuple[float, float, bool]:
    """Least seconds for all of the window and for what is needed; whether that is equal."""
    seconds: dict[Rectangle | None, list[float]] = {None: [], needed: []}
    inner: dict[Rectangle | None, Tensor] = {}
    with torch.inference_mode():
        for _ in range(rounds):
            for part, times in seconds.items():
                began = time.thread_time()
                result = network(window, at_border=False, needed=part)
                times.append(time.thread_time() - began)
                inner[part] = result[(..., *needed.slices)]
    return min(seconds[None]), min(seconds[needed]), torch.equal(inner[None], inner[needed])


def parse_options() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=list(REGISTRY), choices=list(REGISTRY))
    parser.add_argument("--edges", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--margin", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
