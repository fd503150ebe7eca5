"""Quality of weights, side by side on the same pairs of pictures.

    python benchmarks/quality.py NAME=BACKBONE[:FILE] ... --content DIR[:N] ... --style DIR[:N] ...
        --vgg FILE [--size PX] [--tile-size PX] [--strokes K] [--scores FILE.json] [--sheet FILE]
    python benchmarks/quality.py --content DIR[:N] ... --style DIR[:N] ... --list

Each content is resized (enlarged at most --enlarge times) so that its short side has --size
px, and cut to a square; it is stylized in tiles, as users get it. Means over the pairs:

ssim       of gray pictures of 8 bits, content against result, scikit-image's defaults: the protocol
           of MicroAST's published metrics; higher keeps more of the content.
style      AdaIN's style loss, equation 13, relu1_1 to relu4_1; lower is nearer to the painting.
microast   MicroAST's own metric of style: the same, averaged over layers, of channels in the order
           BGR, as its code reads files; without relu5_1, which the VGG here does not have.
gram       sum over the four layers of squared differences of Gram matrices (Johnson, equation 4).
color      distance of RGB-uv histograms (Afifi et al. 2021, arXiv:2011.11731, section 3.1), 0 to 1.
structure  mean difference of how similar relu3_1 features of a picture are to each other, content
           against result (self-similarity, Kolkin et al. 2019, arXiv:1904.12785, equation 3).
content    mean squared difference of relu4_1; lower keeps more of the content.
lpips      content against result (AlexNet), where the package lpips is installed.
crisp      99th percentile of the gradient of luminance, per px.
stability  mean difference between the result and that of the content one pixel further to the left.
seam       mean step across tile borders over the mean step 16 px beside them; 1 is no seam.
grid       energy of a pattern of gray that repeats every 4 px over that in noise as strong; 1 is no
           grid.
grids      the same, the largest of gray and two directions of color, every 4 and every 8 px.

Which pictures are held out: of each folder with a number, the first N originals in the order of the
SHA-256 of their names (without an ending in _tN, which crops of one original have); of an original
its first file. --list prints all files of these originals: none of them may be trained on.

With --scores, results are kept in a file, and pairs that are in it already are not stylized again:
the board can be run in pieces. Without FILE the embedded weights are used. Needs scikit-image.

For large pictures: --columns leaves out columns that take long (stability stylizes twice, microast
runs the VGG twice), and with --features-size columns of VGG features measure the middle square of
that many px of the content and of the result.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
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
from urst_core.tiling.settings import STROKES_WORDS, Settings
from urst_core.training.losses import (
    GRID_PERIODS,
    GRID_REPEATS,
    content_loss,
    fine_detail,
    gram_loss,
    mean_std_loss,
    repeated_pattern,
)
from urst_core.training.vgg import VGGFeatures, load_vgg
from urst_core.weights.loading import load_backbone

GRAY = torch.tensor([0.299, 0.587, 0.114])
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif")


@dataclass(frozen=True)
class Scores:
    """Scores of one result."""

    ssim: float
    style: float
    microast: float
    gram: float
    color: float
    structure: float
    content: float
    lpips: float
    crisp: float
    stability: float
    seam: float
    grid: float
    grids: float


COLUMNS = tuple(field.name for field in fields(Scores))


def main() -> None:
    options = parse_options()
    contents, styles = held_out(options.content), held_out(options.style)
    if options.list:
        print("\n".join(str(file) for original in (*contents, *styles) for file in original))
        return
    vgg = VGGFeatures(load_vgg(options.vgg))
    count = options.pairs or len(contents)
    pairs = [(contents[n % len(contents)][0], styles[n % len(styles)][0]) for n in range(count)]
    backbones = dict(named_backbone(text) for text in options.weights)
    kept = KeptScores(options.scores)
    rows: list[list[Tensor]] = []
    for number, (content_path, style_path) in enumerate(pairs):
        content = square(content_path, options.size, options.enlarge)
        style = shrunk(style_path, options.style_size)
        row = [content.pixels, style.pixels]
        keys = {
            name: key_of(name, backbones[name], content_path, style_path, options)
            for name in backbones
        }
        missing = [name for name, key in keys.items() if key not in kept.scores]
        pair = Pair.of(content, style, vgg, options) if missing else None
        for name, backbone in backbones.items():
            file = options.results and options.results / f"{number:02d}_{name}.png"
            if not (name in missing or options.sheet or (file and not file.exists())):
                continue
            result = stylized(content, style, backbone, options)
            if file:
                save(to_unit(result), file)
            row.append(result)
            if pair is not None and name in missing:
                shifted = None
                if "stability" in options.columns:
                    shifted = stylized(moved_left(content), style, backbone, options)
                kept.add(keys[name], scores_of(pair, result, shifted, vgg, options.tile_size))
        rows.append(row)
        print(f"{content_path.name} + {style_path.name}", file=sys.stderr, flush=True)
    print_table(
        {
            name: [kept.scores[key_of(name, backbone, *pair, options)] for pair in pairs]
            for name, backbone in backbones.items()
        },
        options,
    )
    if options.sheet:
        save_sheet(rows, options.sheet)


def key_of(
    name: str, backbone: Backbone, content: Path, style: Path, options: argparse.Namespace
) -> str:
    """Everything that a score depends on."""
    sizes = options.size, options.thumbnail_size, options.style_size, options.tile_size
    numbers = " ".join(map(str, (*sizes, options.strokes)))
    if options.features_size:
        numbers += f" features {options.features_size}"
    if left_out := set(COLUMNS) - set(options.columns):
        numbers += f" without {' '.join(sorted(left_out))}"
    return f"{name} {backbone.fingerprint[:12]} {content.name} {style.name} {numbers}"


class KeptScores:
    """Scores in a JSON file, written after each; in memory only where no file is named."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.scores: dict[str, Scores] = {}
        if path is not None and path.exists():
            read = json.loads(path.read_text(encoding="utf-8"))
            self.scores = {key: Scores(**values) for key, values in read.items()}

    def add(self, key: str, scores: Scores) -> None:
        self.scores[key] = scores
        if self.path is not None:
            written = {key: asdict(values) for key, values in self.scores.items()}
            self.path.write_text(json.dumps(written, indent=1), encoding="utf-8")


