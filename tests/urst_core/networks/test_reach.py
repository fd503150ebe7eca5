"""The influence of layers, against chains of real layers."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from urst_core.geometry import (
    round_up,
)
from urst_core.networks.reach import (
    BilinearUpsampling,
    Convolution,
    NearestUpsampling,
    Pooling,
    halo_of,
    influence_radius,
)


@given(st.lists(st.sampled_from(["conv3", "conv9", "down", "pool"]), max_size=6))
def test_influence_equals_that_of_real_layers(names):
    """Perturb each input of a real one-dimensional chain and see which aligned block changes."""
    kinds = {
        "conv3": (Convolution(3), 1),
        "conv9": (Convolution(9), 1),
        "down": (Convolution(3, stride=2), 2),
        "pool": (Pooling(), 2),
    }
    layers = [kinds[name][0] for name in names]
    stride = 1
    for name in names:
        stride *= kinds[name][1]
    layers += [BilinearUpsampling() if i % 2 else NearestUpsampling() for i in range(9)][
        : stride.bit_length() - 1
    ]
    block = 1024 // stride // 2 * stride
    reached = torch.zeros(1024, dtype=torch.bool)
    reached[block : block + stride] = True
    for layer in reversed(layers):
        reached = _inputs(layer, reached)
    positions = reached.nonzero().flatten()
    radius = max(block - int(positions[0]), int(positions[-1]) - (block + stride - 1))
    assert influence_radius(layers, stride=stride) == radius
    assert halo_of(layers, stride=stride) == round_up(radius, stride)


def _inputs(layer, outputs):
    """Which inputs the outputs depend on, by the definition of each layer, element by element."""
    match layer:
        case Convolution(kernel, stride):
            length, sources = (
                len(outputs) * stride,
                lambda i: range(i * stride - kernel // 2, i * stride + kernel // 2 + 1),
            )
        case Pooling(factor):
            length, sources = len(outputs) * factor, lambda i: range(i * factor, (i + 1) * factor)
        case NearestUpsampling(factor):
            length, sources = len(outputs) // factor, lambda i: (i // factor,)
        case BilinearUpsampling():
            length, sources = (
                len(outputs) // 2,
                lambda i: (i // 2 - 1, i // 2) if i % 2 == 0 else (i // 2, i // 2 + 1),
            )
    inputs = torch.zeros(length, dtype=torch.bool)
    for index in outputs.nonzero().flatten().tolist():
        for source in sources(index):
            if 0 <= source < length:
                inputs[source] = True
    return inputs
