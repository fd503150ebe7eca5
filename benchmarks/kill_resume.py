"""Kills runs at random moments, resumes them, and compares the results, byte for byte.

    python benchmarks/kill_resume.py [--size HxW] [--tile-size PX] [--kills N] [--stats KIND]
        [--output NAME] [--seed N]

Each round begins a run, ends it with SIGKILL after a random share of the time that a whole run
takes, and lets `urst stylize --resume` finish it. The first line is the run that nobody killed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import write_picture
from urst_core.pictures.source import TensorSource
from urst_core.runs.work_folder import WorkFolder

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    options = parse_options()
    height, width = (int(side) for side in options.size.split("x"))
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="urst-kill-") as name:
        folder = Path(name)
        for path, source in (
            ("content.png", DemoLandscape((height, width))),
            ("style.png", TensorSource(demo_painting((256, 256)))),
        ):
            write_picture(source, folder / path)
        command = [
            *(sys.executable, "-m", "urst_core", "stylize", "content.png", "style.png"),
            *("--tile-size", str(options.tile_size), "--stats", options.stats),
            *("--thumbnail-size", "256", "--device", "cpu", "--quiet"),
        ]
        started = time.monotonic()
        finish(command, folder, f"whole-{options.output}")
        whole_seconds = time.monotonic() - started
        expected = digest(folder / f"whole-{options.output}")
        print(f"{height} x {width} px, {options.output}, {options.stats} statistics")
        print(f"not killed: {whole_seconds:.1f} s, SHA-256 {expected[:12]}")
        print("round   killed after   left behind                          identical")
        failures = 0
        for number in range(1, options.kills + 1):
            (folder / options.output).unlink(missing_ok=True)
            after = chance.uniform(0, 1) * whole_seconds
            left = kill(command, folder, options.output, after)
            finish([*command, "--resume", "--overwrite"], folder, options.output)
            same = digest(folder / options.output) == expected
            failures += not same
            print(
                f"{number:5d}   {after:10.2f} s   {left:35s}  {'yes' if same else 'NO'}", flush=True
            )
        leftovers = [path for path in os.listdir(folder) if path.endswith(".urst")]
        print(
            f"{options.kills - failures} of {options.kills} identical, {len(leftovers)} left over"
        )
    return 1 if failures or leftovers else 0


def kill(command: list[str], folder: Path, output: str, after: float) -> str:
    """Start a run and kill it; returns what it left."""
    process = subprocess.Popen([*command, "-o", output], cwd=folder, env=environment())
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()
    work = WorkFolder(folder / output)
    if not work.path.exists():
        return "the result" if (folder / output).exists() else "nothing"
    return str(work.interruption() or "a work folder, nothing finished")


def finish(command: list[str], folder: Path, output: str) -> None:
    subprocess.run([*command, "-o", output], cwd=folder, env=environment(), check=True)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="300x400")
    parser.add_argument("--tile-size", type=int, default=32)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stats", default="thumbnail", choices=["thumbnail", "exact"])
    parser.add_argument("--output", default="out.png")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
