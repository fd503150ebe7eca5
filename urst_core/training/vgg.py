"""The frozen VGG-19 whose features the losses compare."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from ..backbones.adain import vgg_to_relu4_1
from ..errors import WeightsError
from ..weights.checkpoint import read_weights
from .autocast import without_autocast

LAYER_ENDS: tuple[int, ...] = (4, 11, 18, 31)
"""Number of modules up to relu1_1, relu2_1, relu3_1 and relu4_1."""

MINIMUM_SIZE = 16
"""Smallest height and width, in px, at which relu4_1 features can be padded by reflection."""

PREFIX = "vgg."


class VGGFeatures(nn.Module):
    """Features at relu1_1, relu2_1, relu3_1 and relu4_1 of the normalized VGG-19.

    The weights are scaled so that features average about 1 over natural pictures, as in the
    published AdaIN and MicroAST: otherwise their loss weights would not apply.

    Features have the dtype of the weights, regardless of autocast: frozen weights are converted to
    bfloat16 once, not at each step, and no intermediate result is converted back.

    Args:
        layers: from :func:`load_vgg`; they are copied.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        layers = copy.deepcopy(layers)
        starts = (0, *LAYER_ENDS[:-1])
        self.levels = nn.ModuleList(layers[start:end] for start, end in zip(starts, LAYER_ENDS))
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor, depth: int = len(LAYER_ENDS)) -> list[Tensor]:
        """Features of (N, 3, H, W), 0..1, at least 16 x 16 px, from shallow to deep.

        Args:
            pictures: the pictures.
            depth: number of layers that are computed.
        """
        features: list[Tensor] = []
        pictures = pictures.to(next(self.parameters()).dtype)
        with without_autocast(pictures.device):
            for level in self.levels[:depth]:
                pictures = level(pictures)
                features.append(pictures)
        return features


def load_vgg(path: Path) -> nn.Sequential:
    """Load the normalized VGG-19 up to relu4_1, frozen, from a safetensors file.

    Args:
        path: keys as in naoto0804/pytorch-AdaIN's ``vgg`` (``0.weight``, ``2.weight``, …), with or
            without the prefix ``vgg.``; layers beyond relu4_1 are ignored.

    Raises:
        WeightsError: the file is missing, not safetensors, or has another layout.
    """
    state = {name.removeprefix(PREFIX): value.float() for name, value in read_weights(path).items()}
    layers = vgg_to_relu4_1()
    expected = layers.state_dict()
    for name, parameter in expected.items():
        if name not in state:
            raise WeightsError(
                f"VGG file {path} has no {name!r}; use the normalized VGG-19 in the key layout of "
                "pytorch-AdaIN (0.weight to 28.weight)"
            )
        if state[name].shape != parameter.shape:
            raise WeightsError(
                f"VGG file {path}: {name} has shape {tuple(state[name].shape)}, not "
                f"{tuple(parameter.shape)}; use the normalized VGG-19, not a VGG-16"
            )
        if not bool(state[name].isfinite().all()):
            raise WeightsError(f"VGG file {path}: {name} has NaN or infinite values; get it again")
    layers.load_state_dict({name: state[name] for name in expected})
    return layers.eval().requires_grad_(False)


def features_without_gradient(
    vgg: VGGFeatures, pictures: Tensor, depth: int = len(LAYER_ENDS)
) -> list[Tensor]:
    """Features of pictures that are only targets."""
    with torch.no_grad():
        return vgg(pictures, depth)
