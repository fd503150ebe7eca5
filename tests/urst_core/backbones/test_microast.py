"""The variants of MicroAST: without a grid by blurs, and extended by two blocks, too."""

from __future__ import annotations

import copy

import pytest
import torch
from examples import picture, random_backbone, random_state
from safetensors.torch import load_file

from urst_core.backbones.microast import BLUR, MicroAST, is_of_extra_block
from urst_core.errors import WeightsError
from urst_core.geometry import Rectangle, cut, tile_around
from urst_core.networks.model import Backbone
from urst_core.networks.sites import replay
from urst_core.networks.statistics import ChannelStats
from urst_core.networks.style import blend
from urst_core.training.losses import fine_detail, grid_loss
from urst_core.weights.checkpoint import build_backbone

BLURS = [
    "content_encoder.enc1.2.blur",
    "content_encoder.enc1.6.blur",
    "decoder.dec3.1.blur",
    "decoder.dec3.6.blur",
]


HALOS = {"blurred": 60, "extended": 64}


@pytest.fixture(scope="module", params=["blurred", "extended"])
def variant(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def backbone(variant) -> Backbone:
    return random_variant(variant)


def random_variant(variant: str) -> Backbone:
    state = random_backbone(MicroAST).network.state_dict()
    state |= dict.fromkeys(BLURS, torch.tensor(BLUR))
    if variant == "extended":
        state |= extra_blocks()
    return build_backbone(MicroAST, state, origin=f"random, {variant}")


def extra_blocks() -> dict[str, torch.Tensor]:
    state = random_state(MicroAST(extended=True), 0)
    return {name: value for name, value in state.items() if is_of_extra_block(name)}


def baked_in_float64(backbone):
    """The network, a style's code, statistics, and the tile network of both, in float64."""
    network = copy.deepcopy(backbone.network).double()
    network.eval().requires_grad_(False)
    double = Backbone(network, backbone.fingerprint)
    thumbnail, style = (
        picture(s, seed=n)[None].double() for s, n in (((48, 64), 0), ((40, 56), 3))
    )
    code = double.encode_style([style])
    # Kept in float32: rounded once, before anything is compared.
    sites = {
        name: ChannelStats(stats.mean.double(), stats.std.double())
        for name, stats in double.collect(thumbnail, code).sites.items()
    }
    return network, code, sites, network.fold(code, sites)


def state_of(network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_variant_is_detected_from_the_file(backbone, variant):
    state = state_of(backbone.network)
    assert sorted(name for name in state if name.endswith(".blur")) == BLURS
    for name in BLURS:
        assert state[name].tolist() == list(BLUR)
    extra = {name for name in state if is_of_extra_block(name)}
    assert len(extra) == (12 if variant == "extended" else 0)
    loaded = build_backbone(MicroAST, state, origin=variant)
    assert loaded.traits.halo == HALOS[variant]
    assert loaded.fingerprint == backbone.fingerprint
    published = {name: value for name, value in state.items() if name not in {*BLURS, *extra}}
    plain = build_backbone(MicroAST, published, origin="published")
    assert plain.traits is MicroAST.traits
    assert plain.fingerprint != loaded.fingerprint
    assert state_of(plain.network).keys() == published.keys()


@pytest.mark.slow
def test_a_file_with_some_of_the_blurs_is_refused(backbone):
    state = state_of(backbone.network)
    del state[BLURS[1]], state[BLURS[2]]
    with pytest.raises(WeightsError) as caught:
        build_backbone(MicroAST, state, origin="half.safetensors")
    assert str(caught.value) == (
        "weights half.safetensors do not fit MicroAST: 2 missing (content_encoder.enc1.6.blur, "
        f"decoder.dec3.1.blur) of {len(state) + 2} keys; use a file under the published parameter "
        "names"
    )


def test_extra_blocks_need_the_blurs():
    state = {**random_backbone(MicroAST).network.state_dict(), **extra_blocks()}
    with pytest.raises(WeightsError) as caught:
        build_backbone(MicroAST, state, origin="sharp.safetensors")
    assert str(caught.value) == (
        f"weights sharp.safetensors do not fit MicroAST: 4 missing ({', '.join(BLURS[:3])}, …) of "
        f"{len(state) + 4} keys; use a file under the published parameter names"
    )


def test_blocks_that_add_nothing_leave_the_picture_as_it_is():
    """As training starts, from weights without them."""
    content, style = picture((48, 64), seed=4)[None], picture((40, 56), seed=3)[None]
    state = random_variant("blurred").network.state_dict()
    extra = extra_blocks()
    extra |= {name: value * 0.0 for name, value in extra.items() if ".gather." in name}
    results = []
    for weights in (state, {**state, **extra}):
        backbone = build_backbone(MicroAST, weights, origin="random")
        stats = backbone.collect(content, backbone.encode_style([style]))
        with torch.inference_mode():
            results.append(backbone.bake(stats)(content))
    assert torch.equal(*results)


def test_extra_blocks_follow_the_style():
    """Their signals are an affine map of the style's statistics, so mixtures work as elsewhere."""
    backbone = random_variant("extended")
    extra = backbone.network.decoder.extra1
    codes = [backbone.encode_style([picture((40, 56), seed=n)[None]]) for n in (3, 5)]
    first, second = (torch.cat(extra.modulation(code)) for code in codes)
    assert float((first - second).abs().max()) > 1e-3
    mixed = torch.cat(extra.modulation(blend(codes, [0.25, 0.75])))
    torch.testing.assert_close(mixed, 0.25 * first + 0.75 * second, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_baked_network_equals_the_unbaked_one(backbone):
    network, code, sites, folded = baked_in_float64(backbone)
    content = picture((96, 136), seed=4)[None].double()
    with torch.inference_mode():
        unbaked = replay(network.stages(content, code), sites)
        baked = folded(content, at_border=True)
    assert float((baked - unbaked).abs().max()) <= 1e-9 * float(unbaked.abs().max())


@pytest.mark.slow
def test_tiles_equal_the_whole(backbone):
    """And one stride less of context would show."""
    network, _, _, folded = baked_in_float64(backbone)
    frame = (72, 136)
    content = picture(frame, seed=4)[None].double()

    def largest_difference(halo: int) -> float:
        tiled = torch.empty_like(content)
        for core in cut(Rectangle.of_size(frame), 64):
            tile = tile_around(core, halo, frame)
            window = content[(..., *tile.window.slices)]
            stylized = folded(window, at_border=tile.touches_border(frame))
            tiled[(..., *core.slices)] = stylized[(..., *tile.core_in_window.slices)]
        return float((tiled - whole).abs().max() / whole.abs().max())

    with torch.inference_mode():
        whole = folded(content, at_border=True)
        assert largest_difference(network.traits.halo) <= 1e-9
        assert largest_difference(network.traits.halo - network.traits.stride) > 1e-9


@pytest.mark.slow
def test_the_published_weights_have_a_fraction_of_their_grid_behind_blurs(shared):
    published = load_file(shared / "golden" / "microast_official_weights.safetensors")
    blurs = dict.fromkeys(BLURS, torch.tensor(BLUR))
    content, style = picture((192, 256), seed=4)[None], picture((160, 224), seed=3)[None]

    def grid(state) -> float:
        backbone = build_backbone(MicroAST, state, origin="published")
        stats = backbone.collect(content, backbone.encode_style([style]))
        with torch.inference_mode():
            stylized = backbone.bake(stats)(content)
        return float(grid_loss(stylized) / fine_detail(stylized).square().mean())

    assert grid({**published, **blurs}) < 0.5 * grid(published)
