"""Other ways to build the levels of larger strokes, beside the one that was chosen.

    python benchmarks/stroke_choices.py --pairs LIST [--size PX] [--ways NAME ...]
        [--rows-out FILE.json] [--sheet FILE [--detail TOP,LEFT,EDGE]]

Pairs, pictures and columns are those of stroke_size.py, with strokes as in the preview. Ways, each
differing from the chosen one in nothing else:

prototype    a level's own band as it is (gain 1), nothing repainted of the level below, and no back
             projection
gain 1, gain 1.6   the gain of a level's own band, which is 1.3
factor 1.4, factor 4   how much larger a level is than the one below, at most; 2 otherwise
lanczos, mitchell      kernels that enlarge and shrink (three lobes; B = C = 1/3), instead of Keys'
linear       joined and merged in linear light
luminance    the gain is luminance's only; differences of color keep theirs
own          statistics of every level's own input
once         the coarsest level's statistics for all levels
guided       the content's detail as strong as the painting below renders it there: times the slope
             of a linear fit of that painting to its content (He et al., guided image filtering)

The sheet shows the last pair: the photograph, fine strokes, the chosen way and the others, whole
and in part, in rows of five.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pictures import content_of, save
from stroke_size import (
    Case,
    Row,
    Rows,
    measured,
    new_parser,
    read_pairs,
    settings_of,
    shrunk_style,
    whole_and_detail,
)

from urst_core.geometry import Rectangle, Size
from urst_core.method import level_run, level_step, run, strokes
from urst_core.method.level_step import GAIN, Step
from urst_core.pictures.resampling import Kernel, Resample
from urst_core.pictures.source import TensorSource
from urst_core.pictures.thumbnail import thumbnail_size_of
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

Way = Callable[[], ExitStack]

FINE, CHOSEN = "fine", "chosen"

COLUMNS = 5

GUIDED_RADIUS = 4
"""Of the squares that slopes are fitted in, and averaged over, in px."""

GUIDED_NOISE = 1e-4
"""Variance below which there is nothing to fit."""

LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])


class Fitting(Step):
    """A step that joins the content's detail as strong as the painting renders it."""

    @property
    def reach(self) -> int:
        return super().reach + math.ceil(2 * GUIDED_RADIUS / min(self._scale(0), self._scale(1)))

    def below(self, target: Rectangle) -> Rectangle:
        return super().below(target).grown(2 * GUIDED_RADIUS).clipped(self.coarse)

    def join(
        self, content: Tensor, below: Tensor, painting: Tensor, detail: float, target: Rectangle
    ) -> Tensor:
        wide, kept = self.below(target), self.kept(target)
        slopes = box_mean(slopes_of(painting, below)).mul_(detail)
        known = self.smoothing.apply(below, wide, kept)
        inner = (..., *kept.relative_to(wide).slices)
        area = self.enlarging.needs(target)
        strength = self.enlarge(slopes[(..., *area.relative_to(wide).slices)], area, target)
        difference = painting[inner] - slopes[inner] * known
        return self.sharpen_and_enlarge(difference, target).add_(content * strength)


class Linear(Step):
    """A step in linear light."""

    def join(
        self, content: Tensor, below: Tensor, painting: Tensor, detail: float, target: Rectangle
    ) -> Tensor:
        joined = super().join(linear(content), linear(below), linear(painting), detail, target)
        return encoded(joined)

    def merge(self, below: Tensor, fine: Tensor, target: Rectangle) -> Tensor:
        return encoded(super().merge(linear(below), linear(fine), target))


class Luminance(Step):
    """A step whose gain is that of luminance only."""

    def merge(self, below: Tensor, fine: Tensor, target: Rectangle) -> Tensor:
        emphasized = super().merge(below, fine, target)
        own = super().merge(torch.zeros_like(below), fine, target)
        excess = own.mul_(1.0 - 1.0 / GAIN)
        weights = LUMINANCE.to(excess).view(3, 1, 1)
        return emphasized - excess + (excess * weights).sum(0)


def slopes_of(painting: Tensor, content: Tensor) -> Tensor:
    """Of a linear fit around each pixel, (3, h, w), 0 to 2."""
    mean, own = box_mean(content), box_mean(painting)
    together = box_mean(content * painting) - mean * own
    variance = box_mean(content.square()) - mean.square()
    return ((together + GUIDED_NOISE) / (variance + GUIDED_NOISE)).clamp_(0.0, 2.0)


def box_mean(pixels: Tensor) -> Tensor:
    edge = 2 * GUIDED_RADIUS + 1
    return F.avg_pool2d(pixels, edge, 1, GUIDED_RADIUS, count_include_pad=False)


def linear(pixels: Tensor) -> Tensor:
    """Linear light of sRGB."""
    light = ((pixels.clamp(min=0.0) + 0.055) / 1.055).pow(2.4)
    return torch.where(pixels <= 0.04045, pixels / 12.92, light)


def encoded(light: Tensor) -> Tensor:
    """sRGB of linear light."""
    bright = light.clamp(min=0.0).pow(1.0 / 2.4) * 1.055 - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, bright)


def with_kernel(kernel: Kernel) -> type[Step]:
    """A step that enlarges and shrinks with another kernel."""

    class WithKernel(Step):
        @property
        def _up(self) -> list[Resample]:
            return [Resample(self.coarse[i], self._scale(i), kernel) for i in (0, 1)]

        @property
        def _down(self) -> list[Resample]:
            return [Resample(self.fine[i], 1 / self._scale(i), kernel) for i in (0, 1)]

        @property
        def reach(self) -> int:
            more = 5 * (kernel.reach - 2) / min(self._scale(0), self._scale(1))
            return super().reach + math.ceil(more)

    return WithKernel


