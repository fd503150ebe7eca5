"""Noise that is the same for all tiles and machines, and where it appears."""

from __future__ import annotations

import hashlib

import pytest
import torch
from examples import picture

from urst_core.geometry import Rectangle, cut
from urst_core.method.brushwork import FLATNESS_RADIUS, flatness, noise

AREA = Rectangle(0, 0, 300, 400)

DIGESTS = ["9e783eeff5d3c406", "45f3b1173487167b"]
VALUES = [1.0050913095474243, 1.6658570766448975, 1.5489860773086548, 0.9002490639686584]


@pytest.mark.parametrize(("level", "seed"), [(0, 0), (1, 0), (5, 7), (2, 2**32 - 1)])
def test_noise_is_gaussian_enough(level, seed):
    values = noise(Rectangle(0, 0, 800, 800), level=level, seed=seed)
    assert values.shape == (1, 800, 800)
    assert values.dtype == torch.float32
    assert abs(float(values.mean())) < 0.01
    assert abs(float(values.std()) - 1.0) < 0.01
    # A Gaussian has 4.55% beyond two deviations and a kurtosis of 3.
    assert abs(float((values.abs() > 2).float().mean()) - 0.0455) < 0.003
    assert abs(float((values**4).mean()) - 3.0) < 0.1


def test_noise_has_no_direction_and_no_period():
    """Correlations: those of the filter next to a pixel, none farther away, in any direction."""
    values = noise(Rectangle(0, 0, 1000, 1000), level=1, seed=3)[0]

    def correlation(down, right):
        height, width = 1000 - down, 1000 - right
        return float((values[:height, :width] * values[down:, right:]).mean())

    assert correlation(0, 1) == pytest.approx(56 / 70, abs=0.01)
    assert correlation(1, 0) == pytest.approx(56 / 70, abs=0.01)
    assert correlation(2, 0) == pytest.approx(28 / 70, abs=0.01)
    for down in (0, 5, 8, 16, 64, 128, 256, 512):
        for right in (0, 5, 8, 16, 64, 128, 256, 512):
            if down or right:
                assert abs(correlation(down, right)) < 0.02


def test_any_cut_makes_the_same_noise():
    whole = noise(AREA, level=2, seed=9)
    for edge in (64, 97, 1000):
        for core in cut(AREA, edge):
            assert torch.equal(noise(core, level=2, seed=9), whole[(..., *core.slices)])


def test_levels_and_seeds_have_noise_of_their_own():
    fields = [
        noise(AREA, level=level, seed=seed).flatten()
        for level, seed in [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 1)]
    ]
    correlations = torch.corrcoef(torch.stack(fields)) - torch.eye(len(fields))
    assert float(correlations.abs().max()) < 0.03


def test_noise_is_the_same_on_every_machine():
    """Whole numbers up to one product with a float32: literal values hold anywhere."""
    far = Rectangle(1_000_000, 60_000, 1_000_032, 60_032)
    digests = [
        hashlib.sha256(noise(area, level=3, seed=42).numpy().tobytes()).hexdigest()[:16]
        for area in (Rectangle(0, 0, 32, 32), far)
    ]
    assert digests == DIGESTS
    assert noise(Rectangle(0, 0, 1, 4), level=3, seed=42).flatten().tolist() == VALUES


def test_flatness_differs_between_sky_and_leaves():
    content = picture((60, 80), seed=1) * 0.3
    content[:, :, 40:] = 0.6
    flat = flatness(content)
    assert flat.shape == (1, 60, 80)
    assert float(flat[:, :, 50:].min()) > 0.9999
    assert float(flat[:, :, :30].mean()) < 0.5
    # A deviation of 0.02 halves it.
    waves = torch.tensor([0.48, 0.52]).repeat(40).expand(3, 60, 80)
    assert float(flatness(waves)[0, 30, 40]) == pytest.approx(0.5, abs=0.01)


def test_flatness_depends_on_a_few_pixels_only():
    content = picture((60, 80), seed=2).double()
    whole, radius = flatness(content), FLATNESS_RADIUS
    part = Rectangle(10, 20, 40, 60)
    inner = part.grown(-radius)
    here = flatness(content[(..., *part.slices)])[(..., *inner.relative_to(part).slices)]
    assert torch.equal(here, whole[(..., *inner.slices)])
    # At the picture's own border the window ends with it.
    corner = flatness(content[:, :30, :30])[:, : 30 - radius, : 30 - radius]
    assert torch.equal(corner, whole[:, : 30 - radius, : 30 - radius])
