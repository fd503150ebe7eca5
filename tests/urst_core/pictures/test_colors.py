"""Colors: Oklab, the content's chroma, colors brought to other ones."""

from __future__ import annotations

import math

import pytest
import torch
from examples import picture

from urst_core.pictures.colors import ColorStatistics, keep_chroma, oklab
from urst_core.pictures.source import from_unit

CONTENT = picture((40, 60)).double()
PAINTING = picture((40, 60), seed=1).double()


@pytest.mark.parametrize(
    ("color", "lab"),
    [
        # Published by the author of Oklab for sRGB's white, and by CSS Color 4 for the primaries.
        ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.62796, 0.22486, 0.12585)),
        ((0.0, 1.0, 0.0), (0.86644, -0.23389, 0.17950)),
        ((0.0, 0.0, 1.0), (0.45201, -0.03246, -0.31153)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_oklab_of_known_colors(color, lab):
    assert oklab(torch.tensor(color)).tolist() == pytest.approx(lab, abs=2e-5)


def test_a_gray_painting_takes_the_contents_chroma():
    """Where sRGB has the color; its lightness is the painting's."""
    content = 0.4 + 0.2 * CONTENT
    gray = (0.3 + 0.4 * PAINTING[:1]).expand(3, -1, -1)
    before, wanted, kept = oklab(gray), oklab(content), oklab(keep_chroma(content, gray))
    assert float((kept[0] - before[0]).abs().max()) <= 1e-9
    assert float((kept[1:] - wanted[1:]).abs().max()) <= 1e-9


def test_the_content_as_painting_stays_and_gray_content_gives_gray():
    assert float((keep_chroma(CONTENT, CONTENT) - CONTENT).abs().max()) <= 1e-9
    gray = keep_chroma(CONTENT[:1].expand(3, -1, -1), PAINTING)
    assert float((gray - gray[:1]).abs().max()) <= 1e-6
    assert float((oklab(gray)[0] - oklab(PAINTING)[0]).abs().max()) <= 1e-6


def test_colors_outside_the_gamut_lose_chroma_but_keep_hue_and_lightness():
    """Vivid content on dark and light paint."""
    colors = torch.rand(3, 1, 2000, generator=torch.Generator().manual_seed(0)).double()
    content = (colors > 0.5).double()
    light = torch.linspace(0.02, 0.98, 2000).double().expand(3, 1, -1)
    kept = keep_chroma(content, light)
    assert 0.0 <= float(kept.min()) <= float(kept.max()) <= 1.0
    before, lab = oklab(content), oklab(kept)
    assert float((lab[0] - oklab(light)[0]).abs().max()) <= 1e-6
    length, wanted = lab[1:].norm(dim=0), before[1:].norm(dim=0)
    assert bool((length <= wanted + 1e-6).all())
    lost = length < wanted - 1e-3
    assert 0.5 < float(lost.double().mean()) < 1.0
    # On the gamut's border, not just somewhere inside it.
    edge = torch.minimum(kept, 1.0 - kept).amin(0)
    assert float(edge[lost].max()) <= 1e-6
    across = lab[1] * before[2] - lab[2] * before[1]
    assert float((across / wanted.clamp(min=1e-3)).abs().max()) <= 1e-6


def test_nearly_equal_colors_stay_nearly_equal():
    """So float64 tiles, which differ by rounding, give the same picture."""
    near = PAINTING + 1e-13 * torch.randn(
        PAINTING.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    first, second = keep_chroma(CONTENT, PAINTING), keep_chroma(CONTENT, near.clamp(0, 1))
    assert float((first - second).abs().max()) <= 1e-10


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_stored_content_of_any_depth_with_alpha(dtype):
    stored = from_unit(torch.cat([CONTENT, CONTENT[:1]]), dtype)
    kept = keep_chroma(stored, PAINTING.float())
    assert kept.dtype == torch.float32
    error = float((kept - keep_chroma(CONTENT, PAINTING)).abs().max())
    # Rounding to 8 bits moves dark colors by up to 0.01 in the result.
    assert error <= (0.05 if dtype == torch.uint8 else 5e-4)


def test_matched_pictures_have_the_mean_and_the_covariance():
    content = ColorStatistics.of([0.3 + 0.3 * CONTENT[None]])
    style = 0.2 + 0.5 * PAINTING[None]
    matched = ColorStatistics.of([content.match(style)])
    assert float((matched.mean - content.mean).abs().max()) <= 1e-6
    assert float((matched.covariance - content.covariance).abs().max()) <= 2e-5
    assert float((ColorStatistics.of([style]).mean - content.mean).abs().max()) > 0.01


def test_a_picture_that_matches_already_stays():
    own = ColorStatistics.of([PAINTING[None]])
    assert float((own.match(PAINTING[None]) - PAINTING[None]).abs().max()) <= 1e-9


def test_several_pictures_are_measured_as_one():
    whole = ColorStatistics.of([PAINTING[None]])
    parts = ColorStatistics.of([PAINTING[None, :, :13], PAINTING[None, :, 13:]])
    assert torch.allclose(whole.mean, parts.mean, atol=1e-12)
    assert torch.allclose(whole.covariance, parts.covariance, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_flat_styles_and_contents_stay_finite(value):
    flat = torch.full((1, 3, 8, 8), value)
    for content, style in ((flat, PAINTING[None]), (PAINTING[None], flat)):
        matched = ColorStatistics.of([content]).match(style)
        assert bool(matched.isfinite().all())
        error = (matched.double().mean((0, 2, 3)) - content.double().mean((0, 2, 3))).abs().max()
        assert float(error) <= 0.02
    assert bool(keep_chroma(flat[0], flat[0]).isfinite().all())
    assert math.isclose(float(keep_chroma(flat[0], flat[0]).mean()), value, abs_tol=1e-6)
