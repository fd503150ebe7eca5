"""MetaNets: published sizes, generated networks, and their files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture, random_backbone, random_state, save_picture, stored_picture
from safetensors.torch import save_file

from urst_core.backbones.johnson import JohnsonExamples
from urst_core.backbones.metanet import SHARE, WIDTHS, MetaNet, generated_state
from urst_core.backbones.microast import MicroAST
from urst_core.cli.main import main
from urst_core.errors import OutputError, SettingsError, StatsError
from urst_core.networks.sites import collect
from urst_core.networks.style import StyleCode
from urst_core.weights.generation import save_generated
from urst_core.weights.loading import load_backbone

PUBLISHED_WEIGHTS = {
    8: [1152, 4608, *[9216] * 10],
    16: [4608, 18432, *[36864] * 10],
    32: [18432, 73728, *[147456] * 10],
}
"""Weights of the generated convolutions in shenfalong/styletransfer's param.prototxt, except for
the last two, transposed convolutions of 4 x 4 there."""

PUBLISHED_HIDDEN = 1792

PUBLISHED_BYTES = {8: 449_000, 32: 7_000_000}
"""Sizes of generated networks, according to that repository's README."""


@pytest.fixture(scope="module")
def backbone(random_backbones):
    return random_backbones["metanet"]


@pytest.fixture(scope="module")
def code(backbone):
    return backbone.encode_style([picture((40, 48), seed=3)[None]])


@pytest.mark.parametrize("width", WIDTHS)
def test_published_sizes(width):
    with torch.device("meta"):
        network = MetaNet(width)
    generators = list(network.weights.values())
    counts = [layer.out_features for layer in generators]
    assert counts[:12] == PUBLISHED_WEIGHTS[width]
    # 3 x 3 instead of 4 x 4.
    assert counts[12:] == [4 * width * 2 * width * 9, 2 * width * width * 9]
    assert all(layer.in_features == SHARE == 128 for layer in generators)
    assert network.hidden.out_features == PUBLISHED_HIDDEN == SHARE * len(generators)
    assert network.hidden.in_features == 1920


@pytest.mark.parametrize("width", PUBLISHED_BYTES)
def test_generated_networks_are_as_small_as_published(width):
    with torch.device("meta"):
        values = sum(parameter.numel() for parameter in JohnsonExamples(width).parameters())
    assert 0.95 <= 4 * values / PUBLISHED_BYTES[width] <= 1.0


def test_the_width_is_told_from_weights():
    with torch.device("meta"):
        state = MetaNet(16).state_dict()
        assert MetaNet.for_weights(state).hidden.out_features == PUBLISHED_HIDDEN
        assert MetaNet.for_weights(state).state_dict().keys() == state.keys()
        shapes = {n: v.shape for n, v in MetaNet.for_weights(state).state_dict().items()}
    assert shapes == {name: value.shape for name, value in state.items()}
    assert (
        JohnsonExamples.for_weights(JohnsonExamples(8).state_dict()).conv1.conv2d.out_channels == 8
    )
    assert JohnsonExamples.for_weights({}).conv1.conv2d.out_channels == 32


def test_a_generated_network_is_a_johnson_network(backbone, code):
    generated = backbone.network.generate(code)
    state = generated_state(generated)
    johnson = JohnsonExamples(8)
    johnson.load_state_dict(state)
    content = picture((48, 64), seed=4)[None]
    with torch.inference_mode():
        _, expected = collect(backbone.network.stages(content, code))
        _, painted = collect(johnson.stages(content, StyleCode({})))
    assert float(expected.std()) > 0.01
    assert torch.equal(painted, expected)


def test_networks_generated_together_are_those_of_each_style(backbone):
    meta = backbone.network
    codes = meta.codes_of(torch.rand(2, 1920))
    for network, hidden in zip(meta.generate_each(codes), codes.tensors["hidden"].split(1)):
        alone = generated_state(meta.generate(StyleCode({"hidden": hidden})))
        for name, value in generated_state(network).items():
            assert torch.allclose(value, alone[name], atol=1e-4), name


