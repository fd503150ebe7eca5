"""WCT and Collaborative Distillation: the cascade, its levels, and its folding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from examples import picture, seeder
from safetensors.torch import load_file
from torch import Tensor, nn

from urst_core.backbones.adain import AdaIN
from urst_core.backbones.wct import (
    LEVELS,
    WCT,
    Cascade,
    CollaborativeDistillation,
    cascade_layers,
    cascade_stride,
    decoder_modules,
    encoder_modules,
    level_layers,
)
from urst_core.errors import StatsError, WeightsError
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.layers.banded import RowSequence
from urst_core.networks.model import Backbone
from urst_core.networks.reach import Convolution, halos_at_upsamplings, influence_radius
from urst_core.networks.sites import collect, replay
from urst_core.networks.statistics import ChannelStats, WhiteningStats
from urst_core.networks.style import blend
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone, read_weights

NETWORKS: dict[str, type[Cascade]] = {"wct": WCT, "cd16x": CollaborativeDistillation}


@pytest.fixture(scope="module", params=NETWORKS)
def golden_backbone(request, shared) -> Backbone:
    state = golden_state(request.param, shared / "golden")
    return build_backbone(NETWORKS[request.param], state, origin="golden")


def golden_state(name: str, folder: Path) -> dict[str, Tensor]:
    """The seeds and key prefixes that the recipes describe in words."""
    seeded_state_dict = seeder(folder.parent)
    recipe = json.loads((folder / f"{name}.json").read_text())
    state: dict[str, Tensor] = {}
    for part, shapes in recipe["shapes"].items():
        if name == "wct":
            state |= seeded_state_dict(shapes, recipe["seed"][part.rstrip("12345")])
        else:
            seed = {"SE": 10, "SD": 20}[part[1:]] + int(part[0])
            state |= {f"{part}.{k}": v for k, v in seeded_state_dict(shapes, seed).items()}
    return state


@pytest.fixture(scope="module")
def shallow() -> Backbone:
    """Three levels with random weights, quick."""
    network = CollaborativeDistillation((3, 2, 1))
    generator = torch.Generator().manual_seed(4)
    state = {
        name: torch.randn(value.shape, generator=generator)
        * ((2.0 / value[0].numel()) ** 0.5 if value.ndim == 4 else 0.05)
        for name, value in network.state_dict().items()
    }
    return build_backbone(CollaborativeDistillation, state, origin="random")


def stats_of(backbone: Backbone) -> FrozenStats:
    code = backbone.encode_style([picture((64, 80), seed=3)[None]])
    return backbone.collect(picture((64, 96), seed=2)[None], code)


# Parity


@pytest.mark.slow
def test_equal_to_the_published_code(golden_backbone, shared):
    backbone = golden_backbone
    golden = load_file(shared / "golden" / f"{backbone.traits.name}.safetensors")
    network, code = backbone.network, backbone.encode_style([golden["style"]])
    with torch.inference_mode():
        _, whole = collect(network.stages(golden["content"], code))
        sites, thumbnail = collect(network.stages(golden["thumbnail"], code))
        tin = backbone.bake(backbone.stats(code, sites, strength=1.0))(golden["content"])
    for kind, stylized in (
        ("whole", whole),
        ("thumb_stylised", thumbnail),
        ("tin", tin),
    ):
        span = float(golden[kind].max() - golden[kind].min())
        assert float((stylized - golden[kind]).abs().max()) <= 1e-4 * span, kind


def test_statistics_by_hand():
    """Against the definition: float64, an unbiased covariance, the identity on the content's."""
    backbone = build_backbone(
        CollaborativeDistillation,
        {k: torch.randn(v.shape) for k, v in CollaborativeDistillation((1,)).state_dict().items()},
        origin="random",
    )
    content, style = picture((24, 40), seed=7)[None], picture((32, 24), seed=8)[None]
    stats = backbone.collect(content, backbone.encode_style([style]))
    encoder = backbone.network.get_submodule("1SE")
    features, style_features = encoder(content)[0].flatten(1), encoder(style)[0].flatten(1)
    whitening = stats.sites["relu1_1"].whitening
    covariance = torch.cov(features.double()) + torch.eye(24, dtype=torch.float64)
    unit = torch.eye(24, dtype=torch.float64)
    assert torch.allclose(whitening @ covariance @ whitening, unit, atol=1e-9)
    assert torch.allclose(
        stats.sites["relu1_1"].mean.flatten(), features.double().mean(1), atol=1e-9
    )
    coloring = stats.code.tensors["relu1_1.coloring"]
    expected = torch.cov(style_features.double())
    assert torch.allclose(coloring @ coloring, expected, rtol=1e-6, atol=1e-4)


