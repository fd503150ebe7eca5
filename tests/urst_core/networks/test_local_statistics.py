"""Statistics that vary over the picture: their measurement, their map, and tiles."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from examples import picture

from urst_core.backbones import all_backbones, find_backbone
from urst_core.errors import SettingsError, ShapeError, StatsError
from urst_core.geometry import Rectangle
from urst_core.method.level_pictures import level_contents
from urst_core.method.level_run import level_run
from urst_core.method.patches import cut_windows, join_windows, plan_layout
from urst_core.method.run import Run
from urst_core.method.strokes import Below
from urst_core.method.windows import stylize_windows
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.local_statistics import LocalMoments, LocalStats, interpolate
from urst_core.networks.pooling import pool
from urst_core.networks.sites import replay
from urst_core.networks.statistics import ChannelStats
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.progress import ignore
from urst_core.tiling.settings import Settings

WITH_MOMENTS = [
    network.traits.name for network in all_backbones() if network.traits.has_channel_moments
]

SIZE = (72, 88)
CONTENT = TensorSource(picture(SIZE).double())
STYLE = TensorSource(picture((64, 72), seed=3))


def in_float64(backbone):
    return replace(backbone, network=copy.deepcopy(backbone.network).double())


def code_of(backbone):
    names = backbone.network.style_names
    return backbone.encode_style([names[0] if names else STYLE.pixels[None].double()])


def run_of(backbone, content=CONTENT, **settings):
    fixed = {"thumbnail_size": 40, "strokes": "fine", "device": "cpu", "precision": "fp32"}
    return Run.of(content, backbone, Settings(**{**fixed, "stats": "local", **settings}))


def network_of(backbone, stats):
    return backbone.bake(stats).prepared(torch.device("cpu"), torch.float64)


def painted(run, network, edge):
    canvas = TensorCanvas(run.content.size, dtype=torch.float64)
    replace(run, settings=replace(run.settings, tile_size=edge)).stylize(network, canvas)
    return canvas.pixels


# Measurement


def measured(features, radius, thumbnail=(20, 40), frame=(20, 40)):
    moments = LocalMoments(radius, thumbnail, frame, unbiased=True)
    moments.add(features)
    return moments.stats()


def test_each_side_of_a_picture_of_two_halves_has_its_own_moments():
    """The left has mean 0 and deviation 1, the right mean 5 and deviation 3.

    What they are divided by is limited: a quarter of its square is that of the whole.
    """
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 2, 200, 400, generator=generator, dtype=torch.float64)
    features[..., 200:] = features[..., 200:] * 3 + 5
    stats = measured(features, 0.05, (200, 400), (200, 400))
    assert stats.scale.shape == (1, 2, 21, 41)
    normalized = stats.normalize(features)
    whole = float(stats.std.square().mean())
    for half, variance in ((normalized[..., :140], 1), (normalized[..., 260:], 9)):
        assert float(half.mean().abs()) <= 0.02
        assert abs(float(half.var()) - variance / (0.75 * variance + 0.25 * whole)) <= 0.02
    plain = ChannelStats(stats.mean, stats.std).normalize(features)
    assert float(plain[..., :140].mean()) < -0.6


def test_flat_areas_are_amplified_up_to_a_limit_and_flat_channels_not_at_all():
    features = torch.zeros(1, 2, 40, 80)
    features[0, 0, :, 40:] = torch.randn(40, 40, generator=torch.Generator().manual_seed(0))
    features[0, 0, :, :40] = 1e-4 * features[0, 0, :, 40:]
    features[0, 1] = 0.7
    stats = measured(features, 0.05, (40, 80), (40, 80))
    assert float(stats.scale[0, 0].max()) == pytest.approx(2.0, abs=1e-3)  # less the epsilon
    assert torch.equal(stats.scale[0, 1], torch.ones_like(stats.scale[0, 1]))
    assert not bool(stats.shift[0, 1].any())


def test_interpolation_is_linear_and_does_not_depend_on_its_neighbors():
    grid = torch.tensor([[0.0, 1.0, 4.0], [2.0, 3.0, 6.0]])[None, None]
    places = torch.tensor([-0.2, 0.0, 0.25, 0.5, 0.75, 1.0, 1.1], dtype=torch.float64)
    values = interpolate(grid, torch.tensor([0.5], dtype=torch.float64), places)
    assert values.flatten().tolist() == [1.0, 1.0, 1.5, 2.0, 3.5, 5.0, 5.0]
    alone = interpolate(grid, torch.tensor([0.5], dtype=torch.float64), places[4:5])
    assert torch.equal(alone, values[..., 4:5])


@pytest.mark.parametrize("name", ["microast", "cin"])
def test_an_infinite_radius_gives_the_statistics_of_the_thumbnail(name, random_backbones):
    backbone = in_float64(random_backbones[name])
    code, thumbnail = code_of(backbone), CONTENT.pixels[None, :, :47, :63]
    whole = backbone.collect(thumbnail, code)
    local = backbone.collect(thumbnail, code, local_radius=math.inf)
    for site, stats in local.sites.items():
        assert isinstance(stats, LocalStats)
        plain = whole.sites[site]
        assert isinstance(plain, ChannelStats)
        for value, other in ((stats.mean, plain.mean), (stats.std, plain.std)):
            assert torch.allclose(value, other, rtol=1e-6, atol=1e-6)
        assert float((stats.scale - 1).abs().max()) <= 1e-6
        assert float(stats.shift.abs().max()) <= 1e-6


# The tile network


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_MOMENTS)
def test_folded_equals_unfolded_in_float64(name, random_backbones):
    backbone = in_float64(random_backbones[name])
    content = CONTENT.pixels[None, :, :24, :32]
    stats = backbone.collect(content, code_of(backbone), local_radius=0.2)
    with torch.inference_mode():
        unfolded = replay(backbone.network.stages(content, stats.code), stats.sites)
        network = network_of(backbone, stats).at(Rectangle.of_size((24, 32)), (24, 32))
        folded = network(content)
    assert float((folded - unfolded).abs().max()) <= 1e-9


def test_tiles_equal_the_whole_and_differ_from_uniform_statistics(microast):
    run = run_of(microast, TensorSource(CONTENT.pixels[:, :71, :85]), local_radius=0.15)
    network = network_of(microast, run.measure([STYLE]))
    whole = painted(run, network, 1024)
    assert float((painted(run, network, 24) - whole).abs().max()) <= 1e-9
    uniform = network_of(microast, run_of(microast, stats="thumbnail").measure([STYLE]))
    assert float((painted(run, uniform, 1024) - whole).abs().max()) > 0.01


@pytest.mark.slow
def test_all_levels_are_exact_under_tiles_in_float64(microast, tmp_path):
    content = TensorSource(picture((56, 64)).double())
    run = run_of(microast, content, thumbnail_size=16, strokes="preview", local_radius=0.15)
    run = replace(run, level_dtype=torch.float64)
    code, contents = run.code_for_levels([STYLE]), [content]
    contents = level_contents(content, run.level_sizes, run.level_canvas)
    assert len(contents) == 3
    each: list[FrozenStats] = []

    def all_levels(edge):
        below, pictures = None, []
        for number, smaller in enumerate(contents):
            level = level_run(run, number, smaller, below, ignore)
            if len(each) <= number:
                path = tmp_path / f"{number}.safetensors"
                level.measure(code).save(path)
                each.append(FrozenStats.load(path))
            pixels = painted(level, network_of(microast, each[number]), edge)
            below = Below(smaller, TensorSource(pixels))
            pictures.append(pixels)
        return pictures

    for tiles, whole in zip(all_levels(24), all_levels(1024)):
        assert float((tiles - whole).abs().max()) <= 1e-9
        assert float(whole.std()) > 0.01


def test_pooled_statistics_of_equal_frames_are_those_of_each(microast):
    stats = run_of(microast).measure([STYLE])
    pooled = pool([stats, stats], [1, 2])
    for site, each in stats.sites.items():
        for name, tensor in each.tensors().items():
            assert torch.allclose(pooled.sites[site].tensors()[name], tensor, atol=1e-4), name


# What is refused


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "linear_r31",
            {},
            "LinearWCT at relu3_1 normalizes all channels together; only the mean and deviation of "
            "single channels can vary over the picture; pass stats='thumbnail'",
        ),
        (
            "adain",
            {"match": "distribution"},
            "distributions are measured for the whole picture, not locally; pass stats='thumbnail'",
        ),
        (
            "microast",
            {"local_radius": 0.01},
            "local radius 0.01 is out of range; use 0.05 or more, "
            "a share of the picture's longest side",
        ),
        (
            "microast",
            {"local_radius": math.nan},
            "local radius nan is out of range; use 0.05 or more, "
            "a share of the picture's longest side",
        ),
    ],
)
def test_what_cannot_vary_is_refused(name, settings, message):
    with pytest.raises(SettingsError) as caught:
        Settings(stats="local", device="cpu", **settings).check(find_backbone(name).traits)
    assert str(caught.value) == message


def test_windows_of_a_layout_equal_the_whole_picture(microast):
    content = TensorSource(picture(SIZE))
    run = run_of(microast, content)
    stats = run.measure([STYLE])
    layout = plan_layout(SIZE, tile_size=32, halo=microast.traits.halo, stride=4)
    windows = cut_windows(content, layout)
    canvases = [TensorCanvas(layout.window, dtype=torch.float32) for _ in windows]
    sources = [TensorSource(window) for window in windows]
    stylize_windows(sources, canvases, microast, stats, run.settings, layout=layout)
    joined = join_windows(torch.stack([canvas.pixels for canvas in canvases]), layout)
    whole = TensorCanvas(SIZE, dtype=torch.float32)
    run.stylize(run.network(stats), whole)
    # Sums of float32 depend on the size of a window.
    assert float((joined - whole.pixels).abs().max()) <= 1e-4
    with pytest.raises(ShapeError, match=f"1 windows do not fill a layout of {len(sources)} tiles"):
        stylize_windows(sources[:1], canvases[:1], microast, stats, run.settings, layout=layout)


def test_windows_without_their_place_are_refused(microast):
    stats = run_of(microast).measure([STYLE])
    window = TensorSource(picture((64, 64)))
    canvas = TensorCanvas((64, 64))
    with pytest.raises(StatsError) as caught:
        stylize_windows([window], [canvas], microast, stats, Settings(device="cpu"))
    assert str(caught.value) == (
        "local statistics need the places of windows in the picture; give the layout that the "
        "windows were cut by; pass stats='thumbnail'"
    )
    with pytest.raises(StatsError, match="need the place of a tile in the picture"):
        network_of(microast, stats)(window.pixels[None])
