"""Each backbone against its published code, and the facts on which exactness rests."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from examples import golden_state, picture, slow_where_large
from safetensors.torch import load_file

from urst_core.backbones import REGISTRY, all_backbones, find_backbone
from urst_core.errors import SettingsError
from urst_core.geometry import Rectangle, Size
from urst_core.method.run import Run
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.layers import banded
from urst_core.networks.layers.banded import InBands, Trimming
from urst_core.networks.model import Backbone
from urst_core.networks.network import Traits
from urst_core.networks.sites import collect, measure_sites, replay
from urst_core.networks.style import StyleCode
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone
from urst_core.weights.loading import load_backbone

# A viewer would not see it, and 8 bits would hardly store it: an eighth of one of their steps.
# How float32 is added up depends on the CPU.
FLOAT32_BOUND = 1 / 255 / 8

NAMES = list(REGISTRY)

# The golden files of the others differ in kind: compared in a test file of their own.
COMPARED_HERE = ["microast", "adain", "linear_r31", "linear_r41"]


def style_of(backbone: Backbone) -> torch.Tensor | str:
    """A style that the backbone can take: a name where its styles are in its weights."""
    return next(iter(backbone.network.style_names), picture((40, 56), seed=3).unsqueeze(0))


def code_of(backbone: Backbone) -> StyleCode:
    """The code of a style of which random networks make pictures that are not of one color."""
    style = next(iter(backbone.network.style_names), picture((160, 224), seed=3).unsqueeze(0))
    return backbone.encode_style([style])


def golden_backbone(name: str, shared: Path) -> Backbone:
    if name == "microast":
        return load_backbone(name, shared / "golden" / "microast_official_weights.safetensors")
    state = golden_state(name, shared)
    return build_backbone(find_backbone(name), state, origin=f"golden {name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(COMPARED_HERE))
def test_equal_to_the_published_code(name, shared):
    backbone = golden_backbone(name, shared)
    golden = load_file(shared / "golden" / f"{name}.safetensors")
    network, code = backbone.network, backbone.encode_style([golden["style"]])
    with torch.inference_mode():
        _, whole = collect(network.stages(golden["content"], code))
        sites, thumbnail = collect(network.stages(golden["thumbnail"], code))
        tin = backbone.bake(backbone.stats(code, sites, strength=1.0))(golden["content"])
    for kind, picture_ in (("whole", whole), ("thumb_stylised", thumbnail), ("tin", tin)):
        span = float(golden[kind].max() - golden[kind].min())
        assert float((picture_ - golden[kind]).abs().max()) <= 1e-4 * max(span, 1.0), kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "site", "suffix"),
    [("microast", "dec1", "_0"), ("microast", "dec2", "_1"), ("adain", "relu4_1", "")],
)
def test_statistics_equal_those_of_the_published_code(name, site, suffix, shared):
    backbone = golden_backbone(name, shared)
    golden = load_file(shared / "golden" / f"{name}.safetensors")
    stats = backbone.collect(golden["thumbnail"], backbone.encode_style([golden["style"]]))
    for measured, key in ((stats.sites[site].mean, "mean"), (stats.sites[site].std, "std")):
        assert torch.allclose(measured, golden[f"thumb_{key}{suffix}"], rtol=1e-4, atol=1e-4)


def test_the_registry_names_each_as_its_traits_do():
    assert [network.traits.name for network in all_backbones()] == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_named_sites_are_all_there_are(name, random_backbones):
    """Statistics are measured as far as the last of them."""
    backbone = random_backbones[name]
    code = backbone.encode_style([style_of(backbone)])
    thumbnail = picture((48, 64)).unsqueeze(0)
    with torch.inference_mode():
        sites, _ = collect(backbone.measuring_network.stages(thumbnail, code))
    stats = backbone.collect(thumbnail, code)
    assert tuple(sites) == tuple(stats.sites) == backbone.network.site_names
    for site, measured in sites.items():
        for kind, tensor in stats.sites[site].tensors().items():
            assert torch.equal(tensor, measured.tensors()[kind])


def test_the_network_that_measures_is_made_once_and_outside_inference_mode(microast):
    backbone = replace(microast)
    with torch.inference_mode():
        network = backbone.measuring_network
    assert backbone.measuring_network is network
    assert not any(parameter.is_inference() for parameter in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microast", "adain", "linear_r31"])
def test_encoding_and_measuring_in_bands_equal_the_plain_network(
    name, random_backbones, monkeypatch
):
    monkeypatch.setattr(banded, "LEAST_BAND_ROWS", 8)
    monkeypatch.setattr(banded, "BAND_PIXELS", 1)
    network = copy.deepcopy(random_backbones[name].network).double()
    faster = network.for_measuring()
    assert any(isinstance(part, InBands) for part in faster.modules())
    assert not any(isinstance(part, InBands) for part in network.modules())
    whole_strides, others = (picture(size, seed=3)[None].double() for size in ((24, 32), (21, 30)))
    with torch.inference_mode():
        for style in (whole_strides, others):
            code, found = network.style_code(style), faster.style_code(style)
            for part, expected in code.tensors.items():
                assert float((found.tensors[part] - expected).abs().max()) <= 1e-9, part
        names = network.site_names
        plain = measure_sites(network.stages(whole_strides, code), names)
        for site, stats in measure_sites(faster.stages(whole_strides, code), names).items():
            for part, expected in plain[site].tensors().items():
                assert float((stats.tensors()[part] - expected).abs().max()) <= 1e-9, (site, part)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_folded_equals_unfolded_in_float64(name, random_backbones):
    backbone = random_backbones[name]
    backbone = replace(backbone, network=copy.deepcopy(backbone.network).double())
    style = style_of(backbone)
    style = style if isinstance(style, str) else style.double()
    stats = backbone.collect(picture((48, 64))[None].double(), backbone.encode_style([style]))
    content = picture((32, 48), seed=4)[None].double()
    with torch.inference_mode():
        unfolded = replay(backbone.network.stages(content, stats.code), stats.sites)
        network = backbone.bake(stats).prepared(torch.device("cpu"), torch.float64)
        assert float((network(content) - unfolded).abs().max()) <= 1e-9
    assert float(unfolded.std()) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_folded_equals_unfolded_in_float32(name, random_backbones):
    """Before and after it is made ready for a CPU, where it works in bands."""
    backbone = random_backbones[name]
    stats = backbone.collect(
        picture((48, 64)).unsqueeze(0),
        backbone.encode_style([style_of(backbone)]),
    )
    content = picture((32, 48), seed=4).unsqueeze(0)
    with torch.inference_mode():
        unfolded = replay(backbone.network.stages(content, stats.code), stats.sites)
        folded = backbone.bake(stats)
        for network in (folded, folded.prepared(torch.device("cpu"))):
            assert float((network(content) - unfolded).abs().max()) <= FLOAT32_BOUND


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_inner_windows_may_pad_cheaply(name, random_backbones):
    """If no edge is on the border, padding affects only the discarded halo."""
    backbone = random_backbones[name]
    stats = backbone.collect(
        picture((48, 64)).unsqueeze(0),
        backbone.encode_style([style_of(backbone)]),
    )
    stride, halo = backbone.traits.stride, backbone.traits.halo
    window = picture((2 * halo + stride, 2 * halo + 2 * stride), seed=4).unsqueeze(0)
    # In float64 the largest take minutes; their tiles are compared in it below, in strips.
    wide = name not in ("multimodal", "cd16x")
    dtype, bound = (torch.float64, 1e-9) if wide else (torch.float32, FLOAT32_BOUND)
    network = backbone.bake(stats).prepared(torch.device("cpu"), dtype)
    with torch.inference_mode():
        difference = (network(window, at_border=True) - network(window, at_border=False)).abs()
    assert float(difference[:, :, halo:-halo, halo:-halo].max()) <= bound
    assert float(difference.max()) > 1e-3


def strips(traits: Traits) -> tuple[Size, Size]:
    """The smallest pictures, wide and high, whose two tiles do not see all of them."""
    length = 2 * (traits.halo + 2 * traits.stride)
    return (traits.minimum, length), (length, traits.minimum)


# Through 62 convolutions a pixel's trace falls below rounding; see backbones/test_wct.py.
@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(n for n in NAMES if n != "cd16x"))
def test_declared_halo_is_the_smallest_that_covers_one_pixel(name, random_backbones):
    """Perturb one pixel at every alignment within the stride; see which aligned blocks change."""
    backbone = random_backbones[name]
    traits = backbone.traits
    stats = backbone.collect(
        picture((64, 64)).unsqueeze(0),
        backbone.encode_style([style_of(backbone)]),
    )
    network = backbone.bake(stats).prepared(torch.device("cpu"))
    stride, halo = traits.stride, traits.halo
    for size in strips(traits):
        along = size.index(max(size))
        block = size[along] // 2
        content = picture(size, seed=5).unsqueeze(0)
        reached = 0
        with torch.inference_mode():
            plain = network(content)
            for alignment in range(stride):
                pixel = block + alignment
                changed = content.clone()
                changed.select(2 + along, pixel)[..., min(size) // 2] += 40.0
                difference = (network(changed) - plain).abs().amax(dim=(0, 1)) > 0
                places = difference.any(1 - along).nonzero().flatten()
                for place in (int(places[0]), int(places[-1])):
                    first = place // stride * stride
                    reached = max(reached, first - pixel, pixel - (first + stride - 1))
        assert halo - stride < reached <= halo


def stylized(run: Run, stats: FrozenStats, dtype: torch.dtype, tile_size: int) -> torch.Tensor:
    """What the engine's loop over tiles makes, computed and stored in ``dtype``."""
    canvas = TensorCanvas(run.content.size, dtype=dtype)
    run = replace(run, settings=replace(run.settings, tile_size=tile_size))
    run.stylize(run.backbone.bake(stats).prepared(run.device, dtype), canvas)
    return canvas.pixels