def moved_left(content: TensorSource) -> TensorSource:
    """The content one pixel further to the left; its last column is there twice."""
    pixels = content.pixels
    return TensorSource(torch.cat([pixels[..., 1:], pixels[..., -1:]], dim=-1))


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
        strokes=options.strokes,
    )
    stylize(content, [style], canvas, backbone, settings)
    return canvas.pixels


@dataclass(frozen=True)
class Pair:
    """A content and a style, with which results are compared.

    Attributes:
        content: pixels, (3, H, W), uint8.
        style: (1, 3, h, w), 0..1.
        content_features: of relu3_1 and relu4_1.
        style_features: of all four layers.
        swapped_style_features: the same of channels in the order BGR; None if not wanted.
        features_size: edge of the middle square whose features are compared; 0 for all of it.
    """

    content: Tensor
    style: Tensor
    content_features: Sequence[Tensor]
    style_features: Sequence[Tensor]
    swapped_style_features: Sequence[Tensor] | None
    features_size: int

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        content: TensorSource,
        style: TensorSource,
        vgg: VGGFeatures,
        options: argparse.Namespace,
    ) -> Pair:
        before, painting = (to_unit(source.pixels).unsqueeze(0) for source in (content, style))
        swapped = vgg(painting.flip(1)) if "microast" in options.columns else None
        edge = options.features_size
        before = vgg(middle(before, edge))[-2:]
        return cls(content.pixels, painting, before, vgg(painting), swapped, edge)


