"""Distributions of features: ranks and quantiles, and AdaIN that matches them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture

from urst_core.errors import SettingsError, StatsError
from urst_core.method.run import Run
from urst_core.model import Model
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.quantiles import at_ranks, quantiles_of, ranks
from urst_core.networks.sites import collect
from urst_core.networks.statistics import QuantileStats
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

GENERATOR = torch.Generator().manual_seed(0)
CONTENT = torch.rand(1, 5, 30, 40, generator=GENERATOR, dtype=torch.float64) - 0.3
STYLE = torch.randn(1, 5, 50, 20, generator=GENERATOR, dtype=torch.float64) * 2 + 1


def matched(features, content=CONTENT, style=STYLE):
    tables = (quantiles_of(each[0].flatten(1)) for each in (content, style))
    return at_ranks(ranks(features, next(tables)), next(tables))


@pytest.mark.parametrize("relu", [False, True])
def test_matched_features_have_the_styles_distribution(relu):
    """As sorting both gives, which is the published method; behind a ReLU, zeros stay equal."""
    content = CONTENT.relu() if relu else CONTENT
    result = matched(content, content)[0].flatten(1)
    by_sorting = torch.empty_like(result)
    count = content[0].flatten(1).shape[1]
    style = torch.nn.functional.interpolate(
        STYLE[0].flatten(1).sort(1).values[None], count, mode="linear"
    )[0]
    by_sorting.scatter_(1, content[0].flatten(1).argsort(1), style)
    # Not in the tails of the style, where neighbors in the order are far apart.
    inside = content[0].flatten(1) > (0.02 if relu else -0.25)
    inside &= content[0].flatten(1) < 0.65
    errors = (result - by_sorting)[inside].abs()
    # A table has a quantile for every fourth of the style's values, which are up to 0.02 apart.
    assert float(errors.max()) <= 0.08
    assert float(errors.mean()) <= 0.01
    if relu:
        zeros = result[content[0].flatten(1) == 0].view(-1)
        assert len(zeros.unique()) == 5


def test_the_map_is_monotone_continuous_and_reaches_beyond_what_was_measured():
    line = torch.linspace(-2.0, 3.0, 5001, dtype=torch.float64).expand(1, 5, 1, -1)
    result = matched(line, CONTENT.relu())[0, :, 0]
    steps = result[:, 1:] - result[:, :-1]
    assert float(steps.min()) >= 0.0
    assert float(result[0, 0]) < float(STYLE.min())
    assert float(result[0, -1]) > float(STYLE[0, 0].max())
    near = matched(line + 1e-12, CONTENT.relu())[0, :, 0]
    assert float((near - result).abs().max()) <= 1e-8


def test_equal_distributions_change_nothing_and_flat_ones_stay_finite():
    assert float((matched(CONTENT, CONTENT, CONTENT) - CONTENT).abs().max()) <= 1e-9
    flat = torch.full_like(CONTENT, 0.5)
    assert bool(matched(CONTENT, flat).isfinite().all())
    assert float((matched(CONTENT, CONTENT, flat) - 0.5).abs().max()) <= 1e-12


def adain_run(backbone, size=(40, 88), **settings):
    fixed = {"thumbnail_size": 48, "strokes": "fine", "device": "cpu", "precision": "fp32"}
    chosen = Settings(**{**fixed, "match": "distribution", **settings})
    return Run.of(TensorSource(picture(size).double()), backbone, chosen)


STYLES = [TensorSource(picture((64, 72), seed=seed)) for seed in (3, 4)]


@pytest.mark.slow
def test_tiles_equal_the_whole_and_the_network_in_float64(random_backbones, tmp_path):
    backbone = random_backbones["adain"]
    run = adain_run(backbone)
    stats = run.measure(STYLES, style_weights=[1, 2])
    assert isinstance(stats.sites["relu4_1"], QuantileStats)
    stats.save(tmp_path / "stats.safetensors")
    stats = FrozenStats.load(tmp_path / "stats.safetensors")
    network = backbone.bake(stats).prepared(torch.device("cpu"), torch.float64)

    def painted(edge):
        canvas = TensorCanvas(run.content.size, dtype=torch.float64)
        tiled = replace(run, settings=replace(run.settings, tile_size=edge))
        tiled.stylize(network, canvas)
        return canvas.pixels

    whole = painted(1024)
    assert float((painted(32) - whole).abs().max()) <= 1e-9
    assert float(whole.std()) > 0.01
    moments = adain_run(backbone, match="moments")
    other = TensorCanvas(run.content.size, dtype=torch.float64)
    moments.stylize(moments.network(moments.measure(STYLES, style_weights=[1, 2])), other)
    assert float((other.pixels - whole).abs().max()) > 0.01


@pytest.mark.slow
def test_the_thumbnail_as_the_only_tile_is_the_plain_method(random_backbones):
    backbone = random_backbones["adain"]
    content = picture((64, 72))
    painted = Model(backbone)(
        content, STYLES[0].pixels, match="distribution", strokes="fine", thumbnail_size=0
    )
    with torch.inference_mode():
        code = backbone.encode_style([STYLES[0].pixels[None]], match="distribution")
        _, plain = collect(backbone.network.stages(content[None], code))
    assert float((painted - plain[0].clamp(0, 1)).abs().max()) <= 1e-4


def test_what_cannot_match_distributions_is_refused(microast, random_backbones):
    cases = [
        (microast, {}, "MicroAST matches no distribution; pass match='moments'"),
        (
            random_backbones["adain"],
            {"stats": "exact"},
            "exact distributions of a whole picture cannot be measured tile by tile; "
            "pass stats='thumbnail'",
        ),
        (
            microast,
            {"match": "all"},
            "match 'all' is unknown; use moments or distribution",
        ),
    ]
    for backbone, settings, message in cases:
        with pytest.raises(SettingsError) as caught:
            adain_run(backbone, **settings)
        assert str(caught.value) == message


def test_styles_encoded_in_two_ways_are_not_mixed(random_backbones):
    model = Model(random_backbones["adain"])
    code = model.encode(STYLES[0].pixels)
    with pytest.raises(StatsError) as caught:
        model.encode([STYLES[0].pixels, code], match="distribution")
    assert str(caught.value) == (
        "a style of moments cannot be mixed with one of distribution; encode both in the same way"
    )