def test_matrices_stay_wide_through_blending_saving_and_moving(shallow, tmp_path):
    stats = stats_of(shallow)
    mixed = blend([stats.code, stats.code], [1.0, 2.0])
    stats.save(tmp_path / "stats.safetensors")
    loaded = FrozenStats.load(tmp_path / "stats.safetensors").to(torch.device("cpu"))
    for name, value in stats.code.tensors.items():
        assert value.dtype == mixed.tensors[name].dtype == torch.float64
        assert torch.equal(loaded.code.tensors[name], value)
    for name, site in stats.sites.items():
        assert isinstance(site, WhiteningStats)
        for part, value in site.tensors().items():
            assert value.dtype == torch.float64
            assert torch.equal(loaded.sites[name].tensors()[part], value)
    content = picture((64, 96), seed=2)[None]
    assert torch.equal(shallow.bake(loaded)(content), shallow.bake(stats)(content))


def test_strength_leads_from_the_content_to_the_style(shallow):
    content = picture((64, 96), seed=2)[None]
    code = shallow.encode_style([picture((64, 80), seed=3)[None]])
    pictures = [
        shallow.bake(shallow.collect(content, code, strength=strength))(content)
        for strength in (0.0, 0.5, 1.0)
    ]
    distances = [float((stylized - content).square().mean()) for stylized in pictures]
    assert distances[0] < 1e-10
    assert distances[0] < distances[1] < distances[2]


# Tiles


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_tile_passes_do_not_factorize(name, random_backbones, monkeypatch):
    backbone = random_backbones[name]
    stats = stats_of(backbone)
    baked = backbone.bake(stats)
    prepared = baked.prepared(torch.device("cpu"))
    content = picture((64, 96), seed=2)[None]
    with torch.inference_mode():
        expected = replay(backbone.network.stages(content, stats.code), stats.sites)

    def refuse(*_, **__):
        raise AssertionError("a tile pass factorizes or multiplies matrices")

    for function in ("eigh", "eigvalsh", "eig", "svd", "matrix_power", "cholesky", "qr", "inv"):
        monkeypatch.setattr(torch.linalg, function, refuse)
    monkeypatch.setattr(torch, "einsum", refuse)
    monkeypatch.setattr("urst_core.backbones.wct.matrix_power", refuse)
    for network in (baked, prepared):
        for at_border in (True, False):
            stylized = network(content, at_border=at_border)
            assert stylized.dtype == torch.float32
        assert float((network(content) - expected).abs().max()) <= 1e-4
    with pytest.raises(AssertionError, match="factorizes"):
        backbone.collect(content, stats.code)


def test_tile_networks_have_only_float32_convolutions(shallow):
    folded = shallow.bake(stats_of(shallow)).folded
    # Fewer by the color transforms; the features' transforms have no layer of their own either.
    convolutions = [m for m in shallow.network.modules() if isinstance(m, nn.Conv2d)]
    joined = [m for m in folded.modules() if type(m).__name__.endswith("Convolution")]
    pictures = [m for m in folded.modules() if type(m).__name__ == "OutputConvolution"]
    assert len(joined) - len(pictures) == len(convolutions) - 3
    assert all(value.dtype == torch.float32 for value in folded.state_dict().values())