def lanczos(distances: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    near = np.sinc(distances) * np.sinc(distances / 3.0)
    return np.where(np.abs(distances) < 3.0, near, 0.0)


def mitchell(distances: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x = np.abs(distances)
    near = (7.0 * x**3 - 12.0 * x**2 + 16.0 / 3.0) / 6.0
    far = (-7.0 / 3.0 * x**3 + 12.0 * x**2 - 20.0 * x + 32.0 / 3.0) / 6.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def sizes_by(factor: float, size: Size, settings: Settings) -> tuple[Size, ...]:
    """As :func:`level_sizes` of strokes as in the preview, with another factor at most."""
    if settings.strokes == "fine":
        return (size,)
    coarsest = thumbnail_size_of(size, settings.thumbnail_size)
    steps = math.ceil(math.log(max(size) / max(coarsest)) / math.log(factor) - 0.01)
    shares = [factor**-number for number in range(steps)]
    larger = [(round(size[0] * share), round(size[1] * share)) for share in shares]
    return (coarsest, *reversed(larger)) if coarsest != size else (size,)


def replacing(*changes: tuple[object, str, object]) -> ExitStack:
    """A way: attributes that are replaced while it is measured."""
    stack = ExitStack()
    for owner, name, value in changes:
        stack.enter_context(patch.object(owner, name, value))
    return stack


def steps(kind: type[Step]) -> Way:
    return partial(replacing, (strokes, "Step", kind))


def factor(largest: float) -> Way:
    sizes = partial(sizes_by, largest)
    return partial(replacing, (run, "level_sizes", sizes), (strokes, "level_sizes", sizes))


def gain(value: float) -> Way:
    return partial(replacing, (level_step, "GAIN", value))


def sharing(shares: Callable[[Any], bool]) -> Way:
    return partial(replacing, (level_run, "shares_statistics", shares))


WAYS: dict[str, Way] = {
    FINE: ExitStack,
    CHOSEN: ExitStack,
    "prototype": partial(
        replacing,
        (level_step, "GAIN", 1.0),
        (level_step, "OVERLAP", 0.0),
        (level_step, "LAST_DRIFT", 0.0),
    ),
    "gain 1": gain(1.0),
    "gain 1.6": gain(1.6),
    "factor 1.4": factor(math.sqrt(2.0)),
    "factor 4": factor(4.0),
    "lanczos": steps(with_kernel(Kernel(3.0, lanczos))),
    "mitchell": steps(with_kernel(Kernel(2.0, mitchell))),
    "linear": steps(Linear),
    "luminance": steps(Luminance),
    "own": sharing(lambda _: False),
    "once": sharing(lambda level: level.level is not None and level.level.number > 0),
    "guided": steps(Fitting),
}


def main() -> None:
    options = parse_options()
    backbone, rows = load_backbone(), Rows(options.rows_out)
    pairs = read_pairs(options.pairs)
    keys: dict[tuple[str, str], list[str]] = {}
    shown: list[Tensor] = []
    for content_name, style_name in pairs:
        cases = {
            way: Case(
                content_name, style_name, options.size, way, "fine" if way == FINE else "preview"
            )
            for way in options.ways
        }
        of_pair = {
            way: case.key(backbone, settings_of(case, options)) for way, case in cases.items()
        }
        keys[content_name, style_name] = list(of_pair.values())
        is_shown = options.sheet is not None and (content_name, style_name) == pairs[-1]
        missing = [way for way, key in of_pair.items() if is_shown or key not in rows.rows]
        if not missing:
            continue
        content = TensorSource(content_of(content_name, options.size))
        style = TensorSource(shrunk_style(style_name, options.style_size))
        shown = [content.pixels]
        for way in missing:
            settings = settings_of(cases[way], options)
            with WAYS[way]():
                row, result = measured(content, style, backbone, settings, None)
            rows.add(of_pair[way], row)
            shown += [result] if is_shown else []
            print(f"{of_pair[way]}: {row.fidelity:.2f} dB", file=sys.stderr, flush=True)
    print_table(
        {way: [rows.rows[of[i]] for of in keys.values()] for i, way in enumerate(options.ways)}
    )
    if options.sheet:
        save_sheet(shown, options)


def print_table(rows: dict[str, list[Row]]) -> None:
    """Means of all pairs; fidelity and sharpness with the least before."""
    fine = [row.gradient for row in rows[FINE]]
    print("| way | likeness, dB | sharpness | octaves of 2-4, 4-8, 8-16, 16-32 px |")
    print("|---|---|---|---|")
    for way, measured_rows in rows.items():
        fidelity = np.array([row.fidelity for row in measured_rows])
        sharpness = np.array([row.gradient / own for row, own in zip(measured_rows, fine)])
        octaves = np.mean([row.octaves for row in measured_rows], axis=0)[:4]
        print(
            f"| {way} | {fidelity.min():.1f}, {fidelity.mean():.1f} | {sharpness.min():.2f}, "
            f"{sharpness.mean():.2f} | {', '.join(f'{each:.0f}' for each in octaves)} |"
        )


def save_sheet(pictures: list[Tensor], options: argparse.Namespace) -> None:
    """Rows of five, each picture whole and in part."""
    cells = [whole_and_detail(pixels, options.detail) for pixels in pictures]
    cells += [torch.ones_like(cells[0])] * (-len(cells) % COLUMNS)
    lines = [torch.cat(cells[i : i + COLUMNS], 2) for i in range(0, len(cells), COLUMNS)]
    save(torch.cat(lines, 1), options.sheet)


def parse_options() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
