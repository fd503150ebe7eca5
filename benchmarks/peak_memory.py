"""Peak memory of whole runs, file to file, against the picture's size.

    python benchmarks/peak_memory.py [--megapixels 25 100 400] [--whole-image 25 100]
        [--tile-size 1024] [--folder DIR] [--plot FILE.png]

Each run is a process of its own: `urst stylize`, JPEG to JPEG, on the demo landscape; what is
reported is the most that the process held resident, as the system counts it. With --whole-image the
same pictures are also stylized as the published code of URST does: the whole picture in memory as
float32, cut by unfolding it, all patches and all results held until they are joined. Where that is
more than the machine has, the system kills the process, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plots import Curves, plot_against_megapixels

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Outcome:
    """Outcome of one process; without bytes if it failed."""

    peak_bytes: int | None
    seconds: float


def main() -> None:
    options = parse_options()
    if options.make is not None:
        make_picture(*options.make)
        return
    if options.whole_image_run:
        stylize_whole_image(*options.whole_image_run, patch=options.tile_size)
        return
    curves: Curves = {}
    print("megapixels   peak GB   seconds   whole image: peak GB   seconds")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        style, content = Path(folder, "style.jpg"), Path(folder, "content.jpg")
        # In separate processes, since the memory of this one would count for those it starts.
        measured(__file__, "--make", style, 0)
        for megapixels in options.megapixels:
            measured(__file__, "--make", content, megapixels)
            outcomes = {
                "URST, file to file": measured(
                    *("-m", "urst_core", "stylize", content, style, "-o", f"{folder}/out.jpg"),
                    *("--tile-size", options.tile_size, "--overwrite", "--restart", "--quiet"),
                )
            }
            if megapixels in options.whole_image:
                run = ("--whole-image-run", content, style, f"{folder}/whole.jpg")
                whole = measured(__file__, *run, "--tile-size", options.tile_size)
                outcomes["whole image in memory"] = whole
            print(f"{megapixels:10d}{''.join(map(told, outcomes.values()))}", flush=True)
            for name, outcome in outcomes.items():
                if outcome.peak_bytes is not None:
                    curves.setdefault(name, []).append((megapixels, outcome.peak_bytes / 1e9))
    if options.plot:
        plot_against_megapixels(curves, "peak resident memory, GB", options.plot)


def told(outcome: Outcome) -> str:
    peak = "killed" if outcome.peak_bytes is None else f"{outcome.peak_bytes / 1e9:.2f}"
    return f"{peak:>10s}{outcome.seconds:10.1f}"


def measured(*arguments: object) -> Outcome:
    """Run Python with arguments; the most memory that it held resident, and how long it took."""
    started = time.monotonic()
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = os.spawnve(os.P_NOWAIT, sys.executable, command, environment)
    _, status, usage = os.wait4(process, 0)
    seconds = time.monotonic() - started
    if os.WIFSIGNALED(status):
        return Outcome(None, seconds)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {' '.join(command)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Outcome(usage.ru_maxrss * unit, seconds)


def make_picture(path: str, megapixels: str) -> None:
    """Write a square landscape of that size; with 0 the painting."""
    from urst_core.demo import DemoLandscape, demo_painting  # noqa: PLC0415
    from urst_core.formats.open import write_picture  # noqa: PLC0415
    from urst_core.pictures.source import TensorSource  # noqa: PLC0415 - torch is loaded where it is used

    edge = round((int(megapixels) * 1e6) ** 0.5)
    source = DemoLandscape((edge, edge)) if edge else TensorSource(demo_painting((1024, 1024)))
    write_picture(source, Path(path))


def stylize_whole_image(content: Path, style: Path, output: Path, *, patch: int) -> None:
    """The way of the published code: everything in memory, from beginning to end."""
    import torch  # noqa: PLC0415
    from torch.nn import functional as F  # noqa: PLC0415

    from urst_core.formats.open import ImageFile, open_picture, write_picture  # noqa: PLC0415
    from urst_core.geometry import Rectangle  # noqa: PLC0415
    from urst_core.networks.sites import replay  # noqa: PLC0415
    from urst_core.pictures.source import TensorSource, from_unit, to_unit  # noqa: PLC0415
    from urst_core.pictures.thumbnail import make_thumbnail  # noqa: PLC0415
    from urst_core.weights.loading import load_backbone  # noqa: PLC0415

    padding = 32
    backbone = load_backbone()
    source = ImageFile(content)
    with torch.inference_mode():
        styles = [make_thumbnail(open_picture(style, flatten=True), 1024)]
        stats = backbone.collect(make_thumbnail(source, 1024), backbone.encode_style(styles))
        picture = to_unit(source.read(Rectangle.of_size(source.size))).unsqueeze(0)
        height, width = source.size
        below, beside = -height % patch, -width % patch
        picture = F.pad(picture, (padding, padding + beside, padding, padding + below), "reflect")
        window = patch + 2 * padding
        patches = picture.unfold(2, window, patch).unfold(3, window, patch)
        rows, columns = patches.shape[2:4]
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 1, 3, window, window)
        stylized = [replay(backbone.network.stages(p, stats.code), stats.sites) for p in patches]
        inner = [s[..., padding:-padding, padding:-padding] for s in stylized]
        lines = [torch.cat(inner[r * columns : (r + 1) * columns], dim=3) for r in range(rows)]
        result = torch.cat(lines, dim=2)[0, :, :height, :width]
        pixels = TensorSource(from_unit(result, torch.uint8))
    write_picture(pixels, output)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megapixels", type=int, nargs="+", default=[25, 100, 400])
    parser.add_argument("--whole-image", type=int, nargs="*", default=[])
    parser.add_argument("--tile-size", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="for pictures and results (default: temporary)")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--make", nargs=2, metavar=("FILE", "MP"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--whole-image-run", type=Path, nargs=3, metavar="PATH", help=argparse.SUPPRESS
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
