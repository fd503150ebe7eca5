"""Size of strokes, and similarity of a large picture to its preview.

    python benchmarks/stroke_size.py --pairs LIST [--sizes PX ...] [--strokes K ...]
        [--backbone NAME[=BACKBONE[:FILE]] ...] [--rows-out FILE.json] [--vgg FILE]
        [--sheet FILE] [--detail TOP,LEFT,EDGE]

LIST is a text file with a content and a style on each line, separated by a tab, relative to it
(or ``demo``). Contents are resized to a longest side of --sizes px, styles to --style-size. Each
pair is stylized by each backbone with strokes of each size K: fine, preview, or a number.

octaves    mean squared difference in luminance between result and content, in units of 1/255, for
           each octave of wavelengths: 2 to 4 px (and all finer ones), 4 to 8 px, … Small: that of
           the coarsest level, in the same octaves of the whole picture.
centroid   of the same difference, in cycles per 1000 px: the mean radial frequency, weighted by
           amplitude. Large strokes change the picture slowly across it, so they have a low one.
fidelity   PSNR of the result, shrunk to the coarsest level's size, to that level: the stylized
           thumbnail, where K is preview; with fine strokes too.
sharpness  99th percentile of the luminance's gradient, per px, as a share of fine strokes'.
stroke     URST's stroke perceptual loss (arXiv:2103.11784, section 3.4) of the result to the same
           level enlarged, in relu4_1 of --vgg, on nine patches of 256 px.

With --rows-out, each row is kept in a file as soon as it is measured, and rows that are in it are
not measured again: the table can be made in pieces.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pictures import DEMO, content_of, save, style_of
from quality import crispness, named_backbone, strokes_size

from urst_core.method.back_projection import RELAXATIONS
from urst_core.method.level_step import GAIN, LAST_DRIFT, OVERLAP
from urst_core.method.pipeline import stylize
from urst_core.method.strokes import level_sizes
from urst_core.networks.model import Backbone
from urst_core.pictures.source import TensorCanvas, TensorSource, from_unit, to_unit
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.tiling.settings import Settings, Strokes
from urst_core.training.losses import stroke_perceptual_loss
from urst_core.training.vgg import VGGFeatures, load_vgg

LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])

OCTAVES = 8
"""The last one has all wavelengths from 256 px on: shifts of color."""

PATCH = 256

MERGING = GAIN, OVERLAP, LAST_DRIFT, *RELAXATIONS


@dataclass(frozen=True)
class Row:
    """What was measured of one result.

    Attributes:
        octaves: of the result, finest first.
        small_octaves: of the coarsest level, in the same wavelengths of the whole picture.
        centroid: in cycles per 1000 px.
        fidelity: in dB.
        gradient: 99th percentile, per px.
        stroke: the loss; NaN without a VGG.
    """

    octaves: list[float]
    small_octaves: list[float]
    centroid: float
    fidelity: float
    gradient: float
    stroke: float


@dataclass(frozen=True)
class Case:
    """What is stylized, and how."""

    content: str
    style: str
    size: int
    name: str
    strokes: Strokes

    def key(self, backbone: Backbone, settings: Settings) -> str:
        """All that a row depends on."""
        numbers = settings.thumbnail_size, settings.style_size, settings.detail, settings.brushwork
        return " ".join(
            map(
                str,
                (
                    self.name,
                    backbone.fingerprint[:12],
                    Path(self.content).name,
                    Path(self.style).name,
                    self.size,
                    settings.strokes,
                    settings.precision,
                    *(numbers if settings.strokes == "fine" else (*numbers, *MERGING)),
                ),
            )
        )


class Rows:
    """Rows in a JSON file, written after each; in memory only where no file is named."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        if path is not None and path.exists():
            read = json.loads(path.read_text(encoding="utf-8"))
            self.rows = {key: Row(**values) for key, values in read.items()}

    def add(self, key: str, row: Row) -> None:
        self.rows[key] = row
        if self._path is not None:
            written = {key: asdict(values) for key, values in self.rows.items()}
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps(written, indent=1), encoding="utf-8")
            partial.replace(self._path)


def main() -> None:
    options = parse_options()
    backbones = dict(named_backbone(text) for text in options.backbone)
    vgg = VGGFeatures(load_vgg(options.vgg)) if options.vgg else None
    pairs, rows = read_pairs(options.pairs), Rows(options.rows_out)
    keys: dict[Case, str] = {}
    for size in options.sizes:
        for content_name, style_name in pairs:
            cases = [
                Case(content_name, style_name, size, name, strokes)
                for name in backbones
                for strokes in options.strokes
            ]
            keys |= {c: c.key(backbones[c.name], settings_of(c, options)) for c in cases}
            missing = [case for case in cases if keys[case] not in rows.rows]
            if missing or options.sheet:
                content = TensorSource(content_of(content_name, size))
                style = TensorSource(shrunk_style(style_name, options.style_size))
                shown = cases if options.sheet else missing
                results = [content.pixels]
                for case in shown:
                    settings = settings_of(case, options)
                    row, result = measured(content, style, backbones[case.name], settings, vgg)
                    rows.add(keys[case], row)
                    results += [result] if options.sheet else []
                    print(f"{keys[case]}: {row.fidelity:.2f} dB", file=sys.stderr, flush=True)
                if options.sheet:
                    save_sheet(results, options)
    print_tables({case: rows.rows[key] for case, key in keys.items()}, options)


