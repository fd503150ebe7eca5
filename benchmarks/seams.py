"""Visibility of tile borders: a thumbnail's statistics beside each tile's own, cut or blended.

    python benchmarks/seams.py CONTENT STYLE [--backbone NAME] [--weights FILE] [--size PX]
        [--tile-size PX] [--sheet FILE]

The content, a file or ``demo``, resized to a longest side of --size px, is stylized four ways:

whole     by the network all at once, normalized with the thumbnail's statistics; the reference.
thumbnail in tiles, as users get it.
alone     in tiles, each normalized by its own statistics and cut at its border.
blended   the same, but with a halo that fades into those of its neighbors.

seam      mean step across tile borders over the mean step 16 px beside them; 1 is no seam.
largest   difference to the whole, of any pixel, on the scale of 0..1; and its mean.

--sheet saves the four ways, enlarged around the place where four tiles meet in the middle.
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
from quality import seam

from urst_core.geometry import Rectangle, cut, tile_around
from urst_core.method.run import Run
from urst_core.networks.model import Backbone
from urst_core.networks.style import StyleCode
from urst_core.pictures.source import TensorCanvas, TensorSource, to_unit
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

GAP = 8
"""Between the pictures of a sheet, in px."""


def main() -> None:
    options = parse_options()
    backbone = load_backbone(options.backbone, options.weights)
    content = framed(options.content, options.size, backbone)
    style = make_thumbnail(style_of(options.style), 1024)
    code = backbone.encode_style([style])
    stats = backbone.collect(make_thumbnail(content, 1024), code)
    whole = content.pixels.unsqueeze(0)
    with torch.inference_mode():
        ways = {"whole": backbone.bake(stats)(whole)[0].clamp(0, 1)}
    canvas = TensorCanvas(content.size, dtype=torch.float32)
    settings = Settings(tile_size=options.tile_size, precision="fp32")
    run = Run.of(content, backbone, settings)
    run.stylize(run.network(stats), canvas)
    ways["thumbnail"] = canvas.pixels
    ways["alone"] = each_alone(backbone, whole, code, options.tile_size, halo=0)
    ways["blended"] = each_alone(
        backbone, whole, code, options.tile_size, halo=backbone.traits.halo
    )
    print(f"{backbone.traits.name}, {content.size[1]} x {content.size[0]} px")
    print("way         seam   largest      mean")
    for name, picture in ways.items():
        difference = (picture - ways["whole"]).abs()
        step = seam(picture, options.tile_size)
        print(
            f"{name:9} {step:6.3f} {float(difference.max()):9.2g} {float(difference.mean()):9.2g}"
        )
    if options.sheet:
        save_sheet(list(ways.values()), options.tile_size, options.sheet)


def framed(name: str, longest_side: int, backbone: Backbone) -> TensorSource:
    """The picture in the requested size, cropped to a multiple of the network's stride."""
    pixels = content_of(name, longest_side)
    height, width = (side - side % backbone.traits.stride for side in pixels.shape[1:])
    return TensorSource(to_unit(pixels[:, :height, :width]).contiguous())


def each_alone(
    backbone: Backbone, whole: Tensor, code: StyleCode, edge: int, *, halo: int
) -> Tensor:
    """Tiles normalized by their own statistics; (3, H, W), 0..1.

    With a halo, windows overlap by twice as much, and weights fall from 1 to 0 across it.
    """
    size = whole.shape[2], whole.shape[3]
    total = torch.zeros_like(whole)
    weights = torch.zeros_like(whole[:, :1])
    for core in cut(Rectangle.of_size(size), edge):
        area = tile_around(core, halo, size).window
        window = whole[(..., *area.slices)]
        with torch.inference_mode():
            stylized = backbone.bake(backbone.collect(window, code))(window)
        weight = ramp(area.top, area.bottom, size[0], halo)[:, None]
        weight = weight * ramp(area.left, area.right, size[1], halo)
        total[(..., *area.slices)] += stylized * weight
        weights[(..., *area.slices)] += weight
    return (total / weights)[0].clamp(0, 1)


def ramp(start: int, end: int, length: int, halo: int) -> Tensor:
    """Weights along one side: 1, but falling over twice the halo where a neighbor overlaps."""
    places = torch.arange(start, end) + 0.5
    weight = torch.ones(end - start)
    if halo and start > 0:
        weight = torch.minimum(weight, (places - start) / (2 * halo))
    if halo and end < length:
        weight = torch.minimum(weight, (end - places) / (2 * halo))
    return weight


def save_sheet(pictures: list[Tensor], edge: int, path: Path) -> None:
    """Crops around the middlemost crossing of tile borders, side by side."""
    crops = []
    for picture in pictures:
        places = [max(1, round(side / 2 / edge)) * edge for side in picture.shape[1:]]
        top, left = (max(0, place - edge // 2) for place in places)
        crops.append(picture[:, top : top + edge, left : left + edge])
    row = torch.cat([F.pad(crop, (0, GAP, 0, 0), value=1.0) for crop in crops], dim=2)[..., :-GAP]
    save(row, path)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("--backbone", default="microast")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--tile-size", type=int, default=512)
    parser.add_argument("--sheet", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
