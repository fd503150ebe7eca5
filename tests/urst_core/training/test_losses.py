"""Losses against numbers computed by hand."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.errors import ShapeError
from urst_core.networks.style import StyleCode
from urst_core.training.losses import (
    CHROMA_SHARE,
    STRUCTURE_SHARE,
    color_loss,
    content_loss,
    fine_detail,
    gram_loss,
    gram_matrix,
    grid_loss,
    mean_std_loss,
    out_of_range_loss,
    painting_loss,
    ssim_loss,
    stroke_perceptual_loss,
    style_signal_contrastive_loss,
    total_variation_loss,
)

EPSILON = 1e-5


def features(*channels: list[float]) -> torch.Tensor:
    """One picture's features of one row."""
    return torch.tensor([[[row] for row in channels]])


def code(*signals: list[float]) -> StyleCode:
    """Named signals of one channel each; one value a picture."""
    return StyleCode(
        {
            f"signal{n}": torch.tensor(values)[:, None, None, None]
            for n, values in enumerate(signals)
        }
    )


# Content


def test_content_loss_by_hand():
    # Differences 1, 2, 0, -3: (1 + 4 + 0 + 9) / 4.
    first, second = features([1.0, 2.0], [3.0, 4.0]), features([0.0, 0.0], [3.0, 7.0])
    assert content_loss(first, second).item() == pytest.approx(3.5)
    assert content_loss(second, first).item() == pytest.approx(3.5)
    assert content_loss(first, first).item() == 0


def test_content_loss_of_half_precision_is_summed_in_float32():
    wide = torch.full((1, 1, 300, 300), 300.0)
    loss = content_loss(wide.half(), torch.zeros_like(wide).half())
    assert loss.dtype == torch.float32
    assert loss.item() == 90_000  # beyond half precision


# Mean and deviation: AdaIN, equation 13


def test_mean_std_loss_by_hand():
    # Channels (1, 3) and (2, 2) of means 2, 2, unbiased variances 2, 0;
    # against (5, 5, 8) and (2, 2, 2) of means 6, 2, unbiased variances 3, 0.
    first, second = features([1.0, 3.0], [2.0, 2.0]), features([5.0, 5.0, 8.0], [2.0, 2.0, 2.0])
    deviations = (2 + EPSILON) ** 0.5, (3 + EPSILON) ** 0.5
    expected = (16 + 0) / 2 + ((deviations[0] - deviations[1]) ** 2 + 0) / 2
    assert expected == pytest.approx(8.0505, abs=1e-4)
    assert mean_std_loss([first], [second]).item() == pytest.approx(expected, rel=1e-6)
    assert mean_std_loss([second], [first]).item() == pytest.approx(expected, rel=1e-6)


def test_mean_std_loss_sums_over_layers_and_averages_over_pictures():
    low, high = features([0.0, 0.0]), features([2.0, 2.0])  # 4 apart, deviations equal
    pictures, targets = torch.cat([low, low]), torch.cat([low, high])
    assert mean_std_loss([pictures], [targets]).item() == pytest.approx(2.0)
    assert mean_std_loss([pictures, low], [targets, high]).item() == pytest.approx(6.0)


def test_mean_std_loss_is_blind_to_where_things_are():
    first = picture((8, 8))[None]
    assert mean_std_loss([first], [first.flip(-1)]).item() == pytest.approx(0, abs=1e-12)


# Gram matrices: Johnson, equations 3 and 4


def test_gram_matrix_by_hand():
    # Products of (1, 2) and (3, -1), over 2 channels of 2 positions.
    expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4
    assert torch.equal(gram_matrix(features([1.0, 2.0], [3.0, -1.0])), expected)


