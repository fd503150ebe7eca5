"""Forecasts of `urst plan` beside actual runs: memory, disk, temporary space and time.

    python benchmarks/plan_against_run.py [--megapixels 4 25 100] [--inputs jpg png tif]
        [--strokes fine preview] [--output tif] [--folder DIR] [-- options of urst stylize]

One process at a time, on the demo landscape. Memory is the most that the run's process had
resident; disk is the most that the folder of the result had in it; temporary space is the most
that its open files had in the folder for temporary files, both looked at ten times a second; time
is the run's wall time. Each figure: said, taken, said / taken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from formats_memory import make_inputs
from peak_memory import ROOT, measured

INPUTS = {"jpg": "baseline.jpg", "png": "plain.png", "tif": "tiles.tif", "strips": "strips.tif"}
PERIOD = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megapixels", type=int, nargs="+", default=[4, 25, 100])
    parser.add_argument("--inputs", nargs="+", default=["jpg", "png", "tif"], choices=INPUTS)
    parser.add_argument("--strokes", nargs="+", default=["fine", "preview"])
    parser.add_argument("--output", default="tif", help="ending of the result")
    parser.add_argument("--folder", type=Path, help="for pictures and results")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("options", nargs="*", help="of urst stylize, behind --")
    options = parser.parse_args()
    if options.make is not None:
        make_inputs(options.make, options.megapixels[0])
        return
    print("MP   in   strokes     memory GB             disk MB           temporary MB    seconds")
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            measured(__file__, "--make", folder, "--megapixels", megapixels)
            for kind in options.inputs:
                for strokes in options.strokes:
                    (folder / "results").mkdir()
                    row = compare(folder, INPUTS[kind], strokes, options)
                    print(f"{megapixels:<4d} {kind:4s} {strokes:8s}", *row, sep="  ", flush=True)
                    for path in (folder / "results").iterdir():
                        path.unlink()
                    (folder / "results").rmdir()


def compare(folder: Path, file: str, strokes: str, options: argparse.Namespace) -> Iterable[str]:
    """The cells of one row."""
    results = folder / "results"
    arguments = [folder / file, folder / "style.jpg", "-o", results / f"o.{options.output}"]
    arguments += ["--strokes", strokes, *options.options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "urst_core", "plan", *map(str, arguments), "--json"]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    plan = json.loads(process.stdout)
    with Watch(results) as watch:
        run = measured("-m", "urst_core", "stylize", *arguments, "--quiet")
    assert run.peak_bytes is not None
    pairs = {
        1e9: (plan["program_bytes"] + plan["needed_bytes"], run.peak_bytes),
        1e6: (plan["work_bytes"] + plan["likely_result_bytes"], watch.folder_bytes),
        1e6 + 1: (plan["temporary_bytes"], watch.temporary_bytes),
        1: (sum(plan["seconds"].values()), run.seconds),
    }
    for unit, (said, taken) in pairs.items():
        ratio = f"{said / taken:4.2f}" if taken else "   -" if not said else " inf"
        digits = 2 if unit == 1e9 else 0 if unit > 1 else 1
        yield f"{said / unit:7.{digits}f} {taken / unit:7.{digits}f} {ratio}"


class Watch:
    """Looks at a folder, and at the temporary files of this process's children, now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder_bytes = self.temporary_bytes = 0
        self._folder, self._over = folder, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            stored = sum(map(blocks, self._folder.rglob("*")))
            self.folder_bytes = max(self.folder_bytes, stored)
            self.temporary_bytes = max(self.temporary_bytes, temporary_bytes(self._folder.parent))
            time.sleep(PERIOD)


def blocks(path: Path) -> int:
    """Bytes that a file takes on its disk; 0 where it is gone."""
    with suppress(OSError):
        return path.stat().st_blocks * 512
    return 0


def temporary_bytes(own: Path) -> int:
    """Of the temporary files that children have open, deleted or not, besides those in ``own``."""
    found: dict[tuple[int, int], int] = {}
    me, folder = str(os.getpid()), tempfile.gettempdir() + "/"
    for process in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            if process.name.isdigit() and parent(process) == me:
                for descriptor in (process / "fd").iterdir():
                    name = os.readlink(descriptor)
                    if name.startswith(folder) and not name.startswith(f"{own}/"):
                        kept = descriptor.stat()
                        found[kept.st_dev, kept.st_ino] = kept.st_blocks * 512
    return sum(found.values())


def parent(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[1]


if __name__ == "__main__":
    main()
