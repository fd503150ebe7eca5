"""How close the tile loop comes to the machine's limits.

    python benchmarks/roofline.py [--backbone NAME ...] [--edge PX] [--device cpu|cuda]
        [--precision NAME] [--clock wall|cpu]

Operations are those of the folded network's convolutions, a multiplication and an addition each.
``least`` bytes are those of a network that keeps everything between reading a pixel and writing it
in caches; ``layered`` bytes those of one that writes each layer's result to memory and reads it
again. The ceilings are measured beside it: a product of two matrices, a convolution of 256 by 256
channels, a copy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speed import backbone_of
from timing import CLOCKS, best_of

from urst_core.backbones import DEFAULT_BACKBONE
from urst_core.demo import demo_painting
from urst_core.networks.layers.convolutions import (
    BilinearUpsampledConvolution,
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.source import TensorSource
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.tiling.device import PRECISIONS

CONVOLUTIONS = (
    TileConvolution,
    OutputConvolution,
    NearestUpsampledConvolution,
    BilinearUpsampledConvolution,
)
ROUNDS = 3
LEAST_BYTES_PER_PIXEL = 6
"""Three 8-bit channels read, and as many written."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", nargs="+", default=[DEFAULT_BACKBONE])
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    best = ceilings(options)
    print(
        f"matrix product {best['product'] / 1e9:.0f} GFLOP/s, convolution "
        f"{best['convolution'] / 1e9:.0f} GFLOP/s, copy {best['copy'] / 1e9:.1f} GB/s"
    )
    print("backbone        kFLOP/px   layered B/px   MP/s   GFLOP/s   of convolution")
    for name in options.backbone:
        print_row(name, best["convolution"], options)


def print_row(name: str, ceiling: float, options: argparse.Namespace) -> None:
    network = tile_network(name)
    window = torch.rand(1, 3, options.edge, options.edge)
    pixels = options.edge**2
    small = window[..., :256, :256]
    operations = operations_of(network, small) / small[0, 0].numel()
    moved = layered_bytes(network, small) / small[0, 0].numel()
    prepared = network.prepared(options.device, PRECISIONS[options.precision])
    window = window.to(options.device)
    with torch.inference_mode():
        seconds = best_of(lambda: prepared(window, at_border=False), ROUNDS, options.clock)
    speed = operations * pixels / seconds
    print(
        f"{name:17s} {operations / 1e3:6.1f}   {moved:12.0f}   {pixels / seconds / 1e6:4.2f}"
        f"   {speed / 1e9:7.0f}   {speed / ceiling:14.0%}",
        flush=True,
    )


def tile_network(name: str) -> TileNetwork:
    backbone = backbone_of(name, None)
    painting = make_thumbnail(TensorSource(demo_painting((256, 256))), 0)
    styles = backbone.network.style_names[:1] or [painting]
    return backbone.bake(backbone.collect(painting, backbone.encode_style(styles)))


def operations_of(network: TileNetwork, window: Tensor) -> float:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.folded(window, at_border=False)
    return float(counter.get_total_flops())


def layered_bytes(network: TileNetwork, window: Tensor) -> float:
    """Of features, in float32, read and written by each convolution."""
    moved: list[int] = []

    def count(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        moved.append(4 * (inputs[0].numel() + output.numel()))

    inside = {
        m
        for layer in network.modules()
        if isinstance(layer, CONVOLUTIONS[1:])
        for m in layer.children()
    }
    handles = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, CONVOLUTIONS) and layer not in inside
    ]
    with torch.inference_mode():
        network.folded(window, at_border=False)
    for handle in handles:
        handle.remove()
    return float(sum(moved)) + LEAST_BYTES_PER_PIXEL


def ceilings(options: argparse.Namespace) -> dict[str, float]:
    """Operations and bytes a second."""
    made: dict[str, Any] = {"device": options.device, "dtype": PRECISIONS[options.precision]}
    matrix = torch.rand(2048, 2048, **made)
    features = torch.rand(1, 256, 66, 162, **made).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(256, 256, 3, 3, **made).contiguous(memory_format=torch.channels_last)
    source, target = torch.rand(2, 2**25, device=options.device)
    # Operations or bytes, and what takes that many.
    works: dict[str, tuple[int, Callable[[], object]]] = {
        "product": (2 * 2048**3, lambda: matrix @ matrix),
        "convolution": (2 * 9 * 256 * 256 * 64 * 160, lambda: F.conv2d(features, kernel)),
        "copy": (2 * source.nbytes, lambda: target.copy_(source)),
    }
    with torch.inference_mode():
        return {
            name: amount / best_of(work, ROUNDS, options.clock)
            for name, (amount, work) in works.items()
        }


if __name__ == "__main__":
    main()
