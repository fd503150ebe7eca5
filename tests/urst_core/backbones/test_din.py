"""Dynamic instance normalization: the predicted convolutions, and sizes."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.backbones.din import DIN, HIDDEN, WIDTHS, Separable, dynamic_convolution
from urst_core.backbones.style_statistics import VALUES, StyleStatistics
from urst_core.networks.style import StyleCode


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def separable(inputs, outputs):
    return 10 * inputs + (inputs + 1) * outputs


def test_numbers_of_parameters():
    """Only the encoder of styles is large, and it runs once."""
    with torch.device("meta"):
        network = DIN()
    outer, middle, inner = WIDTHS
    blocks = 2 * separable(inner, inner)
    expected = {
        "start": 3 * 81 * outer + outer,
        "down1": separable(outer, middle),
        "down2": separable(middle, inner),
        "encoder": 3 * blocks,
        "mix": inner**2 + inner,
        "decoder": 2 * blocks,
        "up1": separable(inner, middle),
        "up2": separable(middle, outer),
        "end": 3 * 81 * outer + 3,
    }
    for name, parameters in expected.items():
        assert count(network.get_submodule(name)) == parameters, name
    predictors = sum(2 * (VALUES + 1) * HIDDEN + (HIDDEN + 1) * (c**2 + c) for c in (inner, middle))
    assert count(network.predictors) == predictors
    assert count(network.style) == 3_505_740  # VGG-19 to relu4_1
    assert count(network) == sum(expected.values()) + predictors + 3_505_740
    assert sum(expected.values()) < 70_000


def test_a_dynamic_convolution_by_hand():
    features = torch.tensor([1.0, 10.0]).reshape(1, 2, 1, 1)
    code = StyleCode(
        {
            "din1.weight": torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]),
            "din1.bias": torch.tensor([[0.5, -0.5]]),
        }
    )
    result = dynamic_convolution(features, code, "din1")
    assert result.flatten().tolist() == [1 + 20 + 0.5, 3 + 40 - 0.5]


def test_predicted_weights_are_added_to_the_identity(random_backbones):
    network = random_backbones["din"].network
    code = network.codes_of(torch.zeros(1, VALUES))
    for site, channels in (("din1", WIDTHS[2]), ("din2", WIDTHS[1])):
        predictor = network.predictors[site]
        hidden = torch.relu(predictor.weight[0].bias)
        delta = (predictor.weight[2].weight @ hidden + predictor.weight[2].bias).view(channels, -1)
        expected = torch.eye(channels) + delta
        assert torch.allclose(code.tensors[f"{site}.weight"][0], expected, atol=1e-5)


def test_codes_of_a_batch_are_those_of_each_style(random_backbones):
    network = random_backbones["din"].network
    statistics = torch.rand(2, VALUES)
    together = network.codes_of(statistics)
    for index in range(2):
        alone = network.codes_of(statistics[index : index + 1])
        for name, value in alone.tensors.items():
            assert torch.allclose(together.tensors[name][index : index + 1], value, atol=1e-4)


@pytest.mark.slow
def test_statistics_are_means_and_deviations_of_four_levels(random_backbones):
    encoder = random_backbones["din"].network.style
    assert isinstance(encoder, StyleStatistics)
    style = picture((40, 48), seed=3)[None]
    with torch.inference_mode():
        features = encoder.vgg[:4](style)
        statistics = encoder.statistics(style)
    assert statistics.shape == (1, VALUES)
    assert torch.allclose(statistics[0, :64], features.mean((0, 2, 3)), atol=1e-5)
    deviation = (features.var((0, 2, 3)) + 1e-5).sqrt()
    assert torch.allclose(statistics[0, 64:128], deviation, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "size"), [({}, 8), ({"stride": 2}, 4), ({"upsample": True}, 16)]
)
def test_separable_convolutions(options, size):
    layer = Separable(4, 6, **options)
    assert layer(torch.rand(1, 4, 8, 8)).shape == (1, 6, size, size)
    assert layer.depthwise.conv_layer.groups == 4