def test_gram_loss_by_hand():
    # Gram matrices ((5, 1), (1, 10)) / 4 and ((0, 0), (0, 4)) / 4.
    first, second = features([1.0, 2.0], [3.0, -1.0]), features([0.0, 0.0], [0.0, 2.0])
    expected = (5**2 + 1 + 1 + 6**2) / 16
    assert gram_loss([first], [second]).item() == pytest.approx(expected)
    assert gram_loss([second], [first]).item() == pytest.approx(expected)
    assert gram_loss([first, second], [first, second]).item() == 0
    assert gram_loss([first, first], [second, second]).item() == pytest.approx(2 * expected)


def test_gram_loss_of_a_batch_against_one_style():
    zero, one = features([0.0, 0.0]), features([2.0, 0.0])  # Gram 0 and 2
    loss = gram_loss([torch.cat([zero, one, one])], [zero])
    assert loss.item() == pytest.approx((0 + 4 + 4) / 3)


def test_gram_matrix_keeps_float32_where_autocast_would_narrow_it():
    """As a recipe calls it: inside a step of bfloat16."""
    values = 1 + picture((16, 16), channels=8)[None]
    expected = gram_matrix(values)
    with torch.autocast("cpu", torch.bfloat16):
        narrowed = values.flatten(2) @ values.flatten(2).mT
        matrix = gram_matrix(values)
    assert narrowed.dtype == torch.bfloat16
    assert matrix.dtype == torch.float32
    assert torch.equal(matrix, expected)


# Strokes: URST, section 3.4


def test_stroke_perceptual_loss_by_hand():
    patch, thumbnail = features([1.0, 5.0], [0.0, 2.0]), features([2.0, 3.0], [0.0, 1.0])
    assert stroke_perceptual_loss(patch, thumbnail).item() == pytest.approx((1 + 4 + 0 + 1) / 4)
    assert stroke_perceptual_loss(patch, patch).item() == 0


def test_stroke_perceptual_loss_teaches_the_patch_alone():
    patch = features([1.0, 5.0]).requires_grad_()
    thumbnail = features([2.0, 3.0]).requires_grad_()
    stroke_perceptual_loss(patch, thumbnail).backward()
    assert thumbnail.grad is None
    assert patch.grad is not None
    assert torch.equal(patch.grad, torch.tensor([[[[-1.0, 2.0]]]]))  # 2 (p - t) / 2


# Style signals: MicroAST, section 3.3


def test_contrastive_loss_by_hand():
    """Two signals, three pictures; positives over the sum of negatives, summed over pictures."""
    results = code([0.0, 1.0, 2.0], [1.0, 0.0, 0.0])
    styles = code([1.0, 1.0, 4.0], [1.0, 2.0, 0.0])
    # Squared distances of both signals, from each result to each style:
    #   to style    0          1          2
    #   result 0    1 + 0      1 + 1      16 + 1
    #   result 1    0 + 1      0 + 4      9 + 0
    #   result 2    1 + 1      1 + 4      4 + 0
    expected = 1 / (2 + 17) + 4 / (1 + 9) + 4 / (2 + 5)
    assert style_signal_contrastive_loss(results, styles).item() == pytest.approx(expected)


def test_contrastive_loss_averages_over_channels():
    """So that a signal of many channels counts as much as one of few."""

    def wide(values):
        return StyleCode({"mean": torch.tensor(values)[:, :, None, None]})

    results, styles = wide([[0.0, 0.0], [4.0, 4.0]]), wide([[2.0, 0.0], [4.0, 1.0]])
    # Mean squares: to the own style 4 / 2 and 9 / 2, to the other (16 + 1) / 2 and (4 + 16) / 2.
    expected = 2 / 8.5 + 4.5 / 10
    assert style_signal_contrastive_loss(results, styles).item() == pytest.approx(expected)


def test_contrastive_loss_is_zero_where_every_result_signals_its_own_style():
    styles = code([1.0, 2.0, 5.0])
    assert style_signal_contrastive_loss(styles, styles).item() == 0


def test_contrastive_loss_of_equal_styles_is_finite():
    """There is nothing to tell apart, and nothing to divide by."""
    results = code([1.0, 1.0])
    assert style_signal_contrastive_loss(results, code([1.0, 1.0])).item() == 0


