"""Style Region: any number of styles in one pass of Stylize Image."""

from __future__ import annotations

import pytest
import torch
from examples import picture

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
SIZE = (72, 104)

pytestmark = pytest.mark.usefixtures("inference_mode")


def image(size=SIZE, *, seed=1):
    return picture(size, seed=seed).permute(1, 2, 0).unsqueeze(0).contiguous()


def columns(first, last):
    mask = torch.zeros(1, *SIZE)
    mask[:, :, first:last] = 1.0
    return mask


ONE, OTHER = image((64, 64), seed=9), image((64, 72), seed=5)


@pytest.fixture
def stylize(call, backbone):
    inputs = {"backbone": backbone, "tile_size": 64, "strokes": 1.0, **LOOK}
    return lambda content, **more: call("StylizeImage", content=content, **(inputs | more))[0]


@pytest.mark.slow
def test_styles_in_a_row_on_top_of_one_another(call, stylize):
    [below] = call("StyleRegion", style=ONE, mask=columns(0, 60))
    [regions] = call("StyleRegion", style=OTHER, mask=columns(40, 80), regions=below)
    content = image()
    painted = stylize(content, regions=regions)
    one, other = stylize(content, style=ONE), stylize(content, style=OTHER)
    assert torch.equal(painted[:, :, :40], one[:, :, :40])
    assert torch.equal(painted[:, :, 40:80], other[:, :, 40:80])
    assert torch.equal(painted[:, :, 80:], content[:, :, 80:])
    assert len(below) == 1


@pytest.mark.slow
def test_a_style_everywhere_is_below_the_regions(call, stylize):
    [regions] = call("StyleRegion", style=OTHER, mask=columns(40, 80), strength=0.5)
    content = image()
    painted = stylize(content, regions=regions, style=ONE)
    one, other = stylize(content, style=ONE), stylize(content, style=OTHER, strength=0.5)
    assert torch.equal(painted[:, :, 80:], one[:, :, 80:])
    torch.testing.assert_close(painted[:, :, 40:80], other[:, :, 40:80], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_regions_of_a_batch_of_frames_with_a_mixture(call, stylize):
    [regions] = call("StyleRegion", style=ONE, style_2=OTHER, style_2_weight=0.25)
    frames = torch.cat([image(), image(seed=2)])
    painted = stylize(frames, regions=regions, region_stats="region")
    mixed = stylize(frames, style=ONE, style_2=OTHER, style_2_weight=0.25)
    torch.testing.assert_close(painted, mixed, rtol=0, atol=1e-6)


def test_masks_that_do_not_fit_are_refused(call, stylize):
    [regions] = call("StyleRegion", style=ONE, mask=torch.ones(2, *SIZE))
    with pytest.raises(Exception, match="a batch of 2 masks does not fit a batch of 1"):
        stylize(image(), regions=regions)


def test_statistics_of_regions_without_regions_are_refused(stylize):
    with pytest.raises(Exception, match="missing for statistics of each region; add regions"):
        stylize(image(), style=ONE, region_stats="region")
