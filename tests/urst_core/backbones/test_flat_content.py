"""Flat or mostly flat pictures, for which normalizations divide by deviations near zero."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from examples import picture, slow_where_large
from safetensors.torch import load_file
from torch import Tensor

from urst_core.backbones import find_backbone
from urst_core.networks.model import Backbone
from urst_core.networks.sites import collect, replay
from urst_core.networks.style import StyleCode
from urst_core.weights.checkpoint import build_backbone
from urst_core.weights.loading import load_backbone

SIZE = (48, 64)
CPU = torch.device("cpu")

REAL_WEIGHTS = {
    "microast": "golden/microast_official_weights",
    "johnson_examples": "weights/johnson_candy",
    "cin": "weights/cin26",
    "cd16x": "weights/cd16x",
    "wct": "weights/wct_levels123",
}


def one_color(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue])[:, None, None].expand(3, *SIZE)


def mostly_white() -> Tensor:
    """78% of it."""
    content = torch.ones(3, *SIZE)
    content[:, 10:34, 10:38] = picture((24, 28))
    return content


def one_bit() -> Tensor:
    noise = torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0))
    return (noise > 0.5).float().expand(3, -1, -1)


FLAT = {
    "black": one_color(0.0, 0.0, 0.0),
    "white": one_color(1.0, 1.0, 1.0),
    "blue": one_color(0.2, 0.6, 0.9),
}
CONTENTS = FLAT | {"mostly white": mostly_white(), "one bit": one_bit()}


@pytest.fixture(scope="module", params=slow_where_large(["embedded", *REAL_WEIGHTS]))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    if request.param == "embedded":
        return load_backbone()
    shared = request.getfixturevalue("shared")
    state = load_file(shared / f"{REAL_WEIGHTS[request.param]}.safetensors")
    return build_backbone(find_backbone(request.param), state, origin=request.param)


def in_float64(backbone: Backbone) -> Backbone:
    return replace(backbone, network=copy.deepcopy(backbone.network).double())


@pytest.fixture(scope="module")
def styled(backbone) -> tuple[StyleCode, Backbone, StyleCode]:
    """The code of a style; the network in float64, and the code of the style by it."""
    styles = backbone.network.style_names[:1] or [picture((64, 96), seed=3).unsqueeze(0)]
    wide = in_float64(backbone)
    doubled = [style if isinstance(style, str) else style.double() for style in styles]
    return backbone.encode_style(styles), wide, wide.encode_style(doubled)


@pytest.mark.slow
@pytest.mark.parametrize("content_name", CONTENTS)
def test_equal_to_the_unfolded_network_in_float64(backbone, styled, content_name):
    content = CONTENTS[content_name].unsqueeze(0)
    code, wide, wide_code = styled
    with torch.inference_mode():
        _, expected = collect(wide.network.stages(content.double(), wide_code))
        stats = backbone.collect(content, code)
        unfolded = replay(backbone.network.stages(content, stats.code), stats.sites)
        folded = backbone.bake(stats).prepared(CPU)(content)
    assert float(expected.max() - expected.min()) < 4.0
    for result in (unfolded, folded):
        assert bool(result.isfinite().all())
        assert float((result.clamp(0, 1) - expected.clamp(0, 1)).abs().max()) <= 1 / 255
    if content_name in FLAT:
        assert float(folded.std(dim=(2, 3)).max()) <= 1e-4
        assert 0.1 < float(folded.mean()) < 0.9


@pytest.mark.slow
def test_rounding_in_flat_places_is_not_magnified_from_site_to_site(shared):
    """Folded into the weights, fifteen normalizations in a row made 0.9 of 255 of it."""
    state = load_file(shared / "weights" / "cin26.safetensors")
    backbone = build_backbone(find_backbone("cin"), state, origin="cin26")
    content = torch.ones(1, 3, 160, 200)
    content[0, :, 20:95, 30:124] = picture((75, 94))
    wide = in_float64(backbone)
    with torch.inference_mode():
        _, expected = collect(wide.network.stages(content.double(), wide.encode_style(["3"])))
        stats = backbone.collect(content, backbone.encode_style(["3"]))
        folded = backbone.bake(stats).prepared(CPU)(content)
    assert float((folded - expected).abs().max()) <= 0.1 / 255
