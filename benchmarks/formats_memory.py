"""Peak memory of whole runs for each kind of input and of output, one process at a time.

    python benchmarks/formats_memory.py [--megapixels 25] [--tile-size 1024] [--masked]
        [--strokes fine] [--only plain.npy .avif ...] [--folder DIR]

Every kind of input becomes a TIFF, and a baseline JPEG becomes every kind of output: reading and
writing are phases of a run that do not overlap, so the peak of a pair is the larger one of its row
and its column. The temporary space is what `urst plan` says. With --masked, only the middle is
stylized, nine tiles or more, and the other tiles of the last level are copied, to save time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peak_memory import ROOT, measured, told

INPUTS = {
    "JPEG, baseline": ("baseline.jpg", {"Q": 90}),
    "JPEG, progressive": ("progressive.jpg", {"Q": 90, "interlace": True}),
    "PNG": ("plain.png", {"compression": 3}),
    "TIFF, tiles": ("tiles.tif", {"tile": True, "compression": "deflate"}),
    "TIFF, strips": ("strips.tif", {"compression": "deflate"}),
    "WebP": ("plain.webp", {"Q": 90}),
}
"""File names, and options of libvips's saver."""

OUTPUTS = (".jpg", ".png", ".tif", ".webp", ".avif", ".dzi", ".npy", ".zarr")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megapixels", type=int, default=25)
    parser.add_argument("--tile-size", type=int, help="default: by free memory")
    parser.add_argument("--strokes", default="preview")
    parser.add_argument("--masked", action="store_true", help="stylize only the middle")
    parser.add_argument("--only", nargs="+", help="files of inputs and endings of outputs")
    parser.add_argument("--folder", type=Path, help="for pictures and results")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make is not None:
        make_inputs(options.make, options.megapixels)
        make_mask(options.make, options.megapixels, 11 * (options.tile_size or 2048) // 5)
        return
    edge = ["--tile-size", options.tile_size] if options.tile_size else []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        tiles = [*edge, "--strokes", options.strokes]
        tiles += ["--mask", folder / "mask.png"] if options.masked else []
        # In a separate process, since the memory of this one would count for those it starts.
        measured(__file__, "--make", folder, "--megapixels", options.megapixels, *edge)
        print("input                 peak GB   seconds   temporary MB")
        names = [(kind, file) for kind, (file, _) in INPUTS.items()]
        names += [("NumPy", "plain.npy"), ("OME-Zarr", "plain.zarr")]
        chosen = options.only or [*(file for _, file in names), *OUTPUTS]
        for kind, file in names:
            if file not in chosen:
                continue
            arguments = (folder / file, folder / "style.jpg", "-o", folder / "out.tif", *tiles)
            outcome = measured("-m", "urst_core", "stylize", *arguments, "--overwrite", "--quiet")
            temporary = temporary_megabytes(folder / file)
            print(f"{kind:19s}{told(outcome)}{temporary:15.0f}", flush=True)
        print("output                peak GB   seconds")
        for ending in filter(chosen.__contains__, OUTPUTS):
            arguments = (folder / "baseline.jpg", folder / "style.jpg", "-o", folder / f"b{ending}")
            outcome = measured("-m", "urst_core", "stylize", *arguments, *tiles, "--quiet")
            print(f"{ending:19s}{told(outcome)}", flush=True)


def temporary_megabytes(path: Path) -> float:
    """What unpacking a picture takes on the disk, as `urst plan` says."""
    code = "import sys, urst_core; picture = urst_core.open_picture(sys.argv[1]); "
    code += "print(getattr(picture, 'temporary_bytes', 0))"
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(process.stdout) / 1e6


def make_inputs(folder: Path, megapixels: int) -> None:
    """Write the demo landscape as every kind of input, and the painting."""
    import pyvips  # noqa: PLC0415

    from urst_core.demo import DemoLandscape, demo_painting  # noqa: PLC0415
    from urst_core.formats.open import open_picture, write_picture  # noqa: PLC0415
    from urst_core.pictures.source import TensorSource  # noqa: PLC0415

    edge = round((megapixels * 1e6) ** 0.5)
    write_picture(TensorSource(demo_painting((1024, 1024))), folder / "style.jpg")
    write_picture(DemoLandscape((edge, edge)), folder / "tiles.png")
    for file, saver in INPUTS.values():
        image = pyvips.Image.new_from_file(str(folder / "tiles.png"), access="sequential")
        image.write_to_file(str(folder / file), **saver)
    for file in ("plain.npy", "plain.zarr"):
        write_picture(open_picture(folder / "tiles.png"), folder / file)


def make_mask(folder: Path, megapixels: int, inner: int) -> None:
    """Write a mask with a white square of that edge in its middle."""
    import pyvips  # noqa: PLC0415

    edge = round((megapixels * 1e6) ** 0.5)
    square = pyvips.Image.black(inner, inner).invert()
    mask = square.embed((edge - inner) // 2, (edge - inner) // 2, edge, edge)
    mask.write_to_file(str(folder / "mask.png"))


if __name__ == "__main__":
    main()
