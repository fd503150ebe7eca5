"""Resampling: the values of other libraries, the same in every window."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from urst_core.geometry import Rectangle, cut
from urst_core.pictures.resampling import Chain, Resample, Resampling


def random_pixels(size, dtype=torch.float64, seed=0):
    return torch.rand(3, *size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def resampled(pixels, size):
    before = (pixels.shape[1], pixels.shape[2])
    scale = Fraction(before[0], size[0]), Fraction(before[1], size[1])
    whole = Rectangle.of_size(before)
    return Resampling.between(before, scale).apply(pixels, whole, Rectangle.of_size(size))


@pytest.mark.parametrize("size", [(62, 90), (31, 45), (47, 61), (16, 23), (13, 45), (93, 91)])
def test_equal_to_the_bicubic_of_torch(size):
    """The antialiased one: its parameter is -1/2, and it ignores pixels beyond the border."""
    pixels = random_pixels((31, 45))
    expected = F.interpolate(pixels[None], size=size, mode="bicubic", antialias=True)[0]
    assert float((resampled(pixels, size) - expected).abs().max()) <= 1e-12


@pytest.mark.parametrize("size", [(62, 90), (20, 31), (40, 77)])
def test_equal_to_the_bicubic_of_pillow(size):
    pixels = random_pixels((31, 45), torch.float32)
    picture = Image.fromarray(pixels[0].numpy())
    expected = np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC))
    assert float(np.abs(resampled(pixels, size)[0].numpy() - expected).max()) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "scale",
    [Fraction(1, 2), Fraction(2), Fraction(31, 40), Fraction(157, 100), Fraction(1)],
    ids=str,
)
def test_a_window_equals_the_whole_bit_for_bit(scale, dtype):
    before = (61, 47)
    pixels = random_pixels(before, dtype)
    after = tuple(int(length / scale) for length in before)
    resampling = Resampling.between(before, (scale, scale))
    whole = resampling.apply(pixels, Rectangle.of_size(before), Rectangle.of_size(after))
    middle = Rectangle(after[0] // 3, after[1] // 4, after[0] // 3 + 7, after[1] // 4 + 6)
    corner = Rectangle(after[0] - 5, after[1] - 3, *after)
    pixel = Rectangle(9, 8, 10, 9)
    for target in (
        middle,
        corner,
        pixel,
        Rectangle(0, 0, 1, after[1]),
        *cut(Rectangle.of_size(after), 11),
    ):
        needed = resampling.needs(target)
        part = resampling.apply(pixels[(..., *needed.slices)], needed, target)
        assert torch.equal(part, whole[(..., *target.slices)])


def test_pixels_beyond_the_needed_area_have_no_effect():
    resampling = Resampling.between((40, 40), (Fraction(1, 2), Fraction(1, 2)))
    target = Rectangle(20, 24, 30, 36)
    needed = resampling.needs(target)
    assert needed == Rectangle(8, 10, 17, 20)
    pixels = random_pixels((40, 40))
    outside = torch.ones(40, 40, dtype=torch.bool)
    outside[needed.slices] = False
    whole = Rectangle.of_size((40, 40))
    changed = torch.where(outside, pixels + 1.0, pixels)
    assert torch.equal(
        resampling.apply(pixels, whole, target), resampling.apply(changed, whole, target)
    )
    for row, column in ((needed.top, needed.left), (needed.bottom - 1, needed.right - 1)):
        changed = pixels.clone()
        changed[:, row, column] += 1.0
        before, after = (resampling.apply(p, whole, target) for p in (pixels, changed))
        assert not torch.equal(before, after)


def test_one_color_stays_itself_up_to_the_border():
    flat = torch.full((3, 21, 17), 0.3, dtype=torch.float64)
    for size in ((42, 34), (11, 9), (30, 20)):
        assert float((resampled(flat, size) - 0.3).abs().max()) <= 1e-15


@pytest.mark.parametrize("lengths", [(24, 48), (24, 47), (20, 31), (7, 8), (1, 2)])
def test_a_chain_is_its_two_steps(lengths):
    coarse, fine = lengths
    up, down = Resample(coarse, Fraction(coarse, fine)), Resample(fine, Fraction(fine, coarse))
    pixels = random_pixels((coarse, coarse))
    whole = Rectangle.of_size((coarse, coarse))
    enlarged = Resampling(up, up).apply(pixels, whole, Rectangle.of_size((fine, fine)))
    back = Resampling(down, down).apply(enlarged, Rectangle.of_size((fine, fine)), whole)
    chain = Chain(up, down)
    at_once = Resampling(chain, chain).apply(pixels, whole, whole)
    assert float((at_once - back).abs().max()) <= 1e-12


def test_weights_of_the_cubic_at_a_quarter():
    taps = Resample(100, Fraction(1, 2)).taps(40, 41)
    assert taps.first.tolist() == [18]
    # -1/2 x^3 + 5/2 x^2 - 4 x + 2 at 1.75 and 1.25, 3/2 x^3 - 5/2 x^2 + 1 at 0.75 and 0.25
    assert taps.weights[:, 0].tolist() == [-3 / 128, 29 / 128, 111 / 128, -9 / 128]
