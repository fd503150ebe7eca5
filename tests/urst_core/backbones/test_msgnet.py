"""MSG-Net against its published code, and its peculiarities."""

from __future__ import annotations

import json

import pytest
import torch
from examples import picture, seeder
from safetensors.torch import load_file

from urst_core.backbones.msgnet import MSGNet
from urst_core.method.run import Run
from urst_core.networks.sites import collect, replay
from urst_core.pictures.source import TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone


def published_shapes(shared):
    return json.loads((shared / "golden" / "msgnet.json").read_text())["shapes"]["model"]


def published_state(shared):
    seeded = seeder(shared)
    return seeded(published_shapes(shared), 0)


@pytest.fixture(scope="module")
def published(shared):
    return build_backbone(MSGNet, published_state(shared), origin="golden msgnet")


def in_published_scale(pixels):
    """RGB in 0..1 as BGR in 0..255."""
    return pixels.flip(1) * 255


@pytest.mark.slow
def test_equal_to_the_published_code(published, shared):
    golden = load_file(shared / "golden" / "msgnet.safetensors")
    network, code = published.network, published.encode_style([golden["style"]])
    with torch.inference_mode():
        _, whole = collect(network.stages(golden["content"], code))
        sites, thumbnail = collect(network.stages(golden["thumbnail"], code))
        tin = replay(network.stages(golden["content"], code), sites)
        baked = published.bake(published.stats(code, sites, strength=1.0))(golden["content"])
    for kind, result in (
        ("whole", whole),
        ("thumb_stylised", thumbnail),
        ("tin", tin),
        ("tin", baked),
    ):
        span = float(golden[kind].max() - golden[kind].min())
        difference = (in_published_scale(result) - golden[kind]).abs().max()
        assert float(difference) <= 1e-4 * span, kind


def test_parameters_have_the_published_names(shared):
    """Without the second copies, which published files hold under ``model1.`` and ``ins.``."""
    published_names = {
        name for name in published_shapes(shared) if not name.startswith(("model1.", "ins."))
    }
    assert MSGNet().state_dict().keys() == published_names


@pytest.mark.slow
def test_copies_in_published_files_do_not_count(published, shared):
    state = published_state(shared)
    for name in state:
        if name.startswith(("model1.", "ins.")):
            state[name] = torch.zeros_like(state[name])
    assert build_backbone(MSGNet, state, origin="test").fingerprint == published.fingerprint


@pytest.mark.slow
def test_sites_are_named_in_the_order_of_use(random_backbones):
    backbone = random_backbones["msgnet"]
    content = picture((16, 24)).unsqueeze(0)
    with torch.inference_mode():
        sites, _ = collect(backbone.network.stages(content, backbone.encode_style([content])))
    assert tuple(sites) == backbone.network.site_names
    assert len(sites) == 32


@pytest.mark.slow
def test_style_code_is_the_published_gram_matrix(random_backbones):
    """Of the features after the encoder by the style's own statistics, over C * H * W."""
    backbone = random_backbones["msgnet"]
    style = picture((40, 56), seed=3).unsqueeze(0)
    features = []
    encoder = backbone.network.model[0]
    layer = encoder[-1].conv_block[-1]
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: features.append(output))
    residual_layer = encoder[-1].residual_layer
    other = residual_layer.register_forward_hook(
        lambda _layer, _inputs, output: features.append(output)
    )
    code = backbone.encode_style([style])
    hook.remove()
    other.remove()
    flat = sum(features).flatten(2)[0].double()
    gram = flat @ flat.T / flat.numel()
    assert code.tensors.keys() == {"gram"}
    assert torch.allclose(code.tensors["gram"][0].double(), gram, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_style_is_folded_in(random_backbones):
    backbone = random_backbones["msgnet"]
    content = picture((32, 48), seed=4).unsqueeze(0)
    styles = [
        picture((40, 56), seed=seed).unsqueeze(0) ** power for seed, power in ((3, 1), (7, 4))
    ]
    results = []
    for style in styles:
        stats = backbone.collect(content, backbone.encode_style([style]))
        with torch.inference_mode():
            results.append(backbone.bake(stats)(content))
            unbaked = replay(backbone.network.stages(content, stats.code), stats.sites)
        assert float((results[-1] - unbaked).abs().max()) <= 1e-4
    assert float((results[0] - results[1]).abs().max()) > 1e-2


def test_picture_of_one_color_stays_finite(random_backbones):
    """Nothing varies at any of the 32 sites, and rounding errors must not be all that is left."""
    backbone = random_backbones["msgnet"]
    content = torch.tensor([0.5, 0.06, 0.11])[None, :, None, None].expand(1, 3, 52, 76)
    style = picture((40, 56), seed=3).unsqueeze(0)
    stats = backbone.collect(content, backbone.encode_style([style]))
    with torch.inference_mode():
        result = backbone.bake(stats)(content)
    assert bool(torch.isfinite(result).all())
    assert float(result.std(dim=(2, 3)).max()) <= 1e-4


@pytest.mark.slow
def test_exact_statistics_are_those_of_the_whole_picture(random_backbones):
    backbone = random_backbones["msgnet"]
    content, style = picture((16, 48)), picture((40, 56), seed=3)
    settings = Settings(stats="exact", tile_size=24, style_size=0)
    stats = Run.of(TensorSource(content), backbone, settings).measure([TensorSource(style)])
    whole = backbone.collect(content.unsqueeze(0), stats.code)
    assert stats.sites.keys() == whole.sites.keys()
    for name, site in stats.sites.items():
        assert torch.allclose(site.mean, whole.sites[name].mean, rtol=1e-4, atol=1e-4), name
        assert torch.allclose(site.std, whole.sites[name].std, rtol=1e-4, atol=1e-4), name
