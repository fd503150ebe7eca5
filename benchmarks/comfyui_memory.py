"""Memory of a ComfyUI server that stylizes picture after picture.

    python benchmarks/comfyui_memory.py --comfyui path/to/ComfyUI --python path/to/its/python

Starts a server over a folder of its own, and queues the graph of the five nodes with a new picture
each time. Prints what is resident after each run, and how much that grew from the fifth on. After
the fifth and the last the C library of Linux is asked to hand free memory back to the system: what
is resident then is held by somebody; ``--trim-each`` asks after every run. ``--control`` runs a
graph of ComfyUI's own nodes, to compare.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PACK = ("__init__.py", "weights_manifest.json", "nodes", "urst_core")
START_SECONDS, RUN_SECONDS = 180, 900
WARM_RUNS = 5
"""Growth is counted from here, when allocators and caches are warm."""

LAST_RUNS = 5
"""Memory that disappears between these runs was free memory of the C library."""

TRIM_NODE = """
import ctypes, ctypes.util

class Trim:
    RETURN_TYPES, OUTPUT_NODE, FUNCTION, CATEGORY = (), True, "trim", "testing"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"run": ("INT", {"default": 0})}}

    def trim(self, run):
        trim = getattr(ctypes.CDLL(ctypes.util.find_library("c")), "malloc_trim", None)
        return {"ui": {"trimmed": [trim is not None and trim(0)]}}

NODE_CLASS_MAPPINGS = {"Trim": Trim}
"""

Graph = dict[str, dict[str, Any]]


class Server:
    """A running ComfyUI; ends with the block."""

    def __init__(self, checkout: Path, python: str, base: Path, arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._log = base / "server.log"
        command = [python, "main.py", *("--listen", "127.0.0.1", "--port", str(port))]
        command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
        command += ["--disable-api-nodes", "--disable-auto-launch", *shlex.split(arguments)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=checkout, stdout=log, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> Server:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if self._answers():
                return self
            time.sleep(0.2)
        self.__exit__()
        raise SystemExit(f"ComfyUI did not start:\n{self._log.read_text()[-3000:]}")

    def _answers(self) -> bool:
        try:
            self._ask("/queue")
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def resident_bytes(self) -> int:
        """The least within a second: answers and the log are still under way when a run ends."""
        server, sizes = psutil.Process(self._process.pid), []
        for _ in range(5):
            time.sleep(0.2)
            sizes.append(server.memory_info().rss)
        return min(sizes)

    def run(self, graph: Graph) -> None:
        """Queue a graph and wait for its end."""
        prompt = self._ask("/prompt", {"prompt": graph})["prompt_id"]
        end = time.monotonic() + RUN_SECONDS
        while not (history := self._ask(f"/history/{prompt}")):
            if time.monotonic() > end or self._process.poll() is not None:
                raise SystemExit(f"no end of the run:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)
        status = history[prompt]["status"]
        if status["status_str"] != "success":
            raise SystemExit(json.dumps(status["messages"], indent=1)[-3000:])

    def _ask(self, path: str, content: Any = None) -> Any:
        request = urllib.request.Request(self._url + path)
        if content is not None:
            request.data = json.dumps(content).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def five_nodes(content: str) -> Graph:
    look = {"thumbnail_size": 1024, "style_size": 512, "strength": 1.0, "statistics": "thumbnail"}
    backbone = {"backbone": "microast", "weights": "built-in"}
    return {
        "content": node("LoadImage", image=content),
        "style": node("LoadImage", image="style.png"),
        "load": node("URSTLoadBackbone", **backbone, precision="auto", device="auto"),
        "stats": node(
            "URSTMakeThumbnailStats",
            backbone=["load", 0],
            content=["content", 0],
            style=["style", 0],
            **look,
        ),
        "tile": node("URSTTileImage", image=["content", 0], backbone=["load", 0], tile_size=512),
        "stylize": node(
            "URSTStylizePatches", backbone=["load", 0], stats=["stats", 0], tiles=["tile", 0]
        ),
        "join": node("URSTAssembleTiles", tiles=["stylize", 0], layout=["tile", 1], feather=0),
        "save": node("SaveImage", images=["join", 0], filename_prefix="result"),
    }


def core_only(content: str) -> Graph:
    """About as much data, and nothing of ours."""
    return {
        "content": node("LoadImage", image=content),
        "blur": node("ImageBlur", image=["content", 0], blur_radius=8, sigma=4.0),
        "sharpen": node("ImageSharpen", image=["blur", 0], sharpen_radius=4, sigma=2.0, alpha=1.0),
        "save": node("SaveImage", images=["sharpen", 0], filename_prefix="result"),
    }


def random_picture(edge: int, seed: int) -> Image.Image:
    """Smooth random colors with some grain, instead of a photograph."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((edge, edge), Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray((smooth + random.normal(0, 8, smooth.shape)).clip(0, 255).astype("u1"))