def test_styles_generate_different_networks(backbone, code):
    other = backbone.encode_style([picture((40, 48), seed=5)[None]])
    first, second = (generated_state(backbone.network.generate(c)) for c in (code, other))
    shared = {name for name in first if name.startswith(("conv1.", "deconv3."))}
    for name, value in first.items():
        is_bias_before_a_normalization = name.endswith("conv2d.bias")
        is_same = torch.equal(value, second[name])
        assert is_same == (name in shared or is_bias_before_a_normalization), name


@pytest.mark.slow
def test_gradients_reach_everything_that_generates():
    network = MetaNet()
    network.load_state_dict(random_state(network, 0))
    code = network.codes_of(torch.rand(1, 1920))
    _, painted = collect(network.generate(code).stages(picture((16, 16))[None], StyleCode({})))
    painted.square().mean().backward()
    for name, parameter in network.named_parameters():
        if name.startswith("style."):
            assert parameter.grad is None, name
        elif name != "shared.conv1.conv2d.bias":  # before a normalization: only rounding
            assert float(parameter.grad.abs().max()) > 0, name


def test_a_generated_file_paints_the_same_pixels(backbone, code, tmp_path):
    path = tmp_path / "stars.safetensors"
    save_generated(backbone, code, path, title="Stars")
    assert path.stat().st_size < 450_000
    johnson = load_backbone("johnson_examples", path)
    content, window = picture((48, 64), seed=4)[None], picture((32, 40), seed=6)[None]
    painted = johnson.bake(johnson.collect(content, johnson.encode_style()))
    expected = backbone.bake(backbone.collect(content, code))
    with torch.inference_mode():
        assert torch.equal(painted(window), expected(window))


def test_refused(backbone, code, microast, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(SettingsError) as caught:
        save_generated(microast, code, path)
    assert str(caught.value) == "MicroAST generates no networks; pass backbone='metanet'"
    other = replace(backbone, fingerprint="0" * 64)
    with pytest.raises(StatsError, match=r"encoded with weights \w{12} does not fit weights"):
        save_generated(other, code, path)
    assert not path.exists()
    with pytest.raises(OutputError) as caught:
        save_generated(backbone, code, tmp_path / "absent" / "a.safetensors")
    assert "cannot be written (" in str(caught.value)


@pytest.mark.slow
def test_the_command(backbone, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_file(backbone.network.state_dict(), "meta.safetensors")
    save_picture(tmp_path / "painting.png", stored_picture((40, 48), seed=3))
    save_picture(tmp_path / "photo.png", stored_picture((40, 48)))
    command = ["weights", "generate", "painting.png", "--weights", "meta.safetensors"]
    assert main([*command, "-o", "a.safetensors"]) == 0
    size = (tmp_path / "a.safetensors").stat().st_size
    assert capsys.readouterr().out == (
        f"a.safetensors: painting.png, {size / 1000:.0f} KB\n"
        "  urst stylize PHOTO -o OUT --backbone johnson_examples --weights a.safetensors\n"
    )
    painted = ["stylize", "photo.png", "--device", "cpu", "--quiet"]
    johnson = ["--backbone", "johnson_examples", "--weights", "a.safetensors"]
    assert main([*painted, "-o", "painted.png", *johnson]) == 0
    assert main([*command, "-o", "a.safetensors"]) == 1
    assert "a.safetensors exists" in capsys.readouterr().err
    save_file(random_backbone(MicroAST).network.state_dict(), "other.safetensors")
    assert main([*command[:3], "--weights", "other.safetensors", "-o", "b.safetensors"]) == 1
    assert "weights other.safetensors are MicroAST's, not MetaNet's" in capsys.readouterr().err
