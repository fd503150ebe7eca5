"""urst_core.method.crop: a region has the pixels of the finished picture."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.errors import SettingsError
from urst_core.geometry import Rectangle
from urst_core.method.crop import CroppedSource, stylize_region
from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

SIZE = (120, 168)
REGION = Rectangle(33, 50, 97, 115)


@pytest.mark.slow
@pytest.mark.parametrize("strokes", ["fine", 2.0])
def test_a_region_equals_that_of_the_whole_picture(strokes):
    content, style = (TensorSource(picture(SIZE, seed=seed)) for seed in (1, 2))
    network = load_backbone()
    settings = Settings(thumbnail_size=64, tile_size=64, strokes=strokes, device="cpu")
    whole = TensorCanvas(SIZE, dtype=torch.float32)
    stylize(content, [style], whole, network, settings)
    part = TensorCanvas(REGION.size, dtype=torch.float32)
    computed = []
    stylize_region(
        content,
        [style],
        REGION,
        part,
        network,
        settings,
        listener=lambda progress: computed.append(progress.core),
    )
    assert torch.equal(part.pixels, whole.pixels[(..., *REGION.slices)])
    assert computed


def test_a_region_is_read_as_a_picture_of_its_own():
    source = TensorSource(picture(SIZE, seed=1))
    part = CroppedSource(source, REGION)
    assert (part.size, part.channels, part.dtype) == ((64, 65), 3, source.dtype)
    expected = source.pixels[:, 43:53, 55:75]
    assert torch.equal(part.read(Rectangle(10, 5, 20, 25)), expected)


@pytest.mark.parametrize(
    "region", [Rectangle(0, 0, 121, 10), Rectangle(5, 5, 5, 9), Rectangle(-1, 0, 10, 10)]
)
def test_a_region_outside_is_refused(region):
    source = TensorSource(picture(SIZE, seed=1))
    canvas = TensorCanvas((1, 1))
    with pytest.raises(SettingsError, match=r"is not inside the picture of 168 x 120 px; choose a"):
        stylize_region(source, [source], region, canvas, load_backbone())
