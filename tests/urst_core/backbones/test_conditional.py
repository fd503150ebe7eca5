"""A bank of styles against the published network, its mixtures, and banks of other sizes."""

from __future__ import annotations

import pytest
import torch
from examples import picture
from safetensors.torch import load_file

from urst_core.backbones import all_backbones
from urst_core.backbones.conditional import ConditionalNormalization
from urst_core.errors import SettingsError, WeightsError
from urst_core.method.pipeline import stylize
from urst_core.networks.sites import collect, replay
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone

FIRST_BANK = "transformer.contract.conv1.gamma"


@pytest.fixture(scope="module")
def published(shared):
    state = load_file(shared / "weights" / "cin26.safetensors")
    return build_backbone(ConditionalNormalization, state, origin="cin26")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "thumb_stylised", "tin"])
@pytest.mark.parametrize(
    ("names", "prefix"), [(["3"], "style3"), (["12"], "style12"), (["3", "12"], "mix3_12")]
)
def test_equal_to_the_published_network(names, prefix, kind, published, shared):
    golden = load_file(shared / "golden" / "cin26.safetensors")
    content = golden["thumbnail" if kind == "thumb_stylised" else "content"]
    code = published.encode_style(names)
    stats = published.collect(content if kind == "whole" else golden["thumbnail"], code)
    with torch.inference_mode():
        unbaked = replay(published.network.stages(content, code), stats.sites)
        baked = published.bake(stats)(content)
    expected = golden[f"{prefix}_{kind}"]
    span = float(expected.max() - expected.min())
    assert float((unbaked - expected).abs().max()) <= 1e-4 * span
    assert float((baked - expected).abs().max()) <= 1e-4 * span


def test_codes_are_rows_of_the_banks_and_mix(random_backbones):
    backbone = random_backbones["cin"]
    code = backbone.encode_style(["3", "12"], [3.0, 1.0])
    state = backbone.network.state_dict()
    for site, layer in (
        ("contract.conv2", "contract.conv2"),
        ("residual.residual6.conv1", "residual.residual6.conv1"),
        ("expand.conv3", "expand.conv3.conv"),
    ):
        for part in ("gamma", "beta"):
            bank = state[f"transformer.{layer}.{part}"]
            mixed = 0.75 * bank[3] + 0.25 * bank[12]
            assert torch.allclose(code.tensors[f"{site}.{part}"], mixed, atol=1e-6)
    assert len(code.tensors) == 2 * len(backbone.network.site_names)


def test_sites_come_in_their_order_with_the_biased_variance(random_backbones):
    """At 8 x 8 px the residual blocks have 4 positions, where the variances differ by a third."""
    backbone = random_backbones["cin"]
    content = picture((8, 8)).unsqueeze(0)
    stats = backbone.collect(content, backbone.encode_style(["0"]))
    assert tuple(stats.sites) == backbone.network.site_names
    stages = backbone.network.stages(content, stats.code)
    with torch.inference_mode():
        site = next(stages)
        while site.name != "residual.residual4.conv2":
            site = stages.send(stats.sites[site.name].normalize(site.features))
        values = site.features[0].flatten(1)
    std = (values.var(1, unbiased=False) + 1e-5).sqrt()
    assert values.shape[1] == 4
    assert torch.allclose(stats.sites[site.name].std.flatten(), std, rtol=1e-4)


@pytest.mark.slow
def test_exact_statistics_reproduce_the_untiled_method(random_backbones):
    """Sites lie at full, half and quarter size, on the way down and up."""
    backbone = random_backbones["cin"]
    size = (36, 132)
    content = TensorSource(picture(size))
    with torch.inference_mode():
        code = backbone.encode_style(["5"])
        _, plain = collect(backbone.network.stages(content.pixels.unsqueeze(0), code))
    canvas = TensorCanvas(size, dtype=torch.float32)
    stylize(content, ["5"], canvas, backbone, Settings(stats="exact", tile_size=64))
    assert float((canvas.pixels - plain[0]).abs().max()) <= 1e-4


def test_a_bank_of_another_size():
    widths = (6, 10, 12, 7, 5)
    state = ConditionalNormalization(3, widths).state_dict()
    backbone = build_backbone(ConditionalNormalization, state, origin="small")
    assert backbone.network.style_names == ("0", "1", "2")
    assert state["transformer.expand.conv2.conv.weight"].shape == (5, 7, 3, 3)
    content = picture((32, 40)).unsqueeze(0)
    stats = backbone.collect(content, backbone.encode_style(["2"]))
    with torch.inference_mode():
        unbaked = replay(backbone.network.stages(content, stats.code), stats.sites)
        assert float((backbone.bake(stats)(content) - unbaked).abs().max()) <= 1e-4
    assert 0.0 <= float(unbaked.min()) < float(unbaked.max()) <= 1.0
    with pytest.raises(SettingsError) as caught:
        backbone.encode_style(["3"])
    assert str(caught.value) == (
        "Conditional instance normalization has no style '3'; use one of: 0, 1, 2"
    )


def has_published_size(network):
    published = ConditionalNormalization()
    shapes = [[value.shape for value in n.state_dict().values()] for n in (network, published)]
    return shapes[0] == shapes[1] and network.style_names == published.style_names


@pytest.mark.slow
@pytest.mark.parametrize("other", all_backbones(), ids=lambda network: network.traits.name)
def test_weights_of_other_networks_mean_the_published_size(other):
    with torch.device("meta"):
        state = other().state_dict()
        assert has_published_size(ConditionalNormalization.for_weights(state))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (FIRST_BANK, None),
        (FIRST_BANK, torch.ones(3)),
        (FIRST_BANK, torch.tensor(1.0)),
        ("transformer.expand.conv1.conv.weight", None),
        ("transformer.expand.conv1.conv.weight", torch.tensor(1.0)),
        ("transformer.contract.conv2.weight", torch.ones(0, 6, 3, 3)),
    ],
)
def test_damaged_weights_mean_the_published_size(name, value):
    state = dict(ConditionalNormalization(3, (6, 10, 12, 7, 5)).state_dict())
    state.pop(name)
    if value is not None:
        state[name] = value
    assert has_published_size(ConditionalNormalization.for_weights(state))


@pytest.mark.parametrize("rows", [0, 2])
def test_banks_of_different_lengths(rows):
    layer = "transformer.expand.conv1.conv"
    state = dict(ConditionalNormalization(3).state_dict())
    state[f"{layer}.beta"] = torch.zeros(rows, 8)
    with pytest.raises(WeightsError) as caught:
        build_backbone(ConditionalNormalization, state, origin="torn")
    assert str(caught.value) == (
        f"weights torn: {layer}.beta has shape ({rows}, 8), "
        "Conditional instance normalization needs (3, 8); use the published width"
    )


def test_an_empty_bank():
    state = {
        name: value[:0] if name.endswith(("gamma", "beta")) else value
        for name, value in ConditionalNormalization().state_dict().items()
    }
    with pytest.raises(WeightsError, match=r"has shape \(0, 32\), .* needs \(1, 32\)"):
        build_backbone(ConditionalNormalization, state, origin="empty")
