"""Both layouts against their published code, and their differences."""

from __future__ import annotations

import json

import pytest
import torch
from examples import picture, seeder
from safetensors.torch import load_file

from urst_core.backbones.johnson import Johnson, JohnsonExamples
from urst_core.errors import SettingsError, WeightsError
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.sites import collect, measure, replay, run
from urst_core.weights.checkpoint import build_backbone

LAYOUTS = {"johnson": Johnson, "johnson_examples": JohnsonExamples}
STYLES = ("candy", "mosaic", "udnie")


def published_state(name, shared):
    if name == "johnson_examples":
        return load_file(shared / "weights" / "johnson_candy.safetensors")
    recipe = json.loads((shared / "golden" / "johnson.json").read_text())
    seeded = seeder(shared)
    return seeded(recipe["shapes"]["model"], recipe["seed"]["model"])


@pytest.fixture(scope="module")
def published(shared):
    """The networks and weights that the golden files were made with."""
    return {
        name: build_backbone(layout, published_state(name, shared), origin=f"golden {name}")
        for name, layout in LAYOUTS.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_equal_to_the_published_code(name, published, shared):
    backbone = published[name]
    golden = load_file(shared / "golden" / f"{name}.safetensors")
    network, code = backbone.network, backbone.encode_style()
    with torch.inference_mode():
        _, whole = collect(network.stages(golden["content"], code))
        sites, thumbnail = collect(network.stages(golden["thumbnail"], code))
        tin = replay(network.stages(golden["content"], code), sites)
        baked = backbone.bake(backbone.stats(code, sites, strength=1.0))(golden["content"])
    for kind, result in (
        ("whole", whole),
        ("thumb_stylised", thumbnail),
        ("tin", tin),
        ("tin", baked),
    ):
        span = float(golden[kind].max() - golden[kind].min())
        assert float((result - golden[kind]).abs().max()) <= 1e-4 * span, kind


@pytest.mark.parametrize("style", STYLES)
def test_real_weights_load_and_keep_their_names(style, shared):
    state = load_file(shared / "weights" / f"johnson_{style}.safetensors")
    backbone = build_backbone(JohnsonExamples, state, origin=style)
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, state[name].float())


@pytest.mark.parametrize(("name", "divisor"), [("johnson", 3), ("johnson_examples", 4)])
def test_variance_of_each_layout(name, divisor, random_backbones):
    """At 8 x 8 px the last blocks have 4 positions, where the two variances differ by a third."""
    backbone = random_backbones[name]
    seen = {}

    def remember(site):
        seen[site.name] = site.features
        return measure(site).normalize(site.features)

    content = picture((8, 8)).unsqueeze(0)
    with torch.inference_mode():
        run(backbone.network.stages(content, backbone.encode_style()), remember)
    sites = backbone.collect(content, backbone.encode_style()).sites
    assert tuple(sites) == tuple(seen) == backbone.network.site_names
    deepest = [site for site, features in seen.items() if features[0, 0].numel() == 4]
    assert len(deepest) == 11
    for site in deepest:
        values = seen[site].double().flatten(2)
        squares = (values - values.mean(2, keepdim=True)).square().sum(2)
        std = (squares / divisor + 1e-5).sqrt().float()
        assert torch.allclose(sites[site].std.flatten(), std.flatten(), rtol=1e-5)
        assert torch.allclose(sites[site].mean.flatten(), values.mean(2).float().flatten())


def test_norms_of_one_axis_load_too(random_backbones):
    """As eriklindernoren's code saves them, before URST's brings them to four axes."""
    backbone = random_backbones["johnson"]
    state = {
        name: value.flatten() if "norm" in name else value
        for name, value in backbone.network.state_dict().items()
    }
    flat = build_backbone(Johnson, state, origin="flat")
    content = picture((32, 40)).unsqueeze(0)
    with torch.inference_mode():
        pictures = [
            collect(b.network.stages(content, b.encode_style()))[1] for b in (backbone, flat)
        ]
    assert torch.equal(*pictures)


def test_running_statistics_of_old_files_are_ignored(random_backbones):
    backbone = random_backbones["johnson_examples"]
    state = backbone.network.state_dict()
    surplus = {
        f"{site}.running_{kind}": torch.ones(4)
        for site in backbone.network.site_names
        for kind in ("mean", "var")
    }
    assert len(surplus) == 30
    old = build_backbone(JohnsonExamples, {**state, **surplus}, origin="old")
    assert old.fingerprint == backbone.fingerprint


def test_weights_of_the_other_layout_are_recognized():
    with pytest.raises(WeightsError) as caught:
        build_backbone(Johnson, JohnsonExamples().state_dict(), origin="candy.safetensors")
    assert str(caught.value) == (
        "weights candy.safetensors are Johnson (PyTorch examples)'s, not Johnson's; "
        "choose backbone 'johnson_examples' or another file"
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_style_needs_no_name_and_takes_no_picture(name, random_backbones):
    backbone = random_backbones[name]
    assert backbone.encode_style() == backbone.encode_style(["trained"])
    with pytest.raises(SettingsError, match="has no style 'candy'; use one of: trained"):
        backbone.encode_style(["candy"])
    with pytest.raises(SettingsError, match="takes no style picture"):
        backbone.encode_style([picture((32, 32)).unsqueeze(0)])


@pytest.mark.parametrize("name", LAYOUTS)
def test_statistics_of_an_empty_style_code_survive_a_file(name, random_backbones, tmp_path):
    backbone = random_backbones[name]
    content = picture((40, 48)).unsqueeze(0)
    stats = backbone.collect(content, backbone.encode_style())
    stats.save(tmp_path / "stats.safetensors")
    loaded = FrozenStats.load(tmp_path / "stats.safetensors")
    with torch.inference_mode():
        assert torch.equal(backbone.bake(loaded)(content), backbone.bake(stats)(content))
