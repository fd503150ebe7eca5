"""Multimodal Transfer against its published code, and its peculiarities."""

from __future__ import annotations

import json

import pytest
import torch
from examples import picture, seeder
from safetensors.torch import load_file

from urst_core.backbones.multimodal import Multimodal
from urst_core.method.run import Run
from urst_core.networks.sites import collect, replay
from urst_core.pictures.source import TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
CUT_DEVIATION = torch.tensor([0.299, 0.224, 0.225])[:, None, None]


def published_shapes(shared):
    return json.loads((shared / "golden" / "multimodal.json").read_text())["shapes"]["model"]


@pytest.fixture(scope="module")
def published(shared):
    seeded = seeder(shared)
    state = seeded(published_shapes(shared), 0)
    gray = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    state["style_subnet.togray.weight"] = gray
    return build_backbone(Multimodal, state, origin="golden multimodal")


@pytest.fixture(scope="module")
def small_stats(random_backbones):
    backbone = random_backbones["multimodal"]
    return backbone.collect(picture((48, 64)).unsqueeze(0), backbone.encode_style())


@pytest.mark.slow
def test_own_output_equals_that_of_the_published_code(published, shared):
    golden = load_file(shared / "golden" / "multimodal.safetensors")
    own_stages = published.network.own_stages
    with torch.inference_mode():
        _, whole = collect(own_stages(golden["content"]))
        sites, thumbnail = collect(own_stages(golden["thumbnail"]))
        stats = published.stats(published.encode_style(), sites, strength=1.0)
        tin = published.bake(stats).folded.own_output(golden["content"], at_border=True)
    for kind, result in (
        ("whole", whole),
        ("thumb_stylised", thumbnail),
        ("tin", tin),
    ):
        span = float(golden[kind].max() - golden[kind].min())
        assert result.shape == golden[kind].shape
        assert float((result - golden[kind]).abs().max()) <= 1e-4 * span, kind


def test_parameters_have_the_published_names(shared):
    assert Multimodal().state_dict().keys() == published_shapes(shared).keys()


@pytest.mark.slow
def test_sites_are_named_in_the_order_of_use(random_backbones, small_stats):
    network = random_backbones["multimodal"].network
    with torch.inference_mode():
        sites, _ = collect(network.stages(picture((16, 24)).unsqueeze(0), small_stats.code))
    assert tuple(sites) == network.site_names
    assert len(sites) == 56


@pytest.mark.slow
def test_picture_is_the_mean_of_each_block_of_the_own_output(random_backbones, small_stats):
    backbone = random_backbones["multimodal"]
    content = picture((32, 44), seed=4).unsqueeze(0)
    with torch.inference_mode():
        own = replay(backbone.network.own_stages(content), small_stats.sites)
        unbaked = replay(backbone.network.stages(content, small_stats.code), small_stats.sites)
        baked = backbone.bake(small_stats)(content)
    blocks = own[..., ::2, ::2] + own[..., 1::2, ::2] + own[..., ::2, 1::2] + own[..., 1::2, 1::2]
    expected = blocks / 4 * DEVIATION + MEAN
    assert own.shape == (1, 3, 64, 88)
    assert torch.allclose(unbaked, expected, atol=1e-5)
    assert torch.allclose(baked, expected, atol=1e-4)


@pytest.mark.slow
def test_every_picture_of_a_batch_is_cut(random_backbones, small_stats):
    """The published code cuts the first one; the others would depend on their place."""
    folded = random_backbones["multimodal"].bake(small_stats).folded
    batch = torch.stack([picture((24, 32), seed=seed) for seed in (4, 5)])
    with torch.inference_mode():
        together = folded.own_output(batch, at_border=True)
        alone = folded.own_output(batch[1:], at_border=True)
    lowest, highest = -MEAN / CUT_DEVIATION, (1 - MEAN) / CUT_DEVIATION
    assert float((together[1:] - alone).abs().max()) <= 1e-4 * float((highest - lowest).max())
    # The network rounds these limits from float64, the test computes them in float32.
    rounding = 1e-6
    for result in together:
        assert bool(((result >= lowest - rounding) & (result <= highest + rounding)).all())
        is_cut = ((result - lowest).abs() < rounding) | ((result - highest).abs() < rounding)
        assert bool(is_cut.any())


@pytest.mark.slow
def test_picture_of_one_color_stays_finite(random_backbones):
    """Nothing varies at any of the 56 sites, and rounding errors must not be all that is left."""
    backbone = random_backbones["multimodal"]
    content = torch.tensor([0.5, 0.06, 0.11])[None, :, None, None].expand(1, 3, 36, 52)
    stats = backbone.collect(content, backbone.encode_style())
    with torch.inference_mode():
        result = backbone.bake(stats)(content)
    assert bool(torch.isfinite(result).all())
    assert float(result.std(dim=(2, 3)).max()) <= 1e-4


@pytest.mark.slow
def test_the_only_style_needs_no_name(random_backbones):
    backbone = random_backbones["multimodal"]
    assert backbone.encode_style() == backbone.encode_style(["trained"])


@pytest.mark.slow
def test_exact_statistics_are_those_of_the_whole_picture(random_backbones):
    """Sites of the enhance and refine subnets see maps twice as large as the window."""
    backbone = random_backbones["multimodal"]
    content = picture((12, 20))
    settings = Settings(stats="exact", tile_size=12)
    stats = Run.of(TensorSource(content), backbone, settings).measure([])
    whole = backbone.collect(content.unsqueeze(0), stats.code)
    assert stats.sites.keys() == whole.sites.keys()
    for name, site in stats.sites.items():
        assert torch.allclose(site.mean, whole.sites[name].mean, rtol=1e-4, atol=1e-4), name
        assert torch.allclose(site.std, whole.sites[name].std, rtol=1e-4, atol=1e-4), name
