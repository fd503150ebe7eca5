"""LinearWCT: parity with the published code, and its second chain of layers."""

from __future__ import annotations

import pytest
import torch
from examples import golden_state, picture, random_backbone, slow_where_large
from safetensors.torch import load_file
from torch.nn import functional as F

from urst_core.backbones.linear import (
    MEAN_SITE,
    PRODUCTS_SITE,
    LinearR31,
    LinearR41,
    products_layers,
)
from urst_core.errors import ShapeError, StatsError
from urst_core.method.run import Run
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.reach import NearestUpsampling, influence_radius
from urst_core.networks.site_kinds import site_stats_from
from urst_core.networks.sites import replay_until
from urst_core.networks.statistics import GramStats, MeanMoments, MeanStats
from urst_core.pictures.source import TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone

NETWORKS = {network.traits.name: network for network in (LinearR31, LinearR41)}


@pytest.fixture(scope="module", params=slow_where_large(NETWORKS))
def golden(request, shared):
    """A network with the weights of the reference, and the reference's inputs and outputs."""
    name = request.param
    state = golden_state(name, shared)
    backbone = build_backbone(NETWORKS[name], state, origin=f"golden {name}")
    return backbone, load_file(shared / "golden" / f"{name}.safetensors")


@pytest.fixture(scope="module", params=slow_where_large(NETWORKS))
def backbone(request):
    return random_backbone(NETWORKS[request.param])


def image(size, seed=0):
    return picture(size, seed=seed).unsqueeze(0)


