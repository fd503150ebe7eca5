"""Minimal filtering against the convolution it stands for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from urst_core import winograd


def random_case(inputs, outputs, height, width):
    generator = torch.Generator().manual_seed(inputs + outputs + height + width)
    features = torch.randn(1, inputs, height, width, generator=generator)
    weight = torch.randn(outputs, inputs, 3, 3, generator=generator) / (3 * inputs**0.5)
    bias = torch.randn(outputs, generator=generator)
    return features.to(memory_format=torch.channels_last), weight, bias


@pytest.mark.parametrize("size", [(3, 3), (4, 9), (6, 6), (7, 10), (19, 31)])
def test_equal_to_a_convolution(size):
    features, weight, bias = random_case(5, 7, *size)
    given = features.clone()
    result = winograd.convolved(features, winograd.transformed(weight), bias)
    expected = F.conv2d(features.double(), weight.double(), bias.double())
    assert result.shape == expected.shape
    assert float((result - expected).abs().max()) <= 1e-5
    assert torch.equal(features, given)


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_parts_join_without_a_seam(monkeypatch, most):
    features, weight, bias = random_case(4, 6, 23, 30)
    kernel = winograd.transformed(weight)
    whole = winograd.convolved(features, kernel, bias)
    monkeypatch.setattr(winograd, "MOST_BLOCKS", most)
    assert torch.allclose(winograd.convolved(features, kernel, bias), whole, atol=1e-6)


def test_rounding_is_as_documented():
    """About 5 times that of a plain convolution, in the channels that it is used for."""
    features, weight, bias = random_case(256, 128, 14, 14)
    exact = F.conv2d(features.double(), weight.double(), bias.double())
    plain = (F.conv2d(features, weight, bias) - exact).abs().max()
    minimal = winograd.convolved(features, winograd.transformed(weight), bias) - exact
    assert float(minimal.abs().max()) <= 10 * float(plain)


@pytest.mark.parametrize(
    ("shape", "stride", "groups", "expected"),
    [
        ((128, 128, 3, 3), 1, 1, True),
        ((256, 512, 3, 3), 1, 1, True),
        ((128, 64, 3, 3), 1, 1, False),
        ((64, 128, 3, 3), 1, 1, False),
        ((128, 128, 3, 3), 2, 1, False),
        ((256, 128, 3, 3), 1, 2, False),
        ((256, 256, 1, 1), 1, 1, False),
        ((256, 256, 9, 9), 1, 1, False),
    ],
)
def test_where_it_gains(shape, stride, groups, expected):
    assert winograd.gains(torch.empty(shape), stride=stride, groups=groups) is expected
