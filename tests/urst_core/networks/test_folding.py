"""What folding promises about the numbers it folds."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from urst_core.networks.folding import Kernel, equalize_channels


def kernel(channels: int, seed: int) -> Kernel:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(channels, channels, 3, 3, generator=generator),
        torch.randn(channels, generator=generator),
    )


def through(first: Kernel, second: Kernel, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
    inner = F.relu(F.conv2d(features, *first))
    return inner, F.conv2d(inner, *second)


@pytest.mark.parametrize("imbalance", [1.0, 2.0**-40, 2.0**40])
def test_even_channels_give_the_same_results_bit_for_bit(imbalance: float) -> None:
    first, second = kernel(4, 1), kernel(4, 2)
    first = first[0] * imbalance, first[1] * imbalance
    second = second[0] / imbalance, second[1]
    features = torch.rand(1, 4, 9, 11, generator=torch.Generator().manual_seed(3))
    evened = equalize_channels(first, second)
    inner, result = through(*evened, features)
    assert torch.equal(result, through(first, second, features)[1])
    assert float(inner.abs().max()) <= 100


def test_even_channels_have_weights_within_a_factor_of_two_of_each_other() -> None:
    (weight, bias), (next_weight, _) = equalize_channels(
        (kernel(4, 1)[0] * 3e5, torch.zeros(4)), kernel(4, 2)
    )
    ratio = weight.abs().amax((1, 2, 3)) / next_weight.abs().amax((0, 2, 3))
    assert float(ratio.max()) <= 2
    assert float(ratio.min()) >= 0.5
    assert not bias.any()


def test_a_channel_of_zeros_is_left_as_it_is() -> None:
    first, second = kernel(4, 1), kernel(4, 2)
    first[0][1], first[1][1], second[0][:, 2] = 0, 0, 0
    (weight, bias), (next_weight, next_bias) = equalize_channels(first, second)
    assert torch.equal(weight[2], first[0][2])
    assert torch.equal(next_weight[:, 1], second[0][:, 1])
    for tensor in (weight, bias, next_weight, next_bias):
        assert tensor.isfinite().all()
