"""Sites with a learned scale and shift, and convolutions, against plain operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from urst_core.errors import StatsError
from urst_core.networks.layers.normalized import (
    AffineSite,
    ReflectedConvolution,
    ResidualBlock,
    name_sites,
    through,
)
from urst_core.networks.sites import collect, replay


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Sequential(ReflectedConvolution(3, 5, 3), AffineSite(5), nn.ReLU())
        self.end = AffineSite(5)
        self.names = name_sites(self)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def stages(self, features):
        return through([*self.start, self.end], features)


def features_of(size, *, channels=3):
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(1))


def test_sites_have_the_names_of_their_places():
    network = Small()
    assert network.names == ("start.1", "end")
    with torch.inference_mode():
        sites, _ = collect(network.stages(features_of((6, 8))))
    assert tuple(sites) == network.names


def test_affine_site_is_an_unbiased_instance_normalization():
    network = Small()
    features = features_of((6, 8))
    with torch.inference_mode():
        _, result = collect(network.stages(features))
        expected = network.start[0](features)
        for norm, relu in ((network.start[1], True), (network.end, False)):
            variance, mean = torch.var_mean(expected, dim=(2, 3), keepdim=True)
            expected = (expected - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias
            expected = F.relu(expected) if relu else expected
    assert torch.allclose(result, expected, atol=1e-5)


def test_folded_normalization_equals_the_two_steps():
    network = Small()
    features = features_of((6, 8))
    with torch.inference_mode():
        sites, _ = collect(network.stages(features_of((9, 7))))
        stepwise = replay(through([*network.start][:2], features), sites)
        part = network.start[0].normalized(network.start[1])
        folded = replace(part, relu=False).folded(sites).float()(features, at_border=True)
    assert torch.allclose(folded, stepwise, atol=1e-5)


def test_site_that_was_not_measured():
    norm = AffineSite(4)
    names = name_sites(nn.ModuleList([norm]))
    assert names == ("0",)
    with pytest.raises(StatsError, match="no statistics for site '0'"):
        norm.affine({})


@pytest.mark.parametrize(
    ("kernel", "stride", "upsample"),
    [(9, 1, False), (3, 2, False), (1, 1, False), (3, 1, True)],
)
@pytest.mark.parametrize("relu", [True, False])
def test_convolution_for_tiles_equals_the_published_one(kernel, stride, upsample, relu):
    layer = ReflectedConvolution(4, 6, kernel, stride=stride, upsample=upsample)
    features = features_of((12, 16), channels=4)
    with torch.inference_mode():
        enlarged = F.interpolate(features, scale_factor=2.0) if upsample else features
        padded = F.pad(enlarged, (kernel // 2,) * 4, mode="reflect")
        expected = F.conv2d(padded, layer.conv2d.weight, layer.conv2d.bias, stride)
        plain = layer(features)
        tiled = layer.folded(layer.kernel, relu=relu).float()(features, at_border=True)
    assert torch.allclose(plain, expected, atol=1e-5)
    assert torch.allclose(tiled, F.relu(expected) if relu else expected, atol=1e-5)


def test_steps_for_tiles_equal_the_published_ones():
    convolution, norm, block = (
        ReflectedConvolution(4, 6, 3, stride=2),
        AffineSite(6),
        ResidualBlock(6),
    )
    name_sites(nn.ModuleList([convolution, norm, block]))
    steps = convolution.normalized(norm), block
    features = features_of((12, 16), channels=4)
    with torch.inference_mode():
        sites, _ = collect(through(steps, features_of((8, 10), channels=4)))
        expected = replay(through(steps, features), sites)
        for step in steps:
            features = step.folded(sites).float()(features, at_border=True)
    assert len(sites) == 3
    assert torch.allclose(features, expected, atol=1e-5)


def test_two_groups_are_two_blocks_side_by_side():
    blocks = nn.ModuleList([ResidualBlock(3), ResidualBlock(3)])
    name_sites(blocks)
    pair = [features_of((9, 11)), features_of((9, 11)).flip(2)]
    with torch.inference_mode():
        runs = [collect(block.stages(x)) for block, x in zip(blocks, pair)]
        sites = runs[0][0] | runs[1][0]
        kernels = [a.beside(b) for a, b in zip(*(block.kernels(sites) for block in blocks))]
        layer = blocks[0].tile_layer(kernels, groups=2).float()
        both = layer(torch.cat(pair, dim=1), at_border=True)
    assert torch.allclose(both, torch.cat([result for _, result in runs], dim=1), atol=1e-5)
