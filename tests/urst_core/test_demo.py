"""Pictures of the demo: the same at any size, however they are read."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.errors import ShapeError
from urst_core.geometry import Rectangle, cut
from urst_core.pictures.thumbnail import make_thumbnail

SIZES = [(1, 1), (1, 300), (300, 1), (2, 5), (97, 131), (160, 240), (140, 700), (300, 130)]


def whole(landscape: DemoLandscape) -> torch.Tensor:
    return landscape.read(Rectangle.of_size(landscape.size))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("edge", [1000, 97, 64])
def test_landscape_by_rectangles_equals_the_whole(size, edge):
    landscape = DemoLandscape(size)
    expected = whole(landscape)
    assert expected.shape == (3, *size)
    assert expected.dtype == landscape.dtype == torch.uint8
    assert landscape.channels == 3
    joined = torch.zeros_like(expected)
    # Read backward, by another object: nothing is remembered.
    other = DemoLandscape(size)
    for rectangle in reversed(list(cut(Rectangle.of_size(size), edge))):
        joined[(..., *rectangle.slices)] = other.read(rectangle)
    assert torch.equal(joined, expected)


@pytest.fixture(scope="module")
def pixels_150x300() -> torch.Tensor:
    return whole(DemoLandscape((150, 300)))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=15)
def test_any_rectangle_equals_that_part_of_the_whole(pixels_150x300, data):
    top, left = data.draw(st.integers(0, 149)), data.draw(st.integers(0, 299))
    bottom, right = data.draw(st.integers(top + 1, 150)), data.draw(st.integers(left + 1, 300))
    rectangle = Rectangle(top, left, bottom, right)
    part = DemoLandscape((150, 300)).read(rectangle)
    assert torch.equal(part, pixels_150x300[(..., *rectangle.slices)])


def test_landscape_of_one_seed_is_the_same_and_of_two_is_not():
    first, again, other = (whole(DemoLandscape((90, 120), seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_landscape_is_a_picture():
    """Bright sky over dark land, many colors, and few clipped pixels."""
    picture = whole(DemoLandscape((200, 300))).float()
    assert float(picture.std()) > 30
    assert float(picture[:, :60].mean()) > float(picture[:, 170:].mean())
    assert len(picture.flatten(1).unique(dim=1).T) > 5000
    assert float((picture == 255).float().mean()) < 0.05


def test_landscape_shows_the_same_at_every_size():
    small = make_thumbnail(DemoLandscape((120, 180)), 30)
    large = make_thumbnail(DemoLandscape((360, 540)), 30)
    assert float((small - large).abs().mean()) < 0.03


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-1, 10), (0, 0)])
def test_empty_landscape(size):
    with pytest.raises(ShapeError) as caught:
        DemoLandscape(size)
    assert str(caught.value) == (
        f"landscape of {size[0]} x {size[1]} px is empty; use at least 1 x 1"
    )


@pytest.mark.parametrize(
    "rectangle",
    [
        Rectangle(0, 0, 0, 10),
        Rectangle(5, 5, 5, 10),
        Rectangle(0, 0, 21, 10),
        Rectangle(0, 0, 10, 31),
        Rectangle(-1, 0, 10, 10),
        Rectangle(0, -1, 10, 10),
        Rectangle(8, 0, 4, 10),
    ],
)
def test_rectangle_outside_the_landscape(rectangle):
    with pytest.raises(ShapeError) as caught:
        DemoLandscape((20, 30)).read(rectangle)
    assert str(caught.value) == (
        f"{rectangle} is empty or leaves the landscape of (20, 30); read inside it"
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (1, 60), (60, 1), (33, 71), (128, 128)])
def test_painting_has_the_size_asked_for(size):
    painting = demo_painting(size)
    assert painting.shape == (3, *size)
    assert painting.dtype == torch.uint8
    assert painting.is_contiguous()


@pytest.mark.slow
def test_painting_of_one_seed_is_the_same_and_of_two_is_not():
    first, again, other = (demo_painting((64, 80), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # The strokes are others; the composition is the same.
    coarse = [
        torch.nn.functional.adaptive_avg_pool2d(painting.float(), 6) for painting in (first, other)
    ]
    assert float((coarse[0] - coarse[1]).abs().mean()) < 25


@pytest.mark.slow
def test_painting_is_colorful():
    painting = demo_painting((96, 96)).float()
    assert float(painting.std()) > 40
    assert float((painting.amax(0) - painting.amin(0)).mean()) > 50


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-3, 4)])
def test_empty_painting(size):
    with pytest.raises(ShapeError) as caught:
        demo_painting(size)
    assert str(caught.value) == (
        f"painting of {size[0]} x {size[1]} px is empty; use at least 1 x 1"
    )