def fill(base: Path) -> None:
    """A user's ComfyUI folder with the pack in it."""
    pack = base / "custom_nodes" / "urst"
    pack.mkdir(parents=True)
    for name in PACK:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, pack / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, pack)
    (base / "custom_nodes" / "trim.py").write_text(TRIM_NODE, encoding="utf-8")
    (base / "input").mkdir()
    random_picture(512, 0).save(base / "input" / "style.png")


def measure(options: argparse.Namespace, base: Path) -> tuple[list[int], dict[int, int]]:
    """What is resident after each run, and after some without free memory, in bytes."""
    fill(base)
    graph_of = core_only if options.control else five_nodes
    resident: list[int] = []
    held: dict[int, int] = {}
    with Server(options.comfyui, options.python, base, options.arguments) as server:
        print(f"{'run':>4} {'seconds':>8} {'resident MB':>12}")
        print(f"{0:>4} {'':>8} {server.resident_bytes() / 1e6:>12.1f}", flush=True)
        for run in range(1, options.runs + 1):
            name = f"content{run}.png"
            random_picture(options.size, run).save(base / "input" / name)
            start = time.perf_counter()
            server.run(graph_of(name))
            seconds = time.perf_counter() - start
            resident.append(server.resident_bytes())
            print(f"{run:>4} {seconds:>8.1f} {resident[-1] / 1e6:>12.1f}", flush=True)
            if options.trim_each or run in (WARM_RUNS, options.runs):
                server.run({"trim": node("Trim", run=run)})
                held[run] = server.resident_bytes()
                print(f"{'':>4} {'trimmed':>8} {held[run] / 1e6:>12.1f}", flush=True)
    return resident, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--comfyui", type=Path, required=True, help="its checkout")
    parser.add_argument("--python", required=True, help="the Python that runs it")
    parser.add_argument("--arguments", default="--cpu", help="for its main.py, default %(default)s")
    parser.add_argument("--runs", type=int, default=20, help=f"{WARM_RUNS + LAST_RUNS} or more")
    parser.add_argument("--size", type=int, default=1024, help="edge of the pictures, in px")
    parser.add_argument("--control", action="store_true", help="a graph of ComfyUI's own nodes")
    parser.add_argument("--trim-each", action="store_true", help="free memory back each time")
    options = parser.parse_args()
    if options.runs < WARM_RUNS + LAST_RUNS:
        parser.error(f"--runs {options.runs} show no growth; use {WARM_RUNS + LAST_RUNS} or more")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        resident, held = measure(options, Path(folder))
    warm, lasting = resident[WARM_RUNS - 1], min(resident[-LAST_RUNS:])
    print(f"growth from run {WARM_RUNS} to run {options.runs}: {resident[-1] / warm - 1:.2%}")
    print(f"to the least of the last {LAST_RUNS} runs: {lasting / warm - 1:.2%}")
    print(f"without free memory: {held[options.runs] / held[WARM_RUNS] - 1:.2%}")


if __name__ == "__main__":
    main()
