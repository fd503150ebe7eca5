"""A folder of pictures in several styles, killed twice and resumed, against a loop of commands.

    python benchmarks/folders.py [--pictures N] [--size HxW] [--styles N] [--broken N] [--kills N]
        [--commands N] [--only-commands] [--jobs N] [--strokes fine]

Each result of the job is compared with a run of its own, byte for byte. Commands in a loop, each a
process, are timed on some of the pictures; the other results are compared with runs in this
process, or not with --only-commands. Times are wall time and processor time; the times of the job
include the kills.

Small pictures are painted as large ones are, with ``--thumbnail-size`` and ``--tile-size`` in
proportion: in several levels, each of several tiles.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.cli.main import main as urst
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import write_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource
from urst_core.runs.result_list import LIST_NAME

ROOT = Path(__file__).resolve().parents[1]
URST = [sys.executable, "-m", "urst_core", "stylize"]


def main() -> int:
    options = parse_options()
    height, width = (int(side) for side in options.size.split("x"))
    settings = ["--device", "cpu", "--quiet"]
    settings += ["--thumbnail-size", str(options.thumbnail_size)]
    settings += ["--tile-size", str(options.tile_size), "--strokes", options.strokes]
    with tempfile.TemporaryDirectory(prefix="urst-folders-") as name:
        folder = Path(name)
        make_pictures(folder, options.pictures, (height, width), options.styles)
        for number in range(options.broken):
            (folder / "photos" / f"photo{number}.jpg").write_bytes(b"no picture")
        count = (options.pictures - options.broken) * options.styles
        print(
            f"{options.pictures} pictures of {width} x {height} px, {options.broken} of them "
            f"broken, {options.styles} styles"
        )
        job_settings = [*settings, "--jobs", str(options.jobs)]
        job_seconds = timed(lambda: killed_job(folder, job_settings, count, options.kills))
        tell(f"one job, killed {options.kills} times", count, job_seconds)
        singles = single_runs(folder, options.broken)
        timed_runs = singles[:: max(1, count // options.commands)][: options.commands]
        loop_seconds = timed(lambda: [run_command(folder, run, settings) for run in timed_runs])
        tell(f"{len(timed_runs)} commands", len(timed_runs), loop_seconds)
        os.chdir(folder)
        others = [] if options.only_commands else [run for run in singles if run not in timed_runs]
        for run in others:
            assert urst(["stylize", *run, *settings]) == 0
        return compare(folder, count)


def tell(label: str, results: int, seconds: tuple[float, float]) -> None:
    wall, cpu = (each / results for each in seconds)
    print(f"{label}: {wall:.2f} s a result, {cpu:.2f} s of processor time", flush=True)


def compare(folder: Path, count: int) -> int:
    """Compare the job's results with single runs; returns the exit status."""
    paths = [path for path in (folder / "job").iterdir() if path.name != LIST_NAME]
    results = {path.name: path.read_bytes() for path in paths if path.is_file()}
    print(f"left behind: {sorted(path.name for path in paths if not path.is_file())}")
    singles = {path.name: path.read_bytes() for path in (folder / "single").iterdir()}
    same = sum(results.get(name) == content for name, content in singles.items())
    print(f"{len(results)} of {count} results, {same} of {len(singles)} identical to single runs")
    return int(len(results) != count or same != len(singles))


def make_pictures(folder: Path, count: int, size: tuple[int, int], styles: int) -> None:
    for place in ("photos", "paintings", "single"):
        (folder / place).mkdir()
    area = 2 * size[0], 2 * size[1]
    landscape = DemoLandscape(area).read(Rectangle.of_size(area))
    for number in range(count):
        top, left = (size[0] * number) // count, (size[1] * number) // count
        part = landscape[:, top : top + size[0], left : left + size[1]]
        write_picture(TensorSource(part.contiguous()), folder / "photos" / f"photo{number}.jpg")
    painting = TensorSource(demo_painting((768, 768)).contiguous())
    for number in range(styles):
        pixels = painting.pixels.roll(number, 0).contiguous()
        write_picture(TensorSource(pixels), folder / "paintings" / f"style{number}.jpg")


def killed_job(folder: Path, settings: list[str], count: int, kills: int) -> None:
    """Run the job; kill it each time when another share of its results is there."""
    command = [*URST, "photos", "paintings", "-o", "job", *settings]
    delays = random.Random(20)
    for number in range(kills):
        process = subprocess.Popen([*command, "--resume"], cwd=folder, env=environment())
        share = count * (number + 1) // (kills + 1)
        while process.poll() is None and len(list(folder.glob("job/photo*"))) < share:
            time.sleep(0.02)
        # Somewhere in the next picture.
        time.sleep(delays.uniform(0.05, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run([*command, "--resume"], cwd=folder, env=environment(), check=False)
    expected = int(any(path.stat().st_size < 99 for path in folder.glob("photos/*")))
    assert done.returncode == expected, done.returncode


def single_runs(folder: Path, broken: int) -> list[tuple[str, ...]]:
    """Content, style and output of each result, as arguments."""
    photos = sorted(folder.glob("photos/*"), key=lambda path: int(path.stem.removeprefix("photo")))
    styles = sorted(folder.glob("paintings/*"))
    return [
        (str(photo), str(style), "-o", f"single/{photo.stem}_{style.stem}.jpg")
        for photo in photos[broken:]
        for style in styles
    ]


def run_command(folder: Path, run: tuple[str, ...], settings: list[str]) -> None:
    subprocess.run([*URST, *run, *settings], cwd=folder, env=environment(), check=True)


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
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--size", default="1000x1500")
    parser.add_argument("--styles", type=int, default=3)
    parser.add_argument("--broken", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--commands", type=int, default=24, help="how many are timed")
    parser.add_argument("--only-commands", action="store_true", help="compare only with these")
    parser.add_argument("--strokes", default="preview")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--thumbnail-size", type=int, default=1024)
    parser.add_argument("--tile-size", type=int, default=1024)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
