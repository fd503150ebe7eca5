"""Thumbnail instance normalization in training equals that of inference."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from examples import picture, random_state
from training_examples import made_up_batch

from urst_core.backbones.johnson import Johnson, JohnsonExamples
from urst_core.backbones.microast import MicroAST
from urst_core.networks.sites import Site, collect, measure_features, replay
from urst_core.networks.statistics import ChannelMoments, CovarianceMoments
from urst_core.networks.style import StyleCode
from urst_core.training.normalization import (
    batch_stats,
    measure_batch,
    stylize_thumbnail_and_patch,
)

NETWORKS = (MicroAST, Johnson, JohnsonExamples)


def network_and_code(network_class, styles):
    """A network of random weights, and the code of each style of a batch."""
    network = network_class().requires_grad_(False)
    network.load_state_dict(random_state(network, seed=0))
    if network_class is MicroAST:
        return network, network.style_signals(styles, batch_stats)
    return network, StyleCode({})


def one_of(code: StyleCode, index: int) -> StyleCode:
    return StyleCode({name: value[index : index + 1] for name, value in code.tensors.items()})


def test_statistics_by_hand():
    # Squares of deviations from the mean 3: 4, 0, 4, 0; over 3 or over 4.
    features = torch.tensor([[[[1.0, 3.0], [5.0, 3.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    unbiased, biased = batch_stats(features), batch_stats(features, unbiased=False)
    assert unbiased.mean.flatten().tolist() == [3.0, 0.0]
    assert unbiased.std.flatten().tolist() == pytest.approx([(8 / 3 + 1e-5) ** 0.5, 1e-5**0.5])
    assert biased.std.flatten().tolist() == pytest.approx([(8 / 4 + 1e-5) ** 0.5, 1e-5**0.5])


@pytest.mark.parametrize("unbiased", [True, False])
def test_equal_to_the_engines_statistics_of_each_picture(unbiased):
    features = torch.stack([picture((9, 7), seed=n, channels=5) for n in range(3)])
    together = batch_stats(features, unbiased=unbiased)
    assert together.mean.shape == together.std.shape == (3, 5, 1, 1)
    for index, alone in enumerate(features):
        stats = measure_features(alone[None], unbiased=unbiased)
        assert torch.allclose(together.mean[index], stats.mean[0], atol=1e-6)
        assert torch.allclose(together.std[index], stats.std[0], atol=1e-6)


def test_half_precision_is_measured_in_float32():
    features = (100 + picture((16, 16), channels=4)[None]).bfloat16()
    stats = batch_stats(features)
    assert stats.std.dtype == torch.float32
    assert torch.allclose(stats.std, measure_features(features.float()).std, rtol=1e-4)


@pytest.mark.parametrize("unbiased", [True, False])
def test_gradients_of_statistics(unbiased):
    """Against finite differences, in float64."""
    features = torch.stack([picture((4, 3), seed=n, channels=2).double() for n in range(2)])
    weights = torch.arange(1.0, 9.0, dtype=torch.float64).reshape(2, 2, 2, 1, 1)

    def measured(features):
        stats = batch_stats(features, unbiased=unbiased)
        assert stats.std.dtype == torch.float64
        return weights[0] * stats.mean.square() + weights[1] * stats.std.square()

    assert torch.autograd.gradcheck(measured, features.requires_grad_())


def test_gradients_of_half_precision_are_near_those_of_float32():
    """Within a few roundings of bfloat16, each of which is up to 2 ** -9."""
    narrow = torch.stack([picture((24, 24), seed=n, channels=8) for n in range(2)]).bfloat16()
    gradients = []
    for features in (narrow.clone(), narrow.float()):
        stats = batch_stats(features.requires_grad_())
        ((stats.mean - 0.3).square().sum() + (stats.std - 0.7).square().sum()).backward()
        assert features.grad.dtype == features.dtype
        gradients.append(features.grad.float())
    difference = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert 0 < float(difference) < 2**-7


@pytest.mark.parametrize("unbiased", [True, False])
def test_variance_is_divided_as_the_site_asks(unbiased):
    features = picture((2, 2), channels=2)[None]
    stats = measure_batch(Site("here", features, partial(ChannelMoments, unbiased=unbiased)))
    variance = features.var((2, 3), correction=int(unbiased), keepdim=True)
    assert torch.allclose(stats.std, (variance + 1e-5).sqrt(), atol=1e-7)


def test_statistics_that_networks_request():
    """Published: n - 1 in MicroAST's and URST's code, n in PyTorch's examples."""
    batch = made_up_batch(1)
    divisors = {}
    for network_class in NETWORKS:
        network, code = network_and_code(network_class, batch.styles)
        divisors[network_class] = next(network.stages(batch.thumbnails, code)).moments().unbiased
    assert divisors == {MicroAST: True, Johnson: True, JohnsonExamples: False}


def test_site_that_measures_no_channels():
    with pytest.raises(TypeError, match="site 'here' measures CovarianceMoments, not channels"):
        measure_batch(Site("here", torch.zeros(1, 2, 3, 3), CovarianceMoments))


@pytest.mark.parametrize("network_class", NETWORKS)
def test_patch_that_is_the_thumbnail(network_class):
    """Statistics of its own and those of the thumbnail are the same then."""
    batch = made_up_batch(3)
    network, code = network_and_code(network_class, batch.styles)
    stylized, patches = stylize_thumbnail_and_patch(
        network.stages(batch.thumbnails, code), network.stages(batch.thumbnails, code)
    )
    assert torch.equal(stylized, patches)


@pytest.mark.slow
@pytest.mark.parametrize("network_class", NETWORKS)
def test_batches_equal_the_engine_picture_by_picture(network_class):
    """Thumbnail by collect, patch by replay, one picture at a time."""
    batch = made_up_batch(3)
    network, code = network_and_code(network_class, batch.styles)
    stylized, patches = stylize_thumbnail_and_patch(
        network.stages(batch.thumbnails, code), network.stages(batch.patches, code)
    )
    for index in range(3):
        own_code = one_of(code, index)
        sites, thumbnail = collect(network.stages(batch.thumbnails[index : index + 1], own_code))
        patch = replay(network.stages(batch.patches[index : index + 1], own_code), sites)
        own_sites, own = collect(network.stages(batch.patches[index : index + 1], own_code))
        assert torch.allclose(stylized[index], thumbnail[0], rtol=1e-4, atol=1e-4)
        assert torch.allclose(patches[index], patch[0], rtol=1e-4, atol=1e-4)
        # Normalized by statistics of its own the patch would be another picture.
        assert set(own_sites) == set(sites)
        assert float((patch - own).abs().mean()) > 1e-3


def test_without_patches():
    batch = made_up_batch(1)
    network, code = network_and_code(MicroAST, batch.styles)
    stylized, patches = stylize_thumbnail_and_patch(network.stages(batch.thumbnails, code), None)
    assert stylized.shape == batch.thumbnails.shape
    assert patches is None


def test_gradients_of_a_patch_reach_the_thumbnail_through_its_statistics():
    batch = made_up_batch(2)
    network, code = network_and_code(MicroAST, batch.styles)
    thumbnails = batch.thumbnails.clone().requires_grad_()
    _, patches = stylize_thumbnail_and_patch(
        network.stages(thumbnails, code), network.stages(batch.patches, code)
    )
    patches.square().sum().backward()
    assert bool(thumbnails.grad.isfinite().all())
    assert float(thumbnails.grad.abs().max()) > 0
