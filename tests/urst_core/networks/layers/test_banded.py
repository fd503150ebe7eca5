"""Working band by band equals working on the whole window."""

from __future__ import annotations

import copy
import sys
import weakref

import numpy as np
import pytest
import torch
from examples import picture, slow_where_large
from torch.nn import functional as F

from urst_core.backbones import REGISTRY, all_backbones
from urst_core.networks.layers import banded as row_streams
from urst_core.networks.layers.banded import (
    CompleteSequence,
    Edge,
    RowReader,
    RowSequence,
    bands_of,
    slabs,
)
from urst_core.networks.layers.convolutions import (
    BilinearUpsampledConvolution,
    BlurredUpsampledConvolution,
    NearestUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from urst_core.networks.layers.elementwise import (
    Affine,
    BilinearUpsampling,
    Clamp,
    MaxPooling,
    MeanPooling,
    NearestUpsampling,
    Residual,
    Sigmoid,
    SubtractMean,
)

CPU = torch.device("cpu")

EDGE = Edge.REFLECTED


@pytest.fixture
def low_bands(monkeypatch):
    """Bands as low as a test makes them."""
    monkeypatch.setattr(row_streams, "LEAST_RESULTS", 1)


def random_kernel(outputs, inputs, edge):
    generator = torch.Generator().manual_seed(outputs * 100 + inputs * 10 + edge)
    weight = torch.randn(outputs, inputs, edge, edge, generator=generator) / edge / inputs**0.5
    return weight, torch.randn(outputs, generator=generator)


LAYERS = {
    "3x3": lambda: TileConvolution(random_kernel(4, 4, 3), relu=True),
    "9x9": lambda: TileConvolution(random_kernel(4, 4, 9)),
    "1x1": lambda: TileConvolution(random_kernel(4, 4, 1)),
    "1x1, stride 2": lambda: TileConvolution(random_kernel(4, 4, 1), stride=2),
    "stride 2": lambda: TileConvolution(random_kernel(4, 4, 3), stride=2),
    "groups": lambda: TileConvolution(random_kernel(4, 2, 3), groups=2),
    "picture": lambda: OutputConvolution(random_kernel(3, 4, 9)),
    "nearest": lambda: NearestUpsampledConvolution(random_kernel(6, 4, 3), relu=True),
    "bilinear": lambda: BilinearUpsampledConvolution(random_kernel(6, 4, 3), relu=True),
    "bilinear, groups": lambda: BilinearUpsampledConvolution(random_kernel(6, 2, 3), groups=2),
    "blurred": lambda: BlurredUpsampledConvolution(
        random_kernel(6, 2, 3), torch.tensor([0.25, 0.5, 0.25]), groups=2, relu=True
    ),
    "repeated edge": lambda: TileConvolution(random_kernel(4, 4, 5), edge=Edge.REPEATED),
    "pooling": MaxPooling,
    "centered": lambda: SubtractMean(torch.rand(1, 4, 1, 1)),
    "sigmoid": Sigmoid,
    "affine": lambda: Affine(torch.rand(4), torch.rand(4)),
    "affine, relu": lambda: Affine(torch.rand(4) - 0.5, torch.rand(4) - 0.5, relu=True),
    "clamp": lambda: Clamp(-torch.rand(4), torch.rand(4)),
    "nearest, no convolution": NearestUpsampling,
    "bilinear, no convolution": BilinearUpsampling,
    "mean": MeanPooling,
    "beside": lambda: Residual(TileConvolution(random_kernel(4, 4, 3)), torch.rand(4)),
    "beside a convolution": lambda: Residual(
        RowSequence(
            [
                TileConvolution(random_kernel(4, 4, 9)),
                TileConvolution(random_kernel(6, 4, 3), stride=2),
            ]
        ),
        shortcut=TileConvolution(random_kernel(6, 4, 1), stride=2),
        relu=True,
    ),
    "beside a convolution, upsampled": lambda: Residual(
        NearestUpsampledConvolution(random_kernel(6, 4, 3)),
        shortcut=RowSequence([TileConvolution(random_kernel(6, 4, 1)), NearestUpsampling()]),
    ),
    "complete sequences": lambda: RowSequence(
        CompleteSequence(
            [TileConvolution(random_kernel(4, 4, 3)), TileConvolution(random_kernel(4, 4, 3))]
        )
        for _ in range(2)
    ),
    "sequence": lambda: RowSequence(
        [
            TileConvolution(random_kernel(4, 4, 9), relu=True),
            TileConvolution(random_kernel(8, 4, 3), stride=2, relu=True),
            Residual(RowSequence([TileConvolution(random_kernel(8, 8, 3)) for _ in range(2)])),
            MaxPooling(),
            NearestUpsampledConvolution(random_kernel(8, 8, 3)),
            BilinearUpsampledConvolution(random_kernel(4, 8, 3)),
            OutputConvolution(random_kernel(3, 4, 3)),
        ]
    ),
}


@pytest.mark.usefixtures("low_bands")
@pytest.mark.parametrize("rows", [1, 3, 16, 99])
@pytest.mark.parametrize("at_border", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_by_bands_equals_the_layer(name, at_border, rows):
    layer = LAYERS[name]().requires_grad_(False)
    features = torch.randn(1, 4, 36, 24).to(memory_format=torch.channels_last)
    given = features.clone()
    whole = layer(features, at_border=at_border)
    bands = list(layer.rows(bands_of(features, rows), at_border=at_border))
    assert torch.allclose(torch.cat(bands, dim=2), whole, atol=2e-5)
    assert torch.equal(features, given)
    if rows == 3:
        # It works as rows arrive, rather than when all are there.
        assert len(bands) > 1


@pytest.mark.usefixtures("low_bands")
@pytest.mark.parametrize("at_border", [True, False])
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "complete sequences"])
def test_a_layer_holds_no_band_that_it_does_not_need(name, at_border):
    """While those behind it work, it has the last rows of one band, and the next one."""
    layer = LAYERS[name]().requires_grad_(False)
    alive: set[int] = set()

    def band(number):
        memory = np.random.default_rng(number).random((1, 12, 24, 4), np.float32)
        alive.add(number)
        weakref.finalize(memory, alive.remove, number)
        return torch.from_numpy(memory).permute(0, 3, 1, 2)

    results = layer.rows(map(band, range(12)), at_border=at_border)
    held = [len(alive) for _ in results]
    # Two convolutions or more each have one that is next.
    most = 4 if name.startswith(("beside", "sequence")) else 1
    assert max(held) <= most
    assert len(held) > 5