def test_contrastive_loss_teaches_results_and_styles():
    """As in the published code, gradients reach the styles' signals too."""
    results, styles = code([0.0, 1.0]), code([2.0, 4.0])
    for signals in (results, styles):
        signals.tensors["signal0"].requires_grad_()
    # (r0 - s0)^2 / (r0 - s1)^2 + (r1 - s1)^2 / (r1 - s0)^2 = 4 / 16 + 9 / 1
    style_signal_contrastive_loss(results, styles).backward()
    gradients = [
        signals.tensors["signal0"].grad.flatten().tolist() for signals in (results, styles)
    ]
    assert gradients[0] == pytest.approx([-4 / 16 + 8 / 64, -6 / 1 + 18 / 1])
    assert gradients[1] == pytest.approx([4 / 16 - 18 / 1, -8 / 64 + 6 / 1])


def test_contrastive_loss_of_one_picture():
    with pytest.raises(ShapeError) as caught:
        style_signal_contrastive_loss(code([1.0]), code([2.0]))
    assert str(caught.value) == (
        "a batch of 1 has no other style to contrast with; "
        "use a batch of 2 or more, or give the contrastive loss weight 0"
    )


# Pixels


def test_total_variation_loss_by_hand():
    # Down: 3, 1 (mean square 5); across: 1, -1 (mean square 1).
    pixels = torch.tensor([[[[0.0, 1.0], [3.0, 2.0]]]])
    assert total_variation_loss(pixels).item() == pytest.approx(6.0)
    assert total_variation_loss(pixels.mT).item() == pytest.approx(6.0)
    assert total_variation_loss(torch.full((2, 3, 4, 5), 0.7)).item() == 0


def test_out_of_range_loss_by_hand():
    # Outside by 0.5, 0, 0 and 1.
    pixels = torch.tensor([[[[-0.5, 0.0], [1.0, 2.0]]]])
    assert out_of_range_loss(pixels).item() == pytest.approx((0.25 + 1) / 4)
    assert out_of_range_loss(picture((8, 8))).item() == 0


# Grids


def test_ssim_loss_by_hand():
    """Flat pictures have no structure to lose; their luminance is compared."""
    first, second = torch.full((1, 3, 9, 8), 0.5), torch.full((1, 3, 9, 8), 0.25)
    expected = 1 - (2 * 0.125 + 1e-4) / (0.25 + 0.0625 + 1e-4)
    assert ssim_loss(first, second).item() == pytest.approx(expected, rel=1e-4)
    noise = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert ssim_loss(noise, noise).item() == pytest.approx(0, abs=1e-5)
    # Turned around a mean of 0.5, structure has the opposite sign.
    assert ssim_loss(1 - noise, noise).item() > 1.5


def test_painting_loss_by_hand():
    """Flat pictures, equally bright: pixels and colors differ, structure does not."""
    gray = torch.full((1, 3, 8, 8), 0.5)
    tinted = gray + torch.tensor([0.1, 0.0, -0.1])[:, None, None]
    luminance = ssim_loss(tinted, gray).item()
    expected = (1 + CHROMA_SHARE) * 0.02 / 3 + STRUCTURE_SHARE * luminance
    assert painting_loss(tinted, gray).item() == pytest.approx(expected, rel=1e-4)
    brighter = gray + 0.1
    expected = 0.01 + STRUCTURE_SHARE * ssim_loss(brighter, gray).item()
    assert painting_loss(brighter, gray).item() == pytest.approx(expected, rel=1e-4)
    assert painting_loss(tinted, tinted).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_ssim_loss_equals_scikit_images():
    metrics = pytest.importorskip("skimage.metrics")
    first, second = (picture((24, 32), seed=n)[None] for n in (1, 2))
    shares = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    grays = [(p * shares).sum(1)[0].double().numpy() for p in (first, second)]
    _, whole = metrics.structural_similarity(*grays, data_range=1.0, full=True)
    expected = 1 - whole[3:-3, 3:-3].mean()
    assert ssim_loss(first, second).item() == pytest.approx(expected, abs=1e-5)