def settings_of(case: Case, options: argparse.Namespace) -> Settings:
    return Settings(
        thumbnail_size=options.thumbnail_size,
        style_size=options.style_size,
        tile_size=options.tile_size,
        precision=options.precision,
        strokes=case.strokes,
        brushwork=options.brushwork,
    )


def measured(
    content: TensorSource,
    style: TensorSource,
    backbone: Backbone,
    settings: Settings,
    vgg: VGGFeatures | None,
) -> tuple[Row, Tensor]:
    """Stylize a content, and measure the result, (3, H, W), uint8."""
    canvas = TensorCanvas(content.size)
    stylize(content, [style], canvas, backbone, settings)
    result = canvas.pixels
    small_content, small = coarsest_level(content, style, backbone, settings)
    shrunk = make_thumbnail(TensorSource(result), max(small.shape[1:]))[0]
    difference = luminance(result) - luminance(content.pixels)
    small_difference = luminance(small) - luminance(small_content)
    row = Row(
        octaves=octaves_of(difference, difference.shape),
        small_octaves=octaves_of(small_difference, difference.shape),
        centroid=spectral_centroid(difference),
        fidelity=psnr(shrunk, small),
        gradient=crispness(to_unit(result).unsqueeze(0)),
        stroke=float("nan") if vgg is None else stroke_loss(result, small, vgg),
    )
    return row, result


def coarsest_level(
    content: TensorSource, style: TensorSource, backbone: Backbone, settings: Settings
) -> tuple[Tensor, Tensor]:
    """The coarsest level's content and what it is stylized to, (3, h, w), 0..1.

    With fine strokes, the one that strokes as in the preview would begin with.
    """
    strokes = "preview" if settings.strokes == "fine" else settings.strokes
    sizes = level_sizes(content.size, replaced(settings, strokes))
    pixels = make_thumbnail(content, max(sizes[0]))[0]
    canvas = TensorCanvas(sizes[0], dtype=torch.uint16)
    source = TensorSource(from_unit(pixels, torch.uint16))
    stylize(source, [style], canvas, backbone, replaced(settings, "fine"))
    return pixels, to_unit(canvas.pixels)


def replaced(settings: Settings, strokes: Strokes) -> Settings:
    return Settings(**{**asdict(settings), "strokes": strokes})