@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_tiles_equal_the_whole_and_too_small_a_halo_shows(name, random_backbones, monkeypatch):
    """In float64, where no CPU's way to add up shows."""
    backbone = random_backbones[name]
    traits = backbone.traits
    # One stride less is enough, but for networks in which so faint a trace is below the bound.
    too_small = traits.halo // 2 if name in ("multimodal", "cd16x") else traits.halo - traits.stride
    too_small -= too_small % traits.stride
    settings = Settings(thumbnail_size=64, style_size=0)
    code = code_of(backbone)
    wide, high = strips(traits)
    for size in ((1, 1), wide, high):
        content = TensorSource(picture(size).double())
        run = Run.of(content, backbone, settings)
        stats = run.measure(code)
        half = traits.halo + 2 * traits.stride
        whole = stylized(run, stats, torch.float64, 2 * half)
        assert size == (1, 1) or float(whole.std()) > 0.01
        assert float((stylized(run, stats, torch.float64, half) - whole).abs().max()) <= 1e-9
        # It is one number for both directions; above and in test_wct.py it is needed in both.
        if size == wide:
            with monkeypatch.context() as context:
                context.setattr(type(traits), "halo", too_small)
                narrow = stylized(run, stats, torch.float64, half)
            assert float((narrow - whole).abs().max()) > 1e-9