def test_color_loss_by_hand():
    """Where colors are does not matter; their distributions do."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, 6, 5, generator=generator)
    shuffled = pixels.flatten(2)[..., torch.randperm(30, generator=generator)].reshape(2, 3, 5, 6)
    assert color_loss(pixels, shuffled).item() == pytest.approx(0, abs=1e-10)
    redder = pixels + torch.tensor([0.3, 0.0, 0.0])[:, None, None]
    # Of the eight directions' shares of red: 1, 1/3, 1/2, 1/2 and 1/6, and three times none.
    expected = 0.09 * (1 + 1 / 3 + 1 / 2 + 1 / 2 + 1 / 6) / 8
    assert color_loss(redder, shuffled).item() == pytest.approx(expected, rel=1e-4)


def test_grid_loss_by_hand():
    # Columns of 0.5 and -0.5 in turn; three of five neighbors have the column's own sign.
    columns = torch.tensor([0.5, -0.5]).repeat(16)
    stripes = columns.expand(2, 3, 32, 32)
    fine = 0.5 - 0.1
    # Reflected borders keep the turn.
    assert grid_loss(stripes).item() == pytest.approx(fine**2, rel=1e-5)
    assert grid_loss(stripes.mT).item() == pytest.approx(fine**2, rel=1e-5)


def test_grid_loss_sees_grids_and_not_texture():
    noise = torch.randn((4, 3, 96, 128), generator=torch.Generator().manual_seed(0))
    # 64 repetitions of each phase: noise keeps a 64th of its energy, for each of two periods.
    energy = sum(fine_detail(noise, p).square().mean(dim=(0, 2, 3)).sum().item() for p in (4, 8))
    assert grid_loss(noise).item() < energy / 50
    grid = torch.zeros(4, 4)
    grid[1, 2] = 1.0
    assert grid_loss(grid.repeat(24, 32).expand(4, 3, 96, 128)).item() > 0.03
    assert grid_loss(torch.full((1, 3, 64, 64), 0.25)).item() == pytest.approx(0, abs=1e-12)
    ramp = torch.linspace(0, 1, 192).expand(1, 3, 192, 192)
    assert grid_loss(ramp).item() < 1e-6


@pytest.mark.parametrize(
    "color", [(1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (1.0, 1.0, -2.0)], ids=["gray", "red", "yellow"]
)
@pytest.mark.parametrize("half", [2, 4])
def test_grid_loss_sees_grids_of_both_periods_in_gray_and_color(color, half):
    columns = torch.tensor([0.1] * half + [-0.1] * half).repeat(64 // half // 2)
    stripes = torch.tensor(color)[:, None, None] * columns.expand(1, 3, 64, 64)
    # Periods of 4 px repeat every 8 px, too.
    assert grid_loss(stripes).item() > (2e-3 if half == 2 else 1e-3)
    # The same rows, each shifted at random, are no grid.
    shifts = torch.randperm(64, generator=torch.Generator().manual_seed(0)).tolist()
    rows = torch.stack([stripes[0, :, i].roll(by, dims=1) for i, by in enumerate(shifts)], dim=1)
    assert grid_loss(rows[None]).item() < 0.3 * grid_loss(stripes).item()


def test_grid_loss_ignores_incomplete_blocks():
    stripes = torch.tensor([0.5, -0.5]).repeat(20).expand(1, 3, 40, 40)
    assert grid_loss(stripes).item() == pytest.approx(grid_loss(stripes[..., :34, :34]).item())
    small = torch.rand((1, 3, 31, 64), requires_grad=True)
    loss = grid_loss(small)
    loss.backward()
    assert loss.item() == 0
    assert small.grad is not None
    assert small.grad.abs().max().item() == 0