def middle(pictures: Tensor, edge: int) -> Tensor:
    """The middle square of that edge; all of it for 0."""
    if not edge:
        return pictures
    top, left = ((side - edge) // 2 for side in pictures.shape[-2:])
    return pictures[..., top : top + edge, left : left + edge]


@torch.inference_mode()
def scores_of(
    pair: Pair, result: Tensor, shifted: Tensor | None, vgg: VGGFeatures, edge: int
) -> Scores:
    """Of one result, (3, H, W), uint8; ``shifted`` is that of :func:`moved_left`, if wanted."""
    after = to_unit(result).unsqueeze(0)
    seen = middle(after, pair.features_size)
    features = vgg(seen)
    return Scores(
        ssim=ssim(pair.content, result),
        style=float(mean_std_loss(features, pair.style_features)),
        microast=microast_style(seen, pair, vgg),
        gram=float(gram_loss(features, pair.style_features)),
        color=color_distance(after, pair.style),
        structure=float(
            (self_similarity(features[-2]) - self_similarity(pair.content_features[0])).abs().mean()
        ),
        content=float(content_loss(features[-1], pair.content_features[1])),
        lpips=lpips_distance(to_unit(pair.content).unsqueeze(0), after),
        crisp=crispness(after),
        stability=math.nan if shifted is None else difference(to_unit(shifted), after[0]),
        seam=seam(after[0], edge),
        grid=float(grids(after, GRID_PERIODS[0])[0]),
        grids=max(float(grids(after, period).max()) for period in GRID_PERIODS),
    )


def microast_style(result: Tensor, pair: Pair, vgg: VGGFeatures) -> float:
    """MicroAST's metric of style; NaN if it is not wanted."""
    if pair.swapped_style_features is None:
        return math.nan
    features = vgg(result.flip(1))
    return float(mean_std_loss(features, pair.swapped_style_features)) / len(features)


def difference(shifted: Tensor, result: Tensor) -> float:
    """Mean difference of the same places, without the borders to the left and right."""
    return float((shifted[..., 16:-16] - result[..., 17:-15]).abs().mean())


def color_distance(result: Tensor, style: Tensor) -> float:
    """Hellinger distance of RGB-uv histograms of (1, 3, H, W) pictures."""
    first, second = (uv_histogram(picture).sqrt() for picture in (result, style))
    return float((first - second).square().sum().sqrt() / 2**0.5)


def uv_histogram(picture: Tensor, bins: int = 64, width: float = 0.02, edge: int = 150) -> Tensor:
    """Log-chroma of each channel against the two others, weighted by intensity; sums to 1."""
    small = F.interpolate(picture, (edge, edge), mode="bilinear", antialias=True)
    colors = small[0].flatten(1).clamp(0.0, 1.0)
    intensity = colors.square().sum(0).sqrt()
    logarithms = (colors + 1e-6).log()
    centers = torch.linspace(-3.0, 3.0, bins)

    def near(values: Tensor) -> Tensor:
        return 1.0 / (1.0 + ((values[:, None] - centers) / width).square())

    planes = [
        (near(logarithms[a] - logarithms[b]) * intensity[:, None]).T
        @ near(logarithms[a] - logarithms[c])
        for a, b, c in ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    ]
    histogram = torch.stack(planes)
    return histogram / histogram.sum()


def self_similarity(features: Tensor, edge: int = 32) -> Tensor:
    """Cosine distances between places of (1, C, H, W), over the mean of each place's."""
    places = F.adaptive_avg_pool2d(features, edge).flatten(2)[0]
    normalized = F.normalize(places, dim=0)
    distances = (1.0 - normalized.T @ normalized).clamp(min=0.0)
    return distances / distances.sum(0, keepdim=True).clamp(min=1e-8) * len(distances)


def crispness(picture: Tensor) -> float:
    """Of (1, 3, H, W)."""
    luminance = (picture * GRAY[:, None, None]).sum(1)[0]
    down = luminance.diff(dim=0)[:, :-1]
    across = luminance.diff(dim=1)[:-1]
    gradient = (down.square() + across.square()).sqrt().flatten()
    return float(gradient.kthvalue(round(0.99 * gradient.numel())).values)


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


def grids(pictures: Tensor, period: int) -> Tensor:
    """Of (1, 3, H, W), in gray and colors, (3,); means of noise over n places have an nth of it."""
    fine = fine_detail(pictures, period)
    patterns = repeated_pattern(fine, period).square().mean(dim=(0, 2, 3, 4, 5))
    return GRID_REPEATS**2 * patterns / fine.square().mean(dim=(0, 2, 3)).clamp(min=1e-12)


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
    names = options.columns
    print(
        f"{len(next(iter(scores.values())))} pairs, {options.size} px, strokes {options.strokes}, "
        f"thumbnail {options.thumbnail_size}, style {options.style_size}, "
        f"tiles {options.tile_size}; mean (standard error)"
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


def held_out(folders: Sequence[str]) -> list[list[Path]]:
    """The files of each original that is held out, folder after folder; see the module's text."""
    chosen: list[list[Path]] = []
    for text in folders:
        name, _, count = (
            text.rpartition(":") if text[-1].isdigit() and ":" in text else (text, "", "")
        )
        originals: dict[str, list[Path]] = {}
        for path in sorted(Path(name).iterdir()):
            if path.suffix.lower() in ENDINGS:
                originals.setdefault(re.sub(r"_t\d+$", "", path.stem), []).append(path)
        ordered = sorted(originals, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        chosen += [originals[name] for name in ordered[: int(count) if count else None]]
    return chosen


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("weights", nargs="*", metavar="NAME=BACKBONE[:FILE]")
    parser.add_argument("--content", nargs="+", required=True, metavar="DIR[:N]")
    parser.add_argument("--style", nargs="+", required=True, metavar="DIR[:N]")
    parser.add_argument("--list", action="store_true", help="print the held-out files")
    parser.add_argument("--vgg", type=Path)
    parser.add_argument("--pairs", type=int, help="default: one for each content")
    parser.add_argument(
        "--strokes", type=strokes_size, default="fine", help="fine, preview, number"
    )
    parser.add_argument("--scores", type=Path, help="a JSON file that keeps scores")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--thumbnail-size", type=int, default=1024)
    parser.add_argument("--style-size", type=int, default=1024)
    parser.add_argument("--tile-size", type=int, default=256)
    parser.add_argument("--enlarge", type=float, default=1.25)
    parser.add_argument("--columns", nargs="+", default=COLUMNS, choices=COLUMNS)
    parser.add_argument("--features-size", type=int, default=0, metavar="PX", help="default: all")
    parser.add_argument("--sheet", type=Path, help="a picture of all pairs and results")
    parser.add_argument("--results", type=Path, metavar="DIR", help="a folder for each result")
    return parser.parse_args()


def strokes_size(text: str) -> str | float:
    return text if text in STROKES_WORDS else float(text)


if __name__ == "__main__":
    main()
