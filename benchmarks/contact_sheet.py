"""One picture in the style of each given weights file, side by side, in the networks' own strokes.

    python benchmarks/contact_sheet.py -o SHEET.jpg BACKBONE=FILE[:STYLE] ...

The content is the demo landscape at ``--size``, cut into ``--tile-size`` px tiles; the style is the
demo painting, or STYLE for weights with built-in styles. FILE may be ``built-in``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.geometry import Rectangle, round_up
from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

COLUMNS = 4
CELL = (360, 240)
CAPTION = 18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("entries", nargs="+", metavar="BACKBONE=FILE[:STYLE]")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", default="1366x2048")
    parser.add_argument("--tile-size", type=int, default=512)
    parser.add_argument("--full", type=Path, help="folder for the full pictures, as PNG")
    options = parser.parse_args()
    height, width = (int(side) for side in options.size.split("x"))
    content = TensorSource(DemoLandscape((height, width)).read(Rectangle(0, 0, height, width)))
    painting = TensorSource(demo_painting((1024, 1024)))
    pictures = {"content": content.pixels, "style": painting.pixels}
    for entry in options.entries:
        name, _, rest = entry.partition("=")
        file, _, style = rest.partition(":")
        pictures[f"{name}, {Path(file).stem} {style}".strip()] = stylized(
            content, painting, name, file, style, options.tile_size
        )
    if options.full:
        for title, pixels in pictures.items():
            name = title.replace(", ", "_").replace(" ", "_")
            image_of(pixels).save(options.full / f"{name}.png")
    sheet_of(pictures).save(options.output, quality=88)


def stylized(
    content: TensorSource, painting: TensorSource, name: str, file: str, style: str, edge: int
) -> Tensor:
    backbone = load_backbone(name, None if file == "built-in" else Path(file))
    canvas = TensorCanvas(content.size)
    styles = [style] if style else [] if backbone.network.style_names else [painting]
    started = time.perf_counter()
    stylize(
        content,
        styles,
        canvas,
        backbone,
        Settings(tile_size=round_up(edge, backbone.traits.stride), strokes="fine"),
    )
    print(f"{name} {style}: {time.perf_counter() - started:.1f} s", flush=True)
    return canvas.pixels


def image_of(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().to(torch.uint8).numpy())


def sheet_of(pictures: dict[str, Tensor]) -> Image.Image:
    width, height = CELL[0], CELL[1] + CAPTION
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for index, (title, pixels) in enumerate(pictures.items()):
        row, column = divmod(index, COLUMNS)
        cell = image_of(pixels)
        cell.thumbnail(CELL)
        sheet.paste(cell, (column * width + (CELL[0] - cell.width) // 2, row * height))
        ImageDraw.Draw(sheet).text((column * width + 6, row * height + CELL[1] + 2), title, "black")
    return sheet


if __name__ == "__main__":
    main()