@pytest.mark.usefixtures("low_bands")
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "complete sequences"])
def test_a_layer_does_not_hold_its_results(name):
    layer = LAYERS[name]().requires_grad_(False)
    features = torch.randn(1, 4, 96, 24).to(memory_format=torch.channels_last)
    alone = torch.zeros(1)
    for result in layer.rows(bands_of(features, 12), at_border=False):
        assert sys.getrefcount(result) == sys.getrefcount(alone)


@pytest.mark.usefixtures("low_bands")
def test_slabs_overlap_as_the_kernel_needs():
    rows = torch.arange(10.0).reshape(1, 1, 10, 1)
    cut = [slab.flatten().tolist() for slab in slabs(bands_of(rows, 4), kernel=3)]
    assert cut == [[0, 1, 2, 3], [2, 3, 4, 5, 6, 7], [6, 7, 8, 9]]
    cut = [
        slab[..., 1].flatten().tolist()
        for slab in slabs(bands_of(rows.expand(-1, -1, -1, 2), 4), kernel=3, padding=1, edge=EDGE)
    ]
    assert cut == [[1, 0, 1, 2, 3], [2, 3, 4, 5, 6, 7], [6, 7, 8, 9, 8]]


@pytest.mark.parametrize(
    ("heights", "padding", "stride", "joined"),
    [
        ([64, 64, 20], 1, 1, [64, 64, 20]),  # 13 rows of 21 px are 256 px, and one is padding
        ([64, 64, 13], 1, 1, [64, 77]),
        ([8, 8, 8, 8, 8], 1, 1, [16, 24]),
        ([64, 64], 1, 2, [64, 64]),
        ([48, 48], 1, 2, [96]),
        ([5], 1, 1, [5]),
    ],
)
def test_low_bands_are_joined(heights, padding, stride, joined):
    bands = iter([torch.zeros(1, 1, height, 21) for height in heights])
    found = row_streams.joined_if_low(bands, padding, stride)
    heights, lasts = zip(*((band.shape[2], is_last) for band, is_last in found))
    assert list(heights) == joined
    assert list(lasts) == [False] * (len(joined) - 1) + [True]


