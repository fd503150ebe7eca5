"""What checksums of a file run cost beside stylizing: CPU time of one thread, at one gigapixel.

    python benchmarks/checksums.py [--edge PX]

A run hashes its content file once (SHA-256) and each finished core once (CRC-32), and a resumed run
does so again. Bytes are hashed as the run hashes them, a tile is stylized as the run stylizes it,
and both are extrapolated to 32,768 x 32,768 px, 8-bit RGB, with an uncompressed TIFF as content.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.durable import file_hash
from urst_core.weights.loading import load_backbone

PIXELS = 32_768**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=1024, help="of the tile that is stylized")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    core = torch.randint(0, 256, (3, 2048, 2048), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "content")
        path.write_bytes(core.numpy().tobytes())
        per_byte = seconds(lambda: file_hash(path)) / core.numel()
    of_file = per_byte * 3 * PIXELS
    of_cores = seconds(lambda: zlib.crc32(core.numpy().data)) / core.numel() * 3 * PIXELS
    backbone, small = load_backbone(), torch.rand(1, 3, 256, 256)
    stats = backbone.collect(small, backbone.encode_style([small]))
    network = backbone.bake(stats).prepared(torch.device("cpu"))
    window = torch.rand(1, 3, options.edge, options.edge)
    with torch.inference_mode():
        of_tiles = seconds(lambda: network(window, at_border=False)) / options.edge**2 * PIXELS
    print(f"content file {of_file:.1f} s, cores {of_cores:.1f} s, tiles {of_tiles:.0f} s: ", end="")
    print(f"{(of_file + of_cores) / of_tiles:.2%}")


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """The least CPU time of some rounds."""
    times: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    main()
