"""How good weights are, side by side on the same pairs of pictures.

    python benchmarks/quality.py NAME=BACKBONE:FILE ... --content DIR ... --style DIR ... --vgg FILE
        [--pairs N] [--size PX] [--thumbnail-size PX] [--tile-size PX] [--sheet FILE]

Each content is resized (enlarged at most --enlarge times) so that its short side has --size
px, and cut to a square; it is stylized in tiles, as users get it. Means over the pairs:

ssim      of gray pictures of 8 bits, content against result, scikit-image's defaults: the protocol
          of MicroAST's published metrics; higher keeps more of the content.
style     AdaIN's style loss, equation 13, relu1_1 to relu4_1; lower is nearer to the painting.
content   mean squared difference of relu4_1; lower keeps more of the content.
lpips     content against result (AlexNet), where the package lpips is installed.
seam      mean step across tile borders over the mean step 16 px beside them; 1 is no seam.
grid      energy of a pattern that repeats every 4 px over that in noise as strong; 1 is no grid.

Without FILE the embedded weights are used. Needs scikit-image.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pictures import resized, save

from urst_core.formats.open import open_picture
from urst_core.method.pipeline import stylize
from urst_core.networks.model import Backbone
from urst_core.pictures.source import TensorCanvas, TensorSource, to_unit
from urst_core.tiling.settings import Settings
from urst_core.training.losses import (
    GRID_BLOCK,
    GRID_PERIOD,
    content_loss,
    fine_detail,
    grid_loss,
    mean_std_loss,
)
from urst_core.training.vgg import VGGFeatures, load_vgg
from urst_core.weights.loading import load_backbone

GRAY = torch.tensor([0.299, 0.587, 0.114])
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif")


@dataclass(frozen=True)
class Scores:
    """Of one result."""

    ssim: float
    style: float
    content: float
    lpips: float
    seam: float
    grid: float


def main() -> None:
    options = parse_options()
    vgg = VGGFeatures(load_vgg(options.vgg))
    contents, styles = pictures_in(options.content), pictures_in(options.style)
    pairs = [(contents[i % len(contents)], styles[i % len(styles)]) for i in range(options.pairs)]
    backbones = dict(named_backbone(text) for text in options.weights)
    scores: dict[str, list[Scores]] = {name: [] for name in backbones}
    rows: list[list[Tensor]] = []
    for content_path, style_path in pairs:
        content = square(content_path, options.size, options.enlarge)
        style = shrunk(style_path, options.style_size)
        results = {n: stylized(content, style, b, options) for n, b in backbones.items()}
        pair = Pair.of(content, style, vgg)
        for name, result in results.items():
            scores[name].append(scores_of(pair, result, vgg, options.tile_size))
        rows.append([content.pixels, style.pixels, *(r for r in results.values())])
        print(f"{content_path.name} + {style_path.name}", file=sys.stderr, flush=True)
    print_table(scores, options)
    if options.sheet:
        save_sheet(rows, options.sheet)


def stylized(
    content: TensorSource, style: TensorSource, backbone: Backbone, options: argparse.Namespace
) -> Tensor:
    """The result as users get it, (3, H, W), uint8."""
    canvas = TensorCanvas(content.size)
    settings = Settings(
        thumbnail_size=options.thumbnail_size,
        style_size=options.style_size,
        tile_size=options.tile_size,
        precision="fp32",
    )
    stylize(content, [style], canvas, backbone, settings)
    return canvas.pixels


@dataclass(frozen=True)
class Pair:
    """What results are compared with.

    Attributes:
        content: pixels, (3, H, W), uint8.
        content_features: of relu4_1.
        style_features: of all four layers.
    """

    content: Tensor
    content_features: Tensor
    style_features: Sequence[Tensor]

    @classmethod
    @torch.inference_mode()
    def of(cls, content: TensorSource, style: TensorSource, vgg: VGGFeatures) -> Pair:
        before, painting = (to_unit(source.pixels).unsqueeze(0) for source in (content, style))
        return cls(content.pixels, vgg(before)[-1], vgg(painting))


@torch.inference_mode()
def scores_of(pair: Pair, result: Tensor, vgg: VGGFeatures, edge: int) -> Scores:
    after = to_unit(result).unsqueeze(0)
    features = vgg(after)
    return Scores(
        ssim=ssim(pair.content, result),
        style=float(mean_std_loss(features, pair.style_features)),
        content=float(content_loss(features[-1], pair.content_features)),
        lpips=lpips_distance(to_unit(pair.content).unsqueeze(0), after),
        seam=seam(after[0], edge),
        grid=grid(after),
    )


def ssim(first: Tensor, second: Tensor) -> float:
    from skimage.metrics import structural_similarity  # noqa: PLC0415 - benchmarks only

    return float(structural_similarity(gray(first), gray(second)))


def gray(pixels: Tensor) -> np.ndarray:
    """(3, H, W), uint8, as (H, W), uint8."""
    values = (pixels.float() * GRAY[:, None, None]).sum(0)
    return values.round().to(torch.uint8).numpy()


def seam(picture: Tensor, edge: int) -> float:
    """Steps between neighboring pixels at tile borders over those 16 px to either side.

    16 is a multiple of every network's stride: upsampling leaves a pattern of that period, which is
    no seam.
    """
    at_borders: list[Tensor] = []
    beside: list[Tensor] = []
    for axis in (1, 2):
        steps = picture.diff(dim=axis).abs().transpose(1, axis)
        for border in range(edge, picture.shape[axis], edge):
            at_borders.append(steps[:, border - 1].mean())
            beside += [steps[:, border - 1 + side].mean() for side in (-16, 16)]
    return float(torch.stack(at_borders).mean() / torch.stack(beside).mean()) if beside else 1.0


def grid(pictures: Tensor) -> float:
    """Of (1, 3, H, W); means of noise over n places have an nth of its energy."""
    repeats = (GRID_BLOCK // GRID_PERIOD) ** 2
    return float(repeats * grid_loss(pictures) / fine_detail(pictures).square().mean())


def lpips_distance(first: Tensor, second: Tensor) -> float:
    """NaN where the package is not installed."""
    try:
        import lpips  # noqa: PLC0415 - optional
    except ImportError:
        return float("nan")
    if not hasattr(lpips_distance, "network"):
        lpips_distance.network = lpips.LPIPS(net="alex", verbose=False)
    return float(lpips_distance.network(first * 2 - 1, second * 2 - 1))


def print_table(scores: dict[str, list[Scores]], options: argparse.Namespace) -> None:
    names = [field.name for field in fields(Scores)]
    print(
        f"{options.pairs} pairs, {options.size} px, thumbnail {options.thumbnail_size}, "
        f"style {options.style_size}, tiles {options.tile_size}; mean (standard error)"
    )
    print("weights             " + "".join(f"{name:>18s}" for name in names))
    for weights, all_scores in scores.items():
        cells = ""
        for name in names:
            values = np.array([getattr(score, name) for score in all_scores])
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
            cells += f"{values.mean():10.4f} ({error:.3f})".rjust(18)
        print(f"{weights:20s}{cells}")


def save_sheet(rows: Sequence[Sequence[Tensor]], path: Path, edge: int = 384) -> None:
    """Contents, styles and results, one row a pair."""
    lines = []
    for row in rows:
        small = [
            F.interpolate(to_unit(p)[None], (edge, edge), mode="bilinear", antialias=True)[0]
            for p in row
        ]
        lines.append(torch.cat(small, dim=-1))
    save(torch.cat(lines, dim=-2), path)


def square(path: Path, size: int, enlarge: float) -> TensorSource:
    """The middle square of a picture, of that size.

    Raises:
        SystemExit: the picture would have to be enlarged by more than ``enlarge``.
    """
    source = open_picture(path, flatten=True)
    scale = size / min(source.size)
    if scale > enlarge:
        raise SystemExit(f"{path} is too small for {size} px: {source.size}")
    pixels = resized(source, round(source.size[0] * scale), round(source.size[1] * scale))
    top, left = ((side - size) // 2 for side in pixels.shape[1:])
    return TensorSource(pixels[:, top : top + size, left : left + size].contiguous())


def shrunk(path: Path, longest: int) -> TensorSource:
    source = open_picture(path, flatten=True)
    scale = min(1.0, longest / max(source.size)) if longest else 1.0
    return TensorSource(resized(source, *(max(16, round(s * scale)) for s in source.size)))


def named_backbone(text: str) -> tuple[str, Backbone]:
    name, _, rest = text.partition("=")
    backbone, _, file = (rest or name).partition(":")
    return name, load_backbone(backbone, Path(file) if file else None)


def pictures_in(folders: Sequence[Path]) -> list[Path]:
    def found() -> Iterator[Path]:
        for folder in folders:
            yield from sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS)

    return list(found())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("weights", nargs="+", metavar="NAME=BACKBONE:FILE")
    parser.add_argument("--content", type=Path, nargs="+", required=True)
    parser.add_argument("--style", type=Path, nargs="+", required=True)
    parser.add_argument("--vgg", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--thumbnail-size", type=int, default=1024)
    parser.add_argument("--style-size", type=int, default=1024)
    parser.add_argument("--tile-size", type=int, default=256)
    parser.add_argument("--enlarge", type=float, default=1.25)
    parser.add_argument("--sheet", type=Path, help="a picture of all pairs and results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
