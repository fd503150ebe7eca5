"""Each layer against the plain operations that it replaces, at the border and inside."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from urst_core.networks.layers.convolutions import (
    BilinearUpsampledConvolution,
    BlurredUpsampledConvolution,
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)


def random_kernel(outputs, inputs, edge):
    generator = torch.Generator().manual_seed(outputs * 100 + inputs * 10 + edge)
    weight = torch.randn(outputs, inputs, edge, edge, generator=generator) / edge
    return weight, torch.randn(outputs, generator=generator)


def reflected(features, kernel, *, stride=1, groups=1):
    weight, bias = kernel
    padded = F.pad(features, (weight.shape[-1] // 2,) * 4, mode="reflect")
    return F.conv2d(padded, weight, bias, stride, groups=groups)


def check(layer, expected, features, *, discarded):
    """Exact everywhere at the border; away from it exact but for the outermost pixels."""
    with torch.inference_mode():
        features = features.to(memory_format=torch.channels_last)
        exact = layer(features, at_border=True)
        cheap = layer(features, at_border=False)
    assert exact.shape == cheap.shape == expected.shape
    assert torch.allclose(exact, expected, atol=1e-5)
    inner = (..., slice(discarded, -discarded), slice(discarded, -discarded))
    assert torch.allclose(cheap[inner], expected[inner], atol=1e-5)


@pytest.mark.parametrize(("edge", "stride", "groups"), [(3, 1, 1), (9, 1, 2), (3, 2, 4), (1, 1, 1)])
@pytest.mark.parametrize("relu", [True, False])
def test_tile_convolution(edge, stride, groups, relu):
    features = torch.randn(2, 4, 22, 26)
    kernel = random_kernel(8, 4 // groups, edge)
    expected = reflected(features, kernel, stride=stride, groups=groups)
    layer = TileConvolution(kernel, stride=stride, groups=groups, relu=relu)
    check(layer, F.relu(expected) if relu else expected, features, discarded=max(1, edge // 2))


@pytest.mark.parametrize("edge", [3, 5, 9])
def test_picture_convolution(edge):
    features = torch.randn(1, 5, 24, 18)
    kernel = random_kernel(3, 5, edge)
    check(OutputConvolution(kernel), reflected(features, kernel), features, discarded=edge // 2)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (2, 3), (7, 10)])
@pytest.mark.parametrize("relu", [True, False])
def test_nearest_upsampled_convolution(size, relu):
    features = torch.randn(2, 4, *size)
    kernel = random_kernel(6, 4, 3)
    expected = reflected(F.interpolate(features, scale_factor=2, mode="nearest"), kernel)
    layer = NearestUpsampledConvolution(kernel, relu=relu)
    check(layer, F.relu(expected) if relu else expected, features, discarded=1)


@pytest.mark.parametrize("size", [(2, 2), (2, 3), (7, 10)])
@pytest.mark.parametrize(("groups", "relu"), [(1, False), (2, True)])
def test_bilinear_upsampled_convolution(size, groups, relu):
    features = torch.randn(2, 4, *size)
    kernel = random_kernel(6, 4 // groups, 3)
    upsampled = F.interpolate(features, scale_factor=2, mode="bilinear")
    expected = reflected(upsampled, kernel, groups=groups)
    layer = BilinearUpsampledConvolution(kernel, groups=groups, relu=relu)
    check(layer, F.relu(expected) if relu else expected, features, discarded=2)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 10)])
@pytest.mark.parametrize(("groups", "relu"), [(1, False), (2, True)])
def test_blurred_upsampled_convolution(size, groups, relu):
    features = torch.randn(2, 4, *size)
    taps = torch.tensor([0.25, 0.5, 0.25])
    weight, bias = random_kernel(6, 4 // groups, 3)
    padded = F.pad(features, (3, 3, 3, 3), mode="replicate")
    upsampled = F.interpolate(padded, scale_factor=2, mode="bilinear")
    blur = torch.outer(taps, taps).expand(4, 1, 3, 3)
    blurred = F.conv2d(upsampled, blur, groups=4)
    expected = F.conv2d(blurred, weight, bias, groups=groups)[:, :, 4:-4, 4:-4]
    layer = BlurredUpsampledConvolution((weight, bias), taps, groups=groups, relu=relu)
    # Two source pixels, four px; sources of up to four have nothing but border.
    discarded = 4 if min(size) > 4 else 2 * max(size)
    check(layer, F.relu(expected) if relu else expected, features, discarded=discarded)
