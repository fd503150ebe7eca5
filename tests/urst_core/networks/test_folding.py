"""Folded kernels equal the operations that they replace."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from urst_core.networks.folding import (
    CenteredKernel,
    Kernel,
    equalize_channels,
    fold_blur,
    fold_blurred_upsampling,
)


def kernel(channels: int, seed: int) -> Kernel:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(channels, channels, 3, 3, generator=generator),
        torch.randn(channels, generator=generator),
    )


def through(first: Kernel, second: Kernel, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
    inner = F.relu(F.conv2d(features, *first))
    return inner, F.conv2d(inner, *second)


def test_a_centered_kernel_is_the_convolution_and_its_normalization():
    (weight, bias), features = kernel(4, 1), torch.rand(1, 4, 9, 11)
    mean, scale, shift = torch.tensor([3.0, -200.0, 0.0, 1.0]), torch.rand(4) * 100, torch.rand(4)
    scale[2] = 0.0
    centered = CenteredKernel.of((weight, bias), mean, scale, shift)
    result = F.conv2d(features, *centered.kernel) * centered.scale[:, None, None]
    result += centered.shift[:, None, None]
    plain = F.conv2d(features, weight, bias) - mean[:, None, None]
    expected = plain * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-3)
    assert torch.equal(result[:, 2], shift[2].expand(1, 7, 9))
    # Powers of two round nothing: the weights keep every bit.
    assert torch.equal(centered.kernel[0][0].frexp().mantissa, weight[0].frexp().mantissa)
    assert bool((centered.scale[[0, 1, 3]].log2().abs() <= 0.5).all())


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


def test_channels_of_zeros_are_unchanged() -> None:
    first, second = kernel(4, 1), kernel(4, 2)
    first[0][1], first[1][1], second[0][:, 2] = 0, 0, 0
    (weight, bias), (next_weight, next_bias) = equalize_channels(first, second)
    assert torch.equal(weight[2], first[0][2])
    assert torch.equal(next_weight[:, 1], second[0][:, 1])
    for tensor in (weight, bias, next_weight, next_bias):
        assert tensor.isfinite().all()


TAPS = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)


def blurred(features: torch.Tensor) -> torch.Tensor:
    """Each channel by itself, no padding."""
    weight = torch.outer(TAPS, TAPS).expand(features.shape[1], 1, 3, 3)
    return F.conv2d(features, weight, groups=features.shape[1])


def random_kernel(outputs: int, inputs: int) -> Kernel:
    generator = torch.Generator().manual_seed(outputs)
    weight = torch.randn(outputs, inputs, 3, 3, generator=generator, dtype=torch.float64)
    return weight, torch.randn(outputs, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_folded_blur_equals_the_blur_and_the_convolution(stride: int) -> None:
    features = torch.rand(2, 4, 12, 10, dtype=torch.float64)
    weight, bias = random_kernel(6, 2)

    def reflected(pixels: torch.Tensor) -> torch.Tensor:
        return F.pad(pixels, (1, 1, 1, 1), mode="reflect")

    expected = F.conv2d(
        reflected(blurred(reflected(features))), weight, bias, stride=stride, groups=2
    )
    wider, same_bias = fold_blur(TAPS, (weight, bias))
    padded = F.pad(features, (2, 2, 2, 2), mode="reflect")
    result = F.conv2d(padded, wider, same_bias, stride=stride, groups=2)
    assert torch.allclose(result, expected, rtol=0, atol=1e-12)


def test_a_folded_blurred_upsampling_equals_its_three_steps() -> None:
    features = torch.rand(1, 4, 7, 9, dtype=torch.float64)
    weight, bias = random_kernel(6, 2)
    upsampled = F.interpolate(features, scale_factor=2.0, mode="bilinear")
    expected = F.conv2d(blurred(upsampled), weight, bias, groups=2)
    joined, repeated = fold_blurred_upsampling(TAPS, (weight, bias))
    blocks = F.conv2d(features, joined, repeated, groups=2)
    inner = F.pixel_shuffle(blocks, 2)
    # Three steps lose 2 px on each side, one step loses 2 px of the source: 4 px.
    assert torch.allclose(inner, expected[:, :, 2:-2, 2:-2], rtol=0, atol=1e-12)