@pytest.mark.slow
def test_exact_statistics_equal_those_of_the_whole_picture(shallow):
    content = TensorSource(picture((72, 100), seed=2))
    code = shallow.encode_style([picture((64, 80), seed=3)[None]])
    whole = shallow.collect(content.pixels[None], code)
    settings = Settings(style_size=0, tile_size=32, stats="exact", device="cpu")
    exact = Run.of(content, shallow, settings).measure([TensorSource(picture((64, 80), seed=3))])
    for name, site in whole.sites.items():
        for part, value in site.tensors().items():
            assert torch.allclose(exact.sites[name].tensors()[part], value, rtol=1e-4, atol=1e-5)


class OneChannel(Cascade):
    """The cascade of layers, as narrow as can be."""

    traits = CollaborativeDistillation.traits
    encoder_name, decoder_name = "e{}", "d{}"

    @staticmethod
    def make_level(level: int) -> tuple[nn.Sequential, nn.Sequential]:
        channels = dict.fromkeys("12345", 1)
        encoder = [module for _, module in encoder_modules(level, channels)]
        decoder = [module for _, module in decoder_modules(level, channels)]
        return nn.Sequential(*encoder), nn.Sequential(*decoder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "radius", "halo"),
    [
        ((1,), 2, 2),
        ((2,), 8, 8),
        ((3,), 22, 24),
        ((4,), 62, 64),
        ((5,), 150, 160),
        ((3, 2, 1), 30, 32),
        ((4, 3, 2, 1), 94, 96),
        (LEVELS, 246, 256),
    ],
)
def test_halo_is_the_smallest_that_covers_the_reach(levels, radius, halo):
    """Through 62 random convolutions one pixel's trace falls below rounding long before its end.

    So the network here adds up positive numbers of a picture of zeros: any trace stays above 0.
    """
    network = OneChannel(levels)
    for value in network.parameters():
        value.requires_grad_(False).fill_(1.0 / 9.0 if value.ndim == 4 else 0.0)
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1)
    halos = halos_at_upsamplings(network.traits.layers, stride=network.traits.stride)
    tiles = RowSequence(
        layer
        for level in levels
        for layer in level_layers(
            network.get_submodule(f"e{level}"),
            WhiteningStats(zero, one),
            network.get_submodule(f"d{level}"),
            mean=zero,
            coloring=one,
            halos=halos,
        )
    ).double()
    traits = network.traits
    assert influence_radius(traits.layers, stride=traits.stride) == radius
    assert traits.halo == halo
    stride, block = traits.stride, traits.halo + 2 * traits.stride
    reached = 0
    for alignment in range(stride):
        content = torch.zeros(1, 3, 2 * block, 2 * stride, dtype=torch.float64)
        pixel = block + alignment
        content[:, :, pixel, stride] = 1e100
        with torch.inference_mode():
            changed = (tiles(content, at_border=False) > 0).any(1)[0].any(1).nonzero().flatten()
        for row in (int(changed[0]), int(changed[-1])):
            first = row // stride * stride
            reached = max(reached, first - pixel, pixel - (first + stride - 1))
    assert reached == radius


@pytest.mark.slow
def test_every_convolution_with_a_reach_is_declared():
    network = WCT()
    wide = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(wide) == sum(isinstance(layer, Convolution) for layer in network.traits.layers)
    assert network.traits == WCT.traits


# Levels


@pytest.mark.parametrize("network_class", NETWORKS.values())
@pytest.mark.parametrize("levels", [(1,), (4, 1), (5, 3), (3, 2, 1), LEVELS])
def test_the_file_chooses_the_levels(network_class, levels):
    with torch.device("meta"):
        state = network_class(levels).state_dict()
        network = network_class.for_weights(state)
    assert network.site_names == tuple(f"relu{level}_1" for level in levels)
    assert network.state_dict().keys() == state.keys()
    assert network.traits.layers == cascade_layers(levels)
    assert network.traits.stride == cascade_stride(levels)
    assert network.traits.halo % network.traits.stride == 0


