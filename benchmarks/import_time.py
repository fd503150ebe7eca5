"""Time that the pack's import adds to ComfyUI's start.

    python benchmarks/import_time.py [--runs 7] [--slowest 15]

Each run is a process of its own, with torch, NumPy and Pillow imported before, and the stand-ins
for ComfyUI of the tests. Counted is CPU time, to the list of nodes and then for all their schemas;
the first run may have to compile, and is left out. The modules that took longest, themselves, come
from one more run with -X importtime.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

RUN = f"""
import asyncio, importlib.util, json, sys, time
import numpy, PIL.Image, psutil, safetensors.torch, torch
sys.path.insert(0, {str(ROOT / "tests" / "nodes")!r})
import conftest
sys.modules.update(conftest.stub_modules())
spec = importlib.util.spec_from_file_location(
    "pack", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
times = [time.process_time()]
spec.loader.exec_module(pack)
nodes = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
times.append(time.process_time())
for node in nodes:
    node.define_schema()
times.append(time.process_time())
print(json.dumps([1000 * (end - start) for start, end in zip(times, times[1:])]))
"""


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", RUN]
    return subprocess.run(command, check=True, capture_output=True, text=True)


def slowest_modules(count: int) -> list[tuple[float, str]]:
    """Milliseconds, without nested imports, and names of the pack's slowest modules."""
    found = []
    for line in run("-X", "importtime").stderr.splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        if name.strip().startswith("pack."):
            found.append((int(own) / 1000, name.strip()))
    return sorted(found, reverse=True)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--slowest", type=int, default=0, help="how many modules to list")
    options = parser.parse_args()
    run()
    measured = [json.loads(run().stdout) for _ in range(options.runs)]
    for name, times in zip(("import and list of nodes", "schemas of all nodes"), zip(*measured)):
        print(f"{name}: median {statistics.median(times):.1f} ms, least {min(times):.1f} ms")
    for milliseconds, name in slowest_modules(options.slowest) if options.slowest else ():
        print(f"{milliseconds:8.1f} ms  {name}")


if __name__ == "__main__":
    main()
