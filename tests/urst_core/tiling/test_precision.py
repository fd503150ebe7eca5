"""Half precision by trial."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture, stored_picture

from urst_core.backbones.microast import MicroAST
from urst_core.method.run import Run
from urst_core.method.windows import stylize_windows
from urst_core.networks.layers.convolutions import OutputConvolution
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling import precision
from urst_core.tiling.device import has_fast_bfloat16
from urst_core.tiling.precision import PROOF_DECIBELS, decibels_lost, fastest_proven, narrow_types
from urst_core.tiling.settings import Settings

CPU, CUDA, MPS = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))
LARGE, SMALL = 4_000_000, 3_999_999
CONTENT = TensorSource(stored_picture((96, 128)))
# With it bfloat16 keeps the picture by 47.5 dB: weights and machines may differ by some decibels.
STYLE = TensorSource(picture((64, 64), seed=6))


@pytest.fixture
def stats(microast):
    settings = Settings(thumbnail_size=64, style_size=64)
    return Run.of(CONTENT, microast, settings).measure([STYLE])


@pytest.fixture
def fast_bfloat16(monkeypatch):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda *_: True)


@pytest.mark.usefixtures("fast_bfloat16")
def test_precisions_that_are_tried():
    traits = MicroAST.traits
    assert narrow_types(traits, CUDA, 1) == [torch.float16, torch.bfloat16]
    assert narrow_types(traits, MPS, LARGE) == ()
    assert narrow_types(traits, CPU, LARGE) == (torch.bfloat16,)
    assert narrow_types(traits, CPU, SMALL) == ()
    only_float16 = replace(traits, half_precision=(torch.float16,))
    assert narrow_types(only_float16, CPU, LARGE) == ()


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), [torch.float16]), ((8, 0), [torch.float16, torch.bfloat16])],
    ids=["Turing", "Ampere"],
)
def test_a_gpu_without_bfloat16_does_not_try_it(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert narrow_types(MicroAST.traits, CUDA, 1) == expected


def test_a_cpu_without_bfloat16_stays_in_float32(monkeypatch):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: False)
    assert narrow_types(MicroAST.traits, CPU, LARGE) == ()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, False),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_which_cpus_multiply_bfloat16(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_fast_bfloat16() is expected


def test_an_old_torch_without_the_check(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_fast_bfloat16()


@pytest.mark.slow
@pytest.mark.usefixtures("fast_bfloat16")
def test_bfloat16_is_taken_where_it_keeps_the_picture(monkeypatch, microast, stats):
    baked = microast.bake(stats)
    window = CONTENT.pixels.unsqueeze(0) / 255
    lost = decibels_lost(baked, window, CPU, torch.bfloat16)
    assert PROOF_DECIBELS <= lost < 80
    assert decibels_lost(baked, window, CPU, torch.float32) == float("inf")
    proven = fastest_proven(baked, CONTENT, microast.traits, CPU, pixels=LARGE)
    assert proven == torch.bfloat16
    assert fastest_proven(baked, CONTENT, microast.traits, CPU) == torch.float32
    monkeypatch.setattr(precision, "PROOF_DECIBELS", lost + 0.1)
    proven = fastest_proven(baked, CONTENT, microast.traits, CPU, pixels=LARGE)
    assert proven == torch.float32


@pytest.mark.usefixtures("fast_bfloat16")
def test_bfloat16_that_shows_tiles_is_not_taken(monkeypatch, microast, stats):
    """As on a machine whose kernels depend on how wide a window is."""
    baked = microast.bake(stats)
    forward = TileNetwork.forward

    def depends_on_width(network, window, **options):
        stylized = forward(network, window, **options)
        is_narrow = network.compute_dtype == torch.bfloat16 and window.shape[3] < 128
        return stylized * (1 + 2**-20) if is_narrow else stylized

    monkeypatch.setattr(TileNetwork, "forward", depends_on_width)
    proven = fastest_proven(baked, CONTENT, microast.traits, CPU, pixels=LARGE)
    assert proven == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "tile_sizes"),
    [((131, 333), (2048, 256, 172, 100)), ((65, 290), (2048, 172, 64, 32))],
)
def test_auto_precision_gives_the_same_bits_for_any_tile_size(microast, size, tile_sizes):
    """Odd pictures, as if they were large enough for bfloat16; also where tiles are tiny."""
    content = TensorSource(stored_picture(size, seed=5))
    run = Run.of(content, microast, Settings(thumbnail_size=128, style_size=64, device="cpu"))
    stats = run.measure([TensorSource(picture((64, 64), seed=3))])
    network = run.network(stats, pixels=LARGE)
    canvases = []
    for tile_size in tile_sizes:
        canvases.append(canvas := TensorCanvas(size, dtype=torch.uint8))
        replace(run, settings=replace(run.settings, tile_size=tile_size)).stylize(network, canvas)
    for canvas in canvases[1:]:
        assert torch.equal(canvas.pixels, canvases[0].pixels)


@pytest.mark.slow
@pytest.mark.usefixtures("fast_bfloat16")
@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32])
def test_pictures_of_more_than_8_bits_stay_in_float32(microast, stats, dtype):
    pixels = CONTENT.pixels.float() / 255
    if dtype == torch.uint16:
        pixels = (pixels * 65535).round().int().to(torch.uint16)
    baked = microast.bake(stats)
    deep = TensorSource(pixels)
    assert fastest_proven(baked, deep, microast.traits, CPU, pixels=LARGE) == torch.float32
    assert fastest_proven(baked, CONTENT, microast.traits, CPU, pixels=LARGE) == torch.bfloat16


@pytest.mark.parametrize("device", [CPU, torch.device("meta")])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_picture_is_made_in_float32(microast, stats, device, dtype):
    """As everywhere but on a CPU, where bands keep more layers than this one in float32."""
    network = microast.bake(stats).prepared(device, dtype)
    (last,) = (part for part in network.modules() if isinstance(part, OutputConvolution))
    assert {parameter.dtype for parameter in last.parameters()} == {torch.float32}
    narrow = {p.dtype for p in network.parameters()} - {torch.float32}
    assert narrow == {dtype}
    window = torch.rand(1, 3, 64, 64, device=device)
    with torch.inference_mode():
        assert network(window).dtype == torch.float32


def test_a_smooth_ramp_has_no_steps_in_half_precision(microast, stats):
    """A picture rounded to bfloat16 has at most 129 values from 0.5 to 1."""
    ramp = torch.linspace(0.0, 1.0, 1024).expand(1, 3, 64, -1)
    with torch.inference_mode():
        row = microast.bake(stats).prepared(CPU, torch.bfloat16)(ramp)[0, :, 32, 256:768]
    assert all(len(channel.unique()) > 500 for channel in row)


def test_delicate_layers_are_worth_their_float32(microast, stats):
    window = CONTENT.pixels.unsqueeze(0) / 255
    kept = decibels_lost(microast.bake(stats), window, CPU, torch.bfloat16)
    baked = microast.bake(stats)
    keep_float32 = [layer for layer in baked.modules() if getattr(layer, "keep_float32", False)]
    assert len(keep_float32) == 6
    for layer in keep_float32:
        layer.keep_float32 = False
    assert decibels_lost(baked, window, CPU, torch.bfloat16) < kept - 1


@pytest.mark.usefixtures("fast_bfloat16")
def test_windows_count_as_the_picture_that_they_make(monkeypatch, microast, stats):
    """Many small windows are tried as one large picture is."""
    seen = []
    monkeypatch.setattr(precision, "LEAST_PIXELS_ON_CPU", 2 * 96 * 128)
    make = Run.network
    monkeypatch.setattr(
        Run,
        "network",
        lambda *given, **options: seen.append(network := make(*given, **options)) or network,
    )

    class Discarding:
        def write(self, rectangle, pixels):
            del rectangle, pixels

    for count in (1, 2):
        stylize_windows([CONTENT] * count, [Discarding()] * count, microast, stats)
    assert [network.compute_dtype for network in seen] == [torch.float32, torch.bfloat16]
