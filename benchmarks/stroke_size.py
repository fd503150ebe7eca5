"""How large the strokes are: weights trained with and without the stroke perceptual loss.

    python benchmarks/stroke_size.py PICTURE STYLE NAME=BACKBONE:FILE NAME=BACKBONE:FILE ...
        [--size PX] [--thumbnail-size PX] [--sheet FILE] [--detail TOP,LEFT,EDGE]

The picture, a file or ``demo``, resized to a longest side of --size px, is stylized in tiles with
each of the weights. The number is the spectral centroid of the difference in luminance between
result and content, in cycles per 1000 px: the mean radial frequency, weighted by amplitude. Large
strokes change the picture slowly across it, so they have a low one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pictures import content_of, save, style_of
from quality import named_backbone

from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorCanvas, TensorSource, to_unit
from urst_core.tiling.settings import Settings

LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])


def main() -> None:
    options = parse_options()
    content = TensorSource(content_of(options.picture, options.size))
    style = style_of(options.style)
    print(f"{content.size[1]} x {content.size[0]} px, thumbnail {options.thumbnail_size}")
    print("weights             centroid, cycles per 1000 px")
    results: list[Tensor] = []
    for text in options.weights:
        name, backbone = named_backbone(text)
        canvas = TensorCanvas(content.size)
        settings = Settings(thumbnail_size=options.thumbnail_size, precision="fp32")
        stylize(content, [style], canvas, backbone, settings)
        results.append(canvas.pixels)
        print(f"{name:20s}{spectral_centroid(content.pixels, canvas.pixels):10.2f}", flush=True)
    if options.sheet:
        save_sheet([content.pixels, *results], options)


def spectral_centroid(content: Tensor, result: Tensor) -> float:
    """Of the difference in luminance of two (3, H, W) pictures, uint8; in cycles per 1000 px.

    A Hann window keeps the picture's border from counting as detail.
    """
    difference = luminance(result) - luminance(content)
    difference = difference - difference.mean()
    height, width = difference.shape
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)[None]
    amplitude = torch.fft.rfft2(difference * window).abs()
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    radius = (down.square() + across.square()).sqrt()
    return float((amplitude * radius).sum() / amplitude.sum()) * 1000.0


def luminance(pixels: Tensor) -> Tensor:
    return (to_unit(pixels) * LUMINANCE[:, None, None]).sum(0)


def save_sheet(pictures: list[Tensor], options: argparse.Namespace) -> None:
    """Whole pictures above, one detail of each in full size below."""
    top, left, edge = (int(part) for part in options.detail.split(","))
    columns = []
    for pixels in pictures:
        height = round(pixels.shape[1] * edge / pixels.shape[2])
        whole = F.interpolate(
            to_unit(pixels)[None], (height, edge), mode="bilinear", antialias=True
        )[0]
        detail = to_unit(pixels[:, top : top + edge, left : left + edge])
        columns.append(torch.cat([whole, detail], dim=1))
    save(torch.cat(columns, dim=2), options.sheet)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("picture")
    parser.add_argument("style")
    parser.add_argument("weights", nargs="+", metavar="NAME=BACKBONE:FILE")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--thumbnail-size", type=int, default=1024)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--detail", default="1200,1600,600", help="top,left,edge, in px")
    return parser.parse_args()


if __name__ == "__main__":
    main()