@pytest.mark.parametrize("name", slow_where_large(COMPARED_HERE))
def test_styles_share_features_and_their_halo_is_the_smallest(name, random_backbones):
    backbone = random_backbones[name]
    stride = backbone.traits.stride
    one, other = (
        backbone.bake(backbone.collect(picture((48, 64))[None], code)).prepared(
            torch.device("cpu"), torch.float64
        )
        for code in (code_of(backbone), backbone.encode_style([picture((64, 72), seed=6)[None]]))
    )
    halo = one.styled_halo
    window = picture((backbone.traits.minimum, 2 * (halo + stride)), seed=5)[None].double()

    def painted(network, margin):
        """The middle, from the features around it."""
        columns = slice(halo - margin, halo + stride + margin)
        part = features[..., columns.start // stride : columns.stop // stride]
        result = network.from_features(part, window[..., columns], at_border=True)
        return result[..., margin : margin + stride]

    with torch.inference_mode():
        features = one.content_features(window, at_border=True)
        assert torch.equal(features, other.content_features(window, at_border=True))
        for network in (one, other):
            whole = network(window)
            assert torch.equal(network.from_features(features, window, at_border=True), whole)
            middle = whole[..., halo : halo + stride]
            assert float((painted(network, halo) - middle).abs().max()) <= 1e-9
            assert float((painted(network, halo - stride) - middle).abs().max()) > 1e-9


@pytest.mark.parametrize("at_border", [True, False])
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_the_spent_halo_is_not_computed(name, at_border, random_backbones):
    """What is needed of a window is the same if the rest is left out, in bands and at once."""
    backbone = random_backbones[name]
    traits = backbone.traits
    stats = backbone.collect(picture((48, 64))[None], code_of(backbone))
    network = backbone.bake(stats).prepared(torch.device("cpu"), torch.float64)
    length, breadth = 2 * traits.halo + 3 * traits.stride, traits.minimum
    inside = slice(traits.halo, traits.halo + 2 * traits.stride)
    along = Rectangle(0, inside.start, breadth, inside.stop)
    down = Rectangle(inside.start, 0, inside.stop, breadth)
    with torch.inference_mode():
        for needed, size in ((along, (breadth, length)), (down, (length, breadth))):
            window = picture(size, seed=5)[None].double()
            whole = network(window, at_border=at_border)[(..., *needed.slices)]
            for network.in_bands in (True, False):
                result = network(window, at_border=at_border, needed=needed)
                assert result.shape == window.shape
                assert float((result[(..., *needed.slices)] - whole).abs().max()) <= 1e-9
                # The outermost pixels are left out, unless nothing is ever trimmed.
                assert not result[..., 0, 0].any() or name == "multimodal"


@pytest.mark.parametrize("name", ["microast", "adain", "linear_r31", "johnson", "msgnet", "din"])
def test_trimming_one_stride_more_shows(name, random_backbones):
    backbone = random_backbones[name]
    traits = backbone.traits
    stats = backbone.collect(picture((48, 64))[None], code_of(backbone))
    network = backbone.bake(stats).prepared(torch.device("cpu"), torch.float64)
    # Alignments differ in how far a block of one stride reaches.
    blocks = [traits.halo + number * traits.stride for number in range(3)]
    size = traits.minimum, 2 * traits.halo + 4 * traits.stride
    window = picture(size, seed=5)[None].double()
    places = [layer for layer in network.folded.modules() if isinstance(layer, Trimming)]
    assert places
    with torch.inference_mode():
        whole = network(window)
        for place in places:
            place.halo -= traits.stride
            differences = []
            for left in blocks:
                needed = Rectangle(0, left, size[0], left + traits.stride)
                result = network(window, needed=needed)
                inside = (..., *needed.slices)
                differences.append(float((result[inside] - whole[inside]).abs().max()))
            assert max(differences) > 1e-9
            place.halo += traits.stride


def differences_in_float32(
    backbone: Backbone, size: Size, tile_sizes: tuple[int, ...]
) -> list[float]:
    """How far tiles of each size are from the whole."""
    run = Run.of(TensorSource(picture(size)), backbone, Settings(thumbnail_size=128, style_size=0))
    stats = run.measure(code_of(backbone))
    whole = stylized(run, stats, torch.float32, 8192)
    assert float(whole.std()) > 0.01
    tiled = [stylized(run, stats, torch.float32, tile_size) for tile_size in tile_sizes]
    return [float((each - whole).abs().max()) for each in tiled]


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_tiles_equal_the_whole_in_float32(name, random_backbones):
    """Sizes are odd; the first two of three tiles do not see the whole strip."""
    backbone = random_backbones[name]
    traits = backbone.traits
    height, width = (length + 5 for length in strips(traits)[0])
    tile_size = traits.halo + 2 * traits.stride
    (difference,) = differences_in_float32(backbone, (height, width), (tile_size,))
    assert difference <= FLOAT32_BOUND


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "tile_sizes"),
    [
        ((197, 301), (160, 96)),
        # Larger than the bands that a CPU computes at a time.
        ((320, 768), (384,)),
    ],
)
def test_tiles_of_the_default_weights_equal_the_whole_in_float32(microast, size, tile_sizes):
    assert max(differences_in_float32(microast, size, tile_sizes)) <= FLOAT32_BOUND


def test_unknown_backbone():
    with pytest.raises(SettingsError) as caught:
        find_backbone("vgg")
    assert str(caught.value) == "backbone 'vgg' is unknown; use one of: " + ", ".join(NAMES)
