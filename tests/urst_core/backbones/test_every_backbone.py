"""Each backbone against its published code, and the facts on which exactness rests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from examples import golden_state, picture
from safetensors.torch import load_file

from urst_core.backbones import BACKBONES, find_backbone
from urst_core.errors import SettingsError
from urst_core.method.pipeline import Run
from urst_core.networks.model import Backbone
from urst_core.networks.sites import collect, replay
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone
from urst_core.weights.loading import load_backbone

NAMES = [network.traits.name for network in BACKBONES]

# Their golden files differ in kind: compared in a test file of their own, in backbones/.
COMPARED_ELSEWHERE = {"johnson", "johnson_examples", "cin", "msgnet", "multimodal", "wct", "cd16x"}


def style_of(backbone: Backbone) -> torch.Tensor | str:
    """A style that the backbone can take: a name where its styles are in its weights."""
    return next(iter(backbone.network.style_names), picture((40, 56), seed=3).unsqueeze(0))


def style_source(backbone: Backbone) -> TensorSource | str:
    """The same, for the pipeline."""
    names = backbone.network.style_names
    return names[0] if names else TensorSource(picture((160, 224), seed=3))


def golden_backbone(name: str, shared: Path) -> Backbone:
    if name == "microast":
        return load_backbone(name, shared / "golden" / "microast_official_weights.safetensors")
    state = golden_state(name, shared)
    return build_backbone(find_backbone(name), state, origin=f"golden {name}")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COMPARED_ELSEWHERE])
def test_equal_to_the_published_code(name, shared):
    backbone = golden_backbone(name, shared)
    golden = load_file(shared / "golden" / f"{name}.safetensors")
    network, code = backbone.network, backbone.encode_style([golden["style"]])
    with torch.inference_mode():
        _, whole = collect(network.stages(golden["content"], code))
        sites, thumbnail = collect(network.stages(golden["thumbnail"], code))
        tin = replay(network.stages(golden["content"], code), sites)
        baked = backbone.bake(backbone.collect(golden["thumbnail"], code))(golden["content"])
    for kind, picture_ in (
        ("whole", whole),
        ("thumb_stylised", thumbnail),
        ("tin", tin),
        ("tin", baked),
    ):
        span = float(golden[kind].max() - golden[kind].min())
        assert float((picture_ - golden[kind]).abs().max()) <= 1e-4 * max(span, 1.0), kind


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


@pytest.mark.parametrize("name", NAMES)
def test_named_sites_are_all_there_are(name, random_backbones):
    """Statistics are measured as far as the last of them."""
    backbone = random_backbones[name]
    code = backbone.encode_style([style_of(backbone)])
    thumbnail = picture((48, 64)).unsqueeze(0)
    with torch.inference_mode():
        sites, _ = collect(backbone.network.stages(thumbnail, code))
    stats = backbone.collect(thumbnail, code)
    assert tuple(sites) == tuple(stats.sites) == backbone.network.site_names
    for site, measured in sites.items():
        for kind, tensor in stats.sites[site].tensors().items():
            assert torch.equal(tensor, measured.tensors()[kind])


@pytest.mark.parametrize("name", NAMES)
def test_baked_equals_unbaked(name, random_backbones):
    backbone = random_backbones[name]
    stats = backbone.collect(
        picture((48, 64)).unsqueeze(0),
        backbone.encode_style([style_of(backbone)]),
    )
    content = picture((96, 144), seed=4).unsqueeze(0)
    with torch.inference_mode():
        unbaked = replay(backbone.network.stages(content, stats.code), stats.sites)
        baked = backbone.bake(stats)
        prepared = baked.prepared(torch.device("cpu"))
        assert float((baked(content) - unbaked).abs().max()) <= 1e-4
        assert float((prepared(content) - unbaked).abs().max()) <= 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_inner_windows_may_pad_cheaply(name, random_backbones):
    """Where no edge lies on the border, padding touches only what the halo discards."""
    backbone = random_backbones[name]
    stats = backbone.collect(
        picture((48, 64)).unsqueeze(0),
        backbone.encode_style([style_of(backbone)]),
    )
    halo = backbone.traits.halo
    window = picture((2 * halo + 32, 2 * halo + 48), seed=4).unsqueeze(0)
    network = backbone.bake(stats).prepared(torch.device("cpu"))
    with torch.inference_mode():
        difference = (network(window, at_border=True) - network(window, at_border=False)).abs()
    assert float(difference[:, :, halo:-halo, halo:-halo].max()) <= 1e-5
    assert float(difference.max()) > 1e-3


# Through 62 convolutions a pixel's trace falls below rounding; see backbones/test_wct.py.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "cd16x"])
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
    side = 2 * (halo + 2 * stride)
    block = side // 2
    content = picture((side, side), seed=5).unsqueeze(0)
    reached = 0
    with torch.inference_mode():
        plain = network(content)
        for alignment in range(stride):
            changed = content.clone()
            changed[:, :, block + alignment, block + alignment] += 40.0
            difference = (network(changed) - plain).abs().amax(dim=(0, 1)) > 0
            rows = difference.any(1).nonzero().flatten()
            for row in (int(rows[0]), int(rows[-1])):
                first = row // stride * stride
                pixel = block + alignment
                reached = max(reached, first - pixel, pixel - (first + stride - 1))
    assert halo - stride < reached <= halo


TILED = [
    # Every backbone: three shapes, each cut in three ways.
    *((name, (333, 517), (256, 176, 112)) for name in NAMES),
    *((name, (1, 1), (16, 32, 64)) for name in NAMES),
    *((name, (64, 1024), (512, 352, 208)) for name in NAMES),
    # Larger ones where the time allows.
    *((name, (64, 4096), (2048, 1360, 816)) for name in ("microast", "adain")),
    ("microast", (1536, 2048), (1536, 1024, 768)),
    ("adain", (768, 1024), (768, 512, 256)),
]


@pytest.mark.parametrize(
    ("name", "size", "tile_sizes"), TILED, ids=[f"{n}-{h}x{w}" for n, (h, w), _ in TILED]
)
def test_tiled_equals_whole_frame(name, size, tile_sizes, microast, random_backbones):
    # Real weights for the default backbone, random ones in the published shape for the rest.
    backbone = microast if name == "microast" else random_backbones[name]
    content = TensorSource(picture(size))
    style = style_source(backbone)
    settings = Settings(thumbnail_size=256, style_size=0)
    stats = Run.of(content, backbone, settings).measure([style])

    def stylized(tile_size: int) -> torch.Tensor:
        canvas = TensorCanvas(size, dtype=torch.float32)
        tiled = Settings(thumbnail_size=256, style_size=0, tile_size=tile_size)
        run = Run.of(content, backbone, tiled)
        run.stylize(run.network(stats), canvas)
        return canvas.pixels

    whole = stylized(8192)
    assert float(whole.std()) > 0.01 or size == (1, 1)
    for tile_size in tile_sizes:
        assert float((stylized(tile_size) - whole).abs().max()) <= 1e-5, tile_size


@pytest.mark.parametrize("name", NAMES)
def test_too_small_a_halo_shows(name, random_backbones, monkeypatch):
    """The check above can fail: with a quarter of the context the seams are there."""
    backbone = random_backbones[name]
    traits = backbone.traits
    content = TensorSource(picture((136, 200)))
    style = style_source(backbone)
    settings = Settings(thumbnail_size=256, tile_size=64)
    stats = Run.of(content, backbone, settings).measure([style])
    pictures = []
    for halo in (traits.halo, traits.halo // 4 // traits.stride * traits.stride):
        monkeypatch.setattr(type(traits), "halo", halo)
        canvas = TensorCanvas((136, 200), dtype=torch.float32)
        run = Run.of(content, backbone, settings)
        run.stylize(run.network(stats), canvas)
        pictures.append(canvas.pixels)
    assert float((pictures[0] - pictures[1]).abs().max()) > 1e-4


def test_unknown_backbone():
    with pytest.raises(SettingsError) as caught:
        find_backbone("vgg")
    assert str(caught.value) == "backbone 'vgg' is unknown; use one of: " + ", ".join(NAMES)