@pytest.mark.parametrize("width", [10, 21, 60])
@pytest.mark.parametrize("stride", [1, 2])
def test_wide_convolutions_by_bands_equal_the_whole_bit_for_bit(width, stride):
    """Of few pixels they would differ: see LEAST_RESULTS."""
    layer = TileConvolution(random_kernel(64, 64, 3), stride=stride).requires_grad_(False)
    features = torch.randn(1, 64, 132, width * stride).to(memory_format=torch.channels_last)
    whole = layer(features, at_border=True)
    bands = layer.rows(bands_of(features, 16), at_border=True)
    assert torch.equal(torch.cat(list(bands), dim=2), whole)


def test_rows_are_read_in_other_heights():
    rows = torch.arange(10.0).reshape(1, 1, 10, 1)
    reader = RowReader(bands_of(rows, 4))
    taken = [[part.flatten().tolist() for part in reader.take(count)] for count in (1, 5, 4)]
    assert taken == [[[0]], [[1, 2, 3], [4, 5]], [[6, 7], [8, 9]]]


NAMES = list(REGISTRY)
BFLOAT16 = [n.traits.name for n in all_backbones() if torch.bfloat16 in n.traits.half_precision]


def tile_network(backbone):
    style = next(iter(backbone.network.style_names), picture((40, 56), seed=3).unsqueeze(0))
    content = picture((48, 64)).unsqueeze(0)
    return backbone.bake(backbone.collect(content, backbone.encode_style([style])))


def test_a_network_works_in_bands_on_a_cpu_only(microast):
    network = tile_network(microast)
    assert network.prepared(CPU).in_bands
    assert not network.prepared(torch.device("meta")).in_bands


@pytest.mark.slow
@pytest.mark.usefixtures("low_bands")
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_a_network_by_bands_equals_the_network(monkeypatch, name, random_backbones):
    monkeypatch.setattr(row_streams, "LEAST_BAND_ROWS", 24)
    monkeypatch.setattr(row_streams, "BAND_PIXELS", 1)
    baked = tile_network(random_backbones[name])
    network = baked.prepared(CPU, torch.float64)
    whole = copy.deepcopy(baked.folded).double()
    window = picture((64, 32), seed=4).unsqueeze(0).double()
    with torch.inference_mode():
        for at_border in (True, False):
            expected = whole(window, at_border=at_border)
            difference = network(window, at_border=at_border) - expected
            assert float(difference.abs().max()) <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", BFLOAT16)
def test_bfloat16_leaves_sums_and_delicate_layers_in_float32(name, random_backbones):
    baked = tile_network(random_backbones[name])
    network = baked.prepared(CPU, torch.bfloat16)
    types = {parameter.dtype for parameter in network.parameters()}
    assert torch.bfloat16 in types
    outputs = {
        part.convolution for part in network.modules() if isinstance(part, OutputConvolution)
    }
    for layer in network.modules():
        if isinstance(layer, TileConvolution):
            is_output = layer in outputs
            is_float32 = is_output or layer.keep_float32 or (layer.groups > 1 and layer.stride > 1)
            assert (layer.weight.dtype == torch.float32) is is_float32
        if isinstance(layer, Residual):
            band = torch.rand(1, layer_channels(layer), 8, 8)
            (total,) = layer.rows(iter([band]), at_border=True)
            assert total.dtype == torch.float32
    window = picture((80, 112), seed=4).unsqueeze(0)
    with torch.inference_mode():
        whole = baked(window)
        error = F.mse_loss(network(window), whole)
    assert 0 < float(error) <= 1e-2 * float(whole.var())


def layer_channels(block):
    return next(p.shape[1] for p in block.branch.parameters() if p.ndim == 4)
