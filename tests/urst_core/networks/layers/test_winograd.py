"""Winograd's blocks give what the convolution gives, for every size, edge and cut into bands."""

from __future__ import annotations

import pytest
import torch

from urst_core.networks.layers.banded import Edge
from urst_core.networks.layers.convolutions import TileConvolution
from urst_core.networks.layers.elementwise import MaxPooling
from urst_core.networks.layers.winograd import WinogradConvolution, with_winograd


def convolution(inputs=5, outputs=6, edge=Edge.REFLECTED, kernel=3, dtype=torch.float64, **options):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator) / (3 * inputs**0.5)
    bias = torch.randn(outputs, generator=generator)
    return TileConvolution((weight, bias), edge=edge, **options).to(dtype)


def difference(direct, features, rows, *, at_border):
    """Largest difference from the direct convolution, which is below 10 everywhere."""
    with torch.inference_mode():
        expected = direct(features, at_border=at_border)
        bands = WinogradConvolution(direct).rows(iter(features.split(rows, 2)), at_border=at_border)
        return float((torch.cat(list(bands), dim=2) - expected).abs().max())


@pytest.mark.parametrize("edge", Edge)
@pytest.mark.parametrize("size", [(40, 36), (41, 37), (42, 39), (43, 38), (5, 2)])
@pytest.mark.parametrize("relu", [True, False])
def test_equal_to_the_convolution_in_float64(edge, size, relu):
    direct = convolution(edge=edge, relu=relu)
    features = torch.rand(2, 5, *size, dtype=torch.float64)
    for rows in (1, 3, 16, 99):
        for at_border in (True, False):
            assert difference(direct, features, rows, at_border=at_border) <= 1e-9


def test_rounding_in_float32_is_below_a_step_of_16_bits():
    """The sums' factors magnify it, by how much depends on the CPU; measured 112 dB."""
    direct, features = convolution(128, 128, dtype=torch.float32), torch.rand(1, 128, 20, 24)
    with torch.inference_mode():
        expected = direct(features, at_border=True)
        error = WinogradConvolution(direct)(features, at_border=True) - expected
    assert 0 < float(error.square().mean()) <= float(expected.var()) * 2.0**-32


def test_only_wide_plain_convolutions_take_blocks():
    layers = [
        convolution(128, 128),
        convolution(64, 256),
        convolution(64, 128),
        convolution(256, 256, kernel=1),
        convolution(256, 256, stride=2),
        convolution(1, 256, groups=256),
        MaxPooling(),
    ]
    changed = list(with_winograd(layers))
    assert [isinstance(layer, WinogradConvolution) for layer in changed] == [True] * 2 + [False] * 5
    assert changed[2:] == layers[2:]
