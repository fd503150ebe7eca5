"""A folder of pictures in several styles, killed twice and resumed, against a loop of commands.

    python benchmarks/folders.py [--pictures N] [--size HxW] [--styles N] [--broken N] [--kills N]

Each result of the job is compared with that of a single command, byte for byte. Times are wall time
and processor time; the times of the job include the kills.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import write_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource
from urst_core.runs.result_list import LIST_NAME

ROOT = Path(__file__).resolve().parents[1]
URST = [sys.executable, "-m", "urst_core", "stylize"]
OPTIONS = ["--device", "cpu", "--quiet"]


def main() -> int:
    options = parse_options()
    height, width = (int(side) for side in options.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="urst-folders-") as name:
        folder = Path(name)
        make_pictures(folder, options.pictures, (height, width), options.styles)
        for number in range(options.broken):
            (folder / "photos" / f"broken{number}.jpg").write_bytes(b"no picture")
        count = options.pictures * options.styles
        print(f"{options.pictures} pictures of {width} x {height} px, {options.styles} styles")
        job_seconds = timed(lambda: killed_job(folder, count, options.kills))
        loop_seconds = timed(lambda: single_commands(folder))
        for label, (wall, cpu) in (("one job", job_seconds), ("commands", loop_seconds)):
            print(f"{label}: {wall / count:.2f} s a result, {cpu / count:.2f} s of processor time")
        results = {path.name: path.read_bytes() for path in (folder / "job").iterdir()}
        results.pop(LIST_NAME)
        singles = {path.name: path.read_bytes() for path in (folder / "single").iterdir()}
        same = sum(results.get(name) == content for name, content in singles.items())
        print(f"{len(results)} results, {same} of {count} identical to single commands'")
        return int(len(results) != count or same != count)


def make_pictures(folder: Path, count: int, size: tuple[int, int], styles: int) -> None:
    for place in ("photos", "paintings", "single"):
        (folder / place).mkdir()
    landscape = DemoLandscape((2 * size[0], 2 * size[1]))
    for number in range(count):
        top, left = (size[0] * number) // count, (size[1] * number) // count
        part = landscape.read(Rectangle(top, left, top + size[0], left + size[1]))
        write_picture(TensorSource(part.contiguous()), folder / "photos" / f"photo{number}.jpg")
    painting = TensorSource(demo_painting((768, 768)).contiguous())
    for number in range(styles):
        pixels = painting.pixels.roll(number, 0).contiguous()
        write_picture(TensorSource(pixels), folder / "paintings" / f"style{number}.jpg")


def killed_job(folder: Path, count: int, kills: int) -> None:
    """Run the job; kill it each time when another share of its results is there."""
    command = [*URST, "photos", "paintings", "-o", "job", *OPTIONS]
    for number in range(kills):
        process = subprocess.Popen([*command, "--resume"], cwd=folder, env=environment())
        share = count * (number + 1) // (kills + 1)
        while process.poll() is None and len(list(folder.glob("job/photo*"))) < share:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run([*command, "--resume"], cwd=folder, env=environment(), check=False)
    expected = int(any(folder.glob("photos/broken*")))
    assert done.returncode == expected, done.returncode


def single_commands(folder: Path) -> None:
    for photo in sorted(folder.glob("photos/photo*")):
        for style in sorted(folder.glob("paintings/*")):
            output = folder / "single" / f"{photo.stem}_{style.stem}.jpg"
            command = [*URST, str(photo), str(style), "-o", str(output), *OPTIONS]
            subprocess.run(command, cwd=folder, env=environment(), check=True)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def timed(work) -> tuple[float, float]:
    """Seconds of the wall, and of the processor in all processes."""
    wall, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - wall, cpu


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--size", default="1000x1500")
    parser.add_argument("--styles", type=int, default=3)
    parser.add_argument("--broken", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