def octaves_of(difference: Tensor, whole: Sequence[int]) -> list[float]:
    """Energy of (h, w) in octaves of wavelengths of the whole picture, (H, W), finest first.

    In units of (1/255)² a pixel. A Hann window keeps the picture's border from counting as detail;
    its share of the energy is given back.
    """
    height, width = difference.shape
    window = hann_window(difference)
    energy = torch.fft.rfft2((difference - difference.mean()) * window).abs().square()
    energy[:, 1 : (width + 1) // 2] *= 2.0  # the half that a real picture's spectrum repeats
    energy = energy * (255.0**2 / (window.square().mean() * (height * width) ** 2))
    down = torch.fft.fftfreq(height)[:, None] * (height / whole[0])
    across = torch.fft.rfftfreq(width)[None] * (width / whole[1])
    radius = (down.square() + across.square()).sqrt().clamp(min=1e-9)
    octave = (-radius.log2()).floor().sub(1).clamp(0, OCTAVES - 1).long()
    sums = torch.zeros(OCTAVES, dtype=torch.float64)
    sums.index_add_(0, octave.flatten(), energy.flatten().double())
    return sums.tolist()


def spectral_centroid(difference: Tensor) -> float:
    """Of a difference in luminance, (H, W), in cycles per 1000 px."""
    height, width = difference.shape
    windowed = (difference - difference.mean()) * hann_window(difference)
    amplitude = torch.fft.rfft2(windowed).abs()
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    radius = (down.square() + across.square()).sqrt()
    return float((amplitude * radius).sum() / amplitude.sum()) * 1000.0


def hann_window(like: Tensor) -> Tensor:
    height, width = like.shape
    return torch.hann_window(height)[:, None] * torch.hann_window(width)[None]


def luminance(pixels: Tensor) -> Tensor:
    return (to_unit(pixels) * LUMINANCE[:, None, None]).sum(0)


def psnr(first: Tensor, second: Tensor) -> float:
    return -10.0 * math.log10(float((first - second).square().mean()) or 1e-12)


@torch.inference_mode()
def stroke_loss(result: Tensor, small: Tensor, vgg: VGGFeatures) -> float:
    """Mean over a regular grid of nine patches."""
    height, width = result.shape[1:]
    enlarged = F.interpolate(small.unsqueeze(0), (height, width), mode="bilinear")
    losses: list[Tensor] = []
    for part in range(9):
        top = (height - PATCH) * (1 + part // 3) // 4
        left = (width - PATCH) * (1 + part % 3) // 4
        area = slice(top, top + PATCH), slice(left, left + PATCH)
        patch = to_unit(result[(slice(None), *area)]).unsqueeze(0)
        features = vgg(patch)[-1], vgg(enlarged[(..., *area)])[-1]
        losses.append(stroke_perceptual_loss(*features))
    return float(torch.stack(losses).mean())


def print_tables(rows: dict[Case, Row], options: argparse.Namespace) -> None:
    groups = {(case.size, case.name): None for case in rows}
    for size, name in groups:
        own = {c: row for c, row in rows.items() if (c.size, c.name) == (size, name)}
        pairs = {(c.content, c.style): None for c in own}
        print(
            f"{name}, {size} px, thumbnail {options.thumbnail_size}, brushwork "
            f"{options.brushwork:g}, {len(pairs)} pairs; fidelity and sharpness: "
            "least, mean"
        )
        print(
            "strokes   fidelity       sharpness    centroid  stroke   octaves from "
            "2-4 px, small below"
        )
        for strokes in dict.fromkeys(case.strokes for case in own):
            print_row(strokes, {c: r for c, r in own.items() if c.strokes == strokes}, own)
        print()


def print_row(strokes: Strokes, chosen: dict[Case, Row], rows: dict[Case, Row]) -> None:
    fidelity = np.array([row.fidelity for row in chosen.values()])
    fine = {(c.content, c.style): r.gradient for c, r in rows.items() if c.strokes == "fine"}
    shares = [r.gradient / fine.get((c.content, c.style), math.nan) for c, r in chosen.items()]
    sharpness = np.array(shares)
    centroid = np.mean([row.centroid for row in chosen.values()])
    stroke = np.mean([row.stroke for row in chosen.values()])
    octaves = np.mean([row.octaves for row in chosen.values()], axis=0)
    small = np.mean([row.small_octaves for row in chosen.values()], axis=0)
    print(
        f"{strokes!s:8}{fidelity.min():7.1f} {fidelity.mean():6.1f} {sharpness.min():8.2f} "
        f"{sharpness.mean():5.2f} {centroid:10.1f} {stroke:8.3f}  "
        + " ".join(f"{value:7.1f}" for value in octaves)
    )
    print(" " * 57 + " ".join(f"{value:7.1f}" for value in small))


def read_pairs(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    pairs = [tuple(part.strip() for part in line.split("\t") if part.strip()) for line in lines]
    return [(relative(first, path), relative(second, path)) for first, second in pairs]


def relative(name: str, to: Path) -> str:
    return name if name == DEMO else str(to.parent / name)


def shrunk_style(name: str, longest: int) -> Tensor:
    """A style, no larger than that, (3, h, w), uint8."""
    return from_unit(make_thumbnail(style_of(name), longest)[0], torch.uint8)


def whole_and_detail(pixels: Tensor, where: str) -> Tensor:
    """The whole picture above, a detail of it in full size below, (3, h, w), 0..1.

    Args:
        pixels: the picture, (3, H, W).
        where: the square detail: top, left and edge, in px, separated by commas.
    """
    top, left, edge = (int(part) for part in where.split(","))
    height = round(pixels.shape[1] * edge / pixels.shape[2])
    whole = F.interpolate(to_unit(pixels)[None], (height, edge), mode="bilinear", antialias=True)
    detail = to_unit(pixels[:, top : top + edge, left : left + edge])
    return torch.cat([whole[0], detail], dim=1)


def save_sheet(pictures: list[Tensor], options: argparse.Namespace) -> None:
    """Pictures side by side, each whole and in part."""
    columns = [whole_and_detail(pixels, options.detail) for pixels in pictures]
    save(torch.cat(columns, dim=2), options.sheet)


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all comparisons of strokes have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, required=True, metavar="LIST")
    parser.add_argument("--rows-out", type=Path, help="a JSON file that keeps what is measured")
    parser.add_argument("--thumbnail-size", type=int, default=1024)
    parser.add_argument("--style-size", type=int, default=1024)
    parser.add_argument("--tile-size", type=int, default=1024)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--brushwork", type=float, default=Settings().brushwork)
    parser.add_argument("--sheet", type=Path, help="a picture of the last pair's results")
    parser.add_argument("--detail", default="1200,1600,600", help="top,left,edge, in px")
    return parser


def parse_options() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096])
    parser.add_argument("--strokes", type=strokes_size, nargs="+", default=["fine", "preview"])
    parser.add_argument("--backbone", nargs="+", default=["microast"])
    parser.add_argument("--vgg", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
