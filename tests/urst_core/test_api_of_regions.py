"""The library's regions: maps of all kinds of pictures, batches, files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from examples import picture, save_picture, stored_picture

import urst_core as urst
from urst_core.errors import SettingsError
from urst_core.method.pipeline import stylize
from urst_core.method.regions import Region, Regions
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.region_map import ColorRegions, MaskRegions
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

SIZE = (48, 72)
CONTENT = picture(SIZE)
ONE, OTHER = (picture((64, 72), seed=seed) for seed in (3, 4))
AREAS = np.zeros((*SIZE, 3), np.uint8)
AREAS[:, :30] = (255, 0, 0)
AREAS[:, 30:] = (0, 0, 255)
LEFT = np.arange(SIZE[1]) < np.full((SIZE[0], 1), 30)
OPTIONS = {"strokes": "fine", "thumbnail_size": 40, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def model():
    return urst.load_backbone(**OPTIONS)


def by_hand(model, map_, each, content=CONTENT, **settings):
    canvas = TensorCanvas(SIZE, dtype=torch.float32)
    chosen = Settings(**{**OPTIONS, **settings})
    stylize(TensorSource(content), Regions(map_, each), canvas, model.backbone, chosen)
    return canvas.pixels


def test_colors(model):
    regions = urst.color_regions(
        AREAS, {"red": ONE, "#0000ff": [ONE, OTHER]}, strengths={"blue": 0.5}, feather=8
    )
    pixels = torch.from_numpy(AREAS).permute(2, 0, 1)
    map_ = ColorRegions.of(TensorSource(pixels), [(255, 0, 0), (0, 0, 255)], 8)
    styles = TensorSource(ONE), TensorSource(OTHER)
    each = [Region([styles[0]]), Region(styles, strength=0.5)]
    assert float((model(CONTENT, regions) - by_hand(model, map_, each)).abs().max()) <= 1e-6


def test_masks_on_top_of_one_another_with_the_style_matched(model):
    middle = torch.zeros(SIZE)
    middle[10:30, 20:50] = 0.5
    regions = urst.mask_regions([LEFT, middle], [ONE, OTHER])
    left = torch.from_numpy(LEFT.astype(np.float32))
    map_ = MaskRegions([Mask(TensorMask(left)), Mask(TensorMask(middle))])
    each = [Region([TensorSource(ONE)]), Region([TensorSource(OTHER)])]
    painted = model(CONTENT, regions, colors="matched")
    expected = by_hand(model, map_, each, colors="matched")
    assert float((painted - expected).abs().max()) <= 1e-6
    assert torch.equal(painted[:, 40:, 60:], CONTENT[:, 40:, 60:])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["per picture", "shared", "smoothed"])
@pytest.mark.parametrize("strokes", ["fine", "preview"])
def test_batches(model, kind, strokes):
    """Of equal pictures, which share the statistics of one, or of a region in it."""
    batch = torch.stack([CONTENT, CONTENT])
    styles, strengths = {"red": ONE, "blue": OTHER}, {"red": 0.7}
    stats = "region" if kind == "shared" else "picture"
    regions = urst.color_regions(AREAS, styles, strengths=strengths, region_stats=stats)
    options = {"strokes": strokes, "strength": 0.9, "thumbnail_size": 64}
    one = model(CONTENT, regions, **options)
    both = model(batch, regions, batch_statistics=kind, **options)
    assert float((both - one).abs().max()) <= 6e-3  # of twice as many pixels: n - 1 differs


@pytest.mark.slow
def test_files(model, tmp_path):
    save_picture(tmp_path / "photo.png", stored_picture(SIZE))
    save_picture(tmp_path / "map.png", torch.from_numpy(AREAS).permute(2, 0, 1))
    for name, pixels in (("one.png", ONE), ("other.png", OTHER)):
        save_picture(tmp_path / name, (pixels * 255).round().to(torch.uint8))
    one, other = str(tmp_path / "one.png"), str(tmp_path / "other.png")
    photo, area_map = str(tmp_path / "photo.png"), str(tmp_path / "map.png")
    styles = {"red": one, "blue": [other, one]}
    options = {"region_feather": 6, "region_strengths": {"red": 0.8}, "backbone": model}
    output = tmp_path / "out.png"
    urst.stylize_file(photo, styles, output, regions=area_map, **options)
    regions = urst.color_regions(area_map, styles, strengths={"red": 0.8}, feather=6)
    assert np.array_equal(np.asarray(model(photo, regions)), load(output))
    urst.stylize_file(photo, [one, other], tmp_path / "mixed.png", mix_map=photo, backbone=model)
    mixed = model(photo, urst.mix_along_map(photo, [one, other]))
    assert np.array_equal(np.asarray(mixed), load(tmp_path / "mixed.png"))


def load(path):
    from PIL import Image  # noqa: PLC0415 - of this test

    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (
            lambda: urst.mask_regions([LEFT], [ONE, OTHER]),
            "1 masks, 2 styles and 2 strengths; give as many of each",
        ),
        (
            lambda: urst.mask_regions([LEFT, LEFT[:20]], [ONE, OTHER]),
            "masks of several sizes cannot be one map: 48 x 72, 20 x 72 px (height x width)",
        ),
        (
            lambda: urst.color_regions(AREAS, {"red": ONE, "blue": OTHER}, strengths={"lime": 1}),
            "region #00ff00 has a strength, but no style; give it a style, or leave the strength "
            "out",
        ),
        (
            lambda: urst.stylize_file("a.png", {"red": "b.png"}, "c.png"),
            "a map of regions and styles by color belong together; pass both, or neither",
        ),
        (
            lambda: urst.stylize_file("a.png", "b.png", "c.png", region_feather=3),
            "a map of regions is missing for a feather of 3 px between regions; add regions",
        ),
        (
            lambda: urst.stylize_file("a.png", "b.png", "c.png", region_strengths={"red": 0.5}),
            "a map of regions is missing for strengths of regions; add regions",
        ),
        (
            lambda: urst.stylize_file("a.png", "b.png", "c.png", region_stats="region"),
            "a map of regions is missing for statistics of each region; add regions",
        ),
    ],
)
def test_what_is_refused(refused, message):
    with pytest.raises(SettingsError) as caught:
        refused()
    assert str(caught.value) == message


def test_weights_belong_to_regions(model):
    regions = urst.mask_regions([LEFT], [ONE])
    with pytest.raises(SettingsError) as caught:
        model(CONTENT, regions, weights=[1])
    assert str(caught.value) == "weights of styles are part of their regions"