@pytest.mark.slow
def test_statistics_are_mean_and_mean_products(golden):
    backbone, tensors = golden
    network = backbone.network
    thumbnail = tensors["thumbnail"]
    stats = backbone.collect(thumbnail, backbone.encode_style([tensors["style"]]))
    with torch.inference_mode():
        features = network.vgg(thumbnail)
        mean = features.mean((2, 3), keepdim=True)
        narrow = network.matrix.cnet.convs(features - mean).flatten(2)
        products = torch.bmm(narrow, narrow.transpose(1, 2)) / narrow.shape[2]
    assert set(stats.sites) == set(network.site_names)
    assert torch.allclose(stats.sites[MEAN_SITE].mean, mean, rtol=1e-5, atol=1e-5)
    assert torch.allclose(stats.sites[PRODUCTS_SITE].gram, products, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_style_code_is_the_style_s_mean_and_its_half_of_the_transform(golden):
    backbone, tensors = golden
    network = backbone.network
    code = backbone.encode_style([tensors["style"]]).tensors
    with torch.inference_mode():
        features = network.vgg(tensors["style"])
        mean = features.mean((2, 3), keepdim=True)
        narrow = network.matrix.snet.convs(features - mean).flatten(2)
        products = torch.bmm(narrow, narrow.transpose(1, 2)) / narrow.shape[2]
        matrix = network.matrix.snet.fc(products.flatten(1)).view(32, 32)
    assert torch.allclose(code["mean"], mean, rtol=1e-5, atol=1e-5)
    assert torch.allclose(code["matrix"], matrix, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_exact_statistics_equal_those_of_the_whole_picture(backbone):
    content, style = picture((32, 96), seed=4), picture((64, 80), seed=3)
    settings = Settings(thumbnail_size=64, style_size=0, tile_size=48, stats="exact")
    exact = Run.of(TensorSource(content), backbone, settings).measure([TensorSource(style)])
    whole = backbone.collect(content.unsqueeze(0), backbone.encode_style([style.unsqueeze(0)]))
    mean, products = whole.sites[MEAN_SITE].mean, whole.sites[PRODUCTS_SITE].gram
    assert torch.allclose(exact.sites[MEAN_SITE].mean, mean, rtol=1e-5, atol=1e-6)
    assert torch.allclose(exact.sites[PRODUCTS_SITE].gram, products, rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        difference = backbone.bake(exact)(image((48, 48))) - backbone.bake(whole)(image((48, 48)))
    assert float(difference.abs().max()) <= 1e-4


@pytest.mark.slow
def test_halo_covers_the_chain_to_the_products(backbone):
    """Perturb one pixel at every alignment within the stride; see which measured features change.

    A feature stands for a block of stride x stride px, the cores' smallest one.
    """
    traits, network = backbone.traits, backbone.network
    stride, halo = traits.stride, traits.halo
    code = backbone.encode_style([image((40, 56), seed=3)])
    sites = backbone.collect(image((64, 64)), code).sites
    side = 2 * (halo + 2 * stride)
    block = side // 2
    content = image((side, 4 * stride), seed=5)

    def measured(window):
        with torch.inference_mode():
            stages = network.stages(window, code)
            return replay_until(stages, PRODUCTS_SITE, sites).features

    plain = measured(content)
    reached = 0
    for alignment in range(stride):
        changed = content.clone()
        changed[:, :, block + alignment, 2 * stride] += 40.0
        rows = ((measured(changed) - plain).abs().amax(dim=(0, 1)) > 0).any(1).nonzero().flatten()
        pixel = block + alignment
        for row in (int(rows[0]), int(rows[-1])):
            first = row * stride
            reached = max(reached, first - pixel, pixel - (first + stride - 1))
    # Each feature as a block of pixels, so that both chains are in the same unit.
    chain = (*products_layers(network.encoder_levels), NearestUpsampling(stride))
    assert reached == influence_radius(chain, stride=stride)
    assert reached <= influence_radius(traits.layers, stride=stride) <= halo


@pytest.mark.parametrize(("network", "halo", "radius"), [(LinearR31, 24, 22), (LinearR41, 64, 62)])
def test_halo(network, halo, radius):
    traits = network.traits
    assert traits.halo == halo
    assert influence_radius(traits.layers, stride=traits.stride) == radius


@pytest.mark.slow
def test_smallest_pictures(backbone):
    edge = backbone.traits.minimum
    code = backbone.encode_style([image((edge, edge))])
    stats = backbone.collect(image((edge, edge), seed=2), code)
    with torch.inference_mode():
        stylized = backbone.bake(stats)(image((edge, edge), seed=2))
    assert stylized.shape == (1, 3, edge, edge)
    assert bool(stylized.isfinite().all())
    with pytest.raises(ShapeError, match=f"use a picture of at least {edge} x {edge} px"):
        backbone.encode_style([image((edge, edge - 1))])


def test_tile_network_has_no_layer_of_its_own_for_the_transform(backbone):
    """Compression, matrices, way back and means are inside the decoder's first convolution."""
    stats = backbone.collect(image((64, 64)), backbone.encode_style([image((64, 64), seed=3)]))
    folded = backbone.bake(stats).folded
    kernels = [p for p in folded.parameters() if p.ndim == 4]
    assert min(kernel.shape[-1] for kernel in kernels) > 1
    biases = [p for p in folded.parameters() if p.ndim == 1]
    assert len(biases) == sum(1 for layer in backbone.traits.layers if hasattr(layer, "kernel"))


def test_statistics_survive_a_file(tmp_path, backbone):
    stats = backbone.collect(image((64, 64)), backbone.encode_style([image((64, 64), seed=3)]))
    path = tmp_path / "stats.safetensors"
    stats.save(path)
    loaded = FrozenStats.load(path)
    assert isinstance(loaded.sites[MEAN_SITE], MeanStats)
    assert isinstance(loaded.sites[PRODUCTS_SITE], GramStats)
    with torch.inference_mode():
        window = image((64, 64), seed=6)
        assert torch.equal(backbone.bake(loaded)(window), backbone.bake(stats)(window))


def test_missing_statistics(backbone):
    code = backbone.encode_style([image((64, 64))])
    stats = backbone.collect(image((64, 64)), code)
    del stats.sites[PRODUCTS_SITE]
    with pytest.raises(StatsError) as caught:
        backbone.bake(stats)
    assert str(caught.value) == (
        "no statistics for site 'products', only for ['mean']; collect them with this backbone"
    )


# Means


def test_means_do_not_depend_on_the_cut():
    features = 100.0 + torch.randn(1, 5, 12, 30, generator=torch.Generator().manual_seed(1))
    whole, parts = MeanMoments(), MeanMoments()
    whole.add(features)
    for start, end in ((20, 30), (0, 1), (1, 20), (7, 7)):
        parts.add(features[..., start:end])
    mean = features.double().mean((2, 3), keepdim=True).float()
    assert torch.equal(whole.stats().mean, mean)
    assert torch.allclose(parts.stats().mean, mean, rtol=1e-7, atol=0)
    assert float(whole.stats().normalize(features).double().mean().abs()) <= 1e-5


def test_mean_of_one_position():
    moments = MeanMoments()
    moments.add(torch.zeros(1, 3, 1, 1))
    with pytest.raises(ShapeError, match="statistics need at least 2 positions, 1 measured"):
        moments.stats()


def test_mean_stats_are_identified_by_name():
    assert isinstance(site_stats_from({"mean": torch.zeros(1, 3, 1, 1)}), MeanStats)


@pytest.mark.slow
def test_zero_padding_is_in_the_small_network_only(golden):
    """With reflection there the products are others: the reference is zeros."""
    backbone, tensors = golden
    network = backbone.network
    with torch.inference_mode():
        features = network.vgg(tensors["thumbnail"])
        centered = features - features.mean((2, 3), keepdim=True)
        first = network.matrix.cnet.convs[0]
        zeros = F.conv2d(F.pad(centered, (1,) * 4), first.weight, first.bias)
        mirrored = F.conv2d(F.pad(centered, (1,) * 4, mode="reflect"), first.weight, first.bias)
        assert torch.allclose(first(centered), zeros, atol=1e-4)
        assert float((first(centered) - mirrored).abs().max()) > 1e-2