@pytest.mark.slow
@pytest.mark.parametrize("network_class", NETWORKS.values())
def test_states_of_other_networks_choose_all_levels(network_class):
    with torch.device("meta"):
        states = [{}, AdaIN().state_dict(), {"vgg": torch.zeros(1), "vgg6.0.weight": torch.ones(1)}]
        for state in states:
            assert network_class.for_weights(state).site_names == network_class().site_names


def test_smallest_pictures_of_each_level():
    for level in LEVELS:
        network = CollaborativeDistillation((level,))
        state = {name: torch.randn(v.shape) * 0.1 for name, v in network.state_dict().items()}
        backbone = build_backbone(CollaborativeDistillation, state, origin="random")
        edge = backbone.traits.minimum
        smallest = picture((edge, edge))[None]
        stats = backbone.collect(smallest, backbone.encode_style([smallest]))
        stylized = backbone.bake(stats)(smallest)
        assert stylized.shape == smallest.shape
        assert bool(stylized.isfinite().all())


@pytest.mark.slow
@pytest.mark.parametrize(("level", "stride"), [(1, 2), (2, 2), (3, 4), (4, 8), (5, 16)])
def test_odd_sizes_at_each_level(level, stride):
    """Level 1 alone samples nothing down, but tile networks make 2 x 2 pixels at a time."""
    network = CollaborativeDistillation((level,))
    state = {name: torch.randn(v.shape) * 0.1 for name, v in network.state_dict().items()}
    backbone = build_backbone(CollaborativeDistillation, state, origin="random")
    assert backbone.traits.stride == stride
    size = 2 * stride + 1, 3 * stride - 1
    canvas = TensorCanvas(size, dtype=torch.float32)
    settings = Settings(tile_size=stride, device="cpu")
    stylize(
        TensorSource(picture(size)), [TensorSource(picture((40, 33)))], canvas, backbone, settings
    )
    assert bool(canvas.pixels.isfinite().all())


def test_published_extras_are_put_aside(shared):
    state = read_weights(shared / "weights" / "cd16x.safetensors")
    assert any("_aux." in name for name in state)
    backbone = build_backbone(CollaborativeDistillation, state, origin="cd16x")
    names = {name for name in state if "_aux." not in name}
    assert backbone.network.state_dict().keys() == names


def test_published_weights_of_three_levels(shared):
    state = read_weights(shared / "weights" / "wct_levels123.safetensors")
    backbone = build_backbone(WCT, state, origin="wct_levels123")
    assert backbone.network.site_names == ("relu3_1", "relu2_1", "relu1_1")
    assert (backbone.traits.stride, backbone.traits.halo) == (4, 32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg3.16.weight", "decoder2.8.bias"])
def test_half_a_level_is_refused(name):
    state = {key: torch.zeros(v.shape) for key, v in WCT((3, 2)).state_dict().items()}
    del state[name]
    with pytest.raises(WeightsError) as caught:
        build_backbone(WCT, state, origin="file.safetensors")
    assert str(caught.value) == (
        f"weights file.safetensors do not fit WCT: 1 missing ({name}) of 36 keys; "
        "use a file under the published parameter names"
    )


@pytest.mark.slow
def test_weights_of_the_compressed_network_name_it():
    network = CollaborativeDistillation((2, 1))
    with pytest.raises(WeightsError, match="are Collaborative Distillation's, not WCT's"):
        build_backbone(WCT, network.state_dict(), origin="file.safetensors")


def test_statistics_of_other_levels_are_refused(shallow):
    stats = stats_of(shallow)
    sites = {name: site for name, site in stats.sites.items() if name != "relu2_1"}
    with pytest.raises(StatsError, match="no statistics for site 'relu2_1'"):
        shallow.network.fold(stats.code, sites)
    wrong = dict(stats.sites) | {"relu2_1": ChannelStats(torch.zeros(1), torch.ones(1))}
    with pytest.raises(StatsError, match="no statistics for site 'relu2_1'"):
        shallow.network.fold(stats.code, wrong)
