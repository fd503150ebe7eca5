"""Memory of a tile pass: the source of ``Traits.bytes_per_pixel``.

    python benchmarks/memory.py [--backbones NAME ...] [--edge PX] [--device cpu|cuda]

On a CPU each measurement runs in a process of its own, and the peak of its resident memory above
what it held before the pass counts; on CUDA the allocator's peak does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.weights.checkpoint import build_backbone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=list(REGISTRY), choices=list(REGISTRY))
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print("backbone    inner   border   unbaked   (bytes per window pixel, float32)   declared")
    processes = multiprocessing.get_context("spawn")
    for name in options.backbones:
        declared = find_backbone(name).traits.bytes_per_pixel
        figures = []
        for way in ("inner", "border", "unbaked"):
            with processes.Pool(1) as pool:
                arguments = (name, way, options.edge, options.device)
                figures.append(pool.apply(peak_bytes, arguments) / options.edge**2)
        print(
            f"{name:9s} {figures[0]:7.0f}  {figures[1]:7.0f}   {figures[2]:7.0f}   {declared:42d}"
        )


def peak_bytes(name: str, way: str, edge: int, device_name: str) -> int:
    device = torch.device(device_name)
    network = find_backbone(name)
    backbone = build_backbone(network, network().state_dict(), origin="random").on(device)
    small = torch.rand(1, 3, 64, 64, device=device)
    styles = backbone.network.style_names[:1] or [small]
    stats = backbone.collect(small, backbone.encode_style(styles))
    baked = backbone.bake(stats).prepared(device)
    window = torch.rand(1, 3, edge, edge, device=device)
    with torch.inference_mode():
        baked(small)
        before = held_bytes(device)
        if way == "unbaked":
            backbone.collect(window, stats.code)
        else:
            baked(window, at_border=way == "border")
        return held_bytes(device) - before


def held_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
