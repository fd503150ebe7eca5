"""LinearWCT (Li et al., CVPR 2019, arXiv:1808.04537): transform and decoder learn, VGG is fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...backbones.linear import COMPRESSED, LinearWCT
from ...networks.sites import collect, replay
from ...networks.style import StyleCode
from ..recipe import LossWeights, Recipe
from ..vgg import VGGFeatures

SMALL = 0.01
"""Factor of the initial weights of the layers that give the transform."""


class LinearRecipe(Recipe):
    """Content at relu4_1, style at relu1_1 to relu4_1, and URST's stroke loss.

    The published networks trained in two parts: the decoder to reconstruct pictures, then the
    transform alone. Here both train together, so that no decoder is needed to start with. Losses
    and weights are those of AdaIN's recipe, but the content loss compares with the content itself.

    Args:
        vgg: the normalized VGG-19 to relu4_1; the network's encoder becomes its first layers.
        network: a network whose transform and decoder are trained.
    """

    default_weights = LossWeights(content=1.0, style=10.0, stroke=1.0)
    learned = ("matrix.", "decoder.")

    def __init__(self, vgg: nn.Sequential, network: LinearWCT) -> None:
        self.vgg = VGGFeatures(vgg)
        self.linear = network
        self.network = network
        theirs = [layer for layer in vgg if isinstance(layer, nn.Conv2d)]
        ours = [network.vgg.conv1, *(layer for level in network.vgg.levels() for layer in level)]
        for layer, source in zip(ours, theirs):
            layer.load_state_dict(source.state_dict())
        for half in (network.matrix.snet, network.matrix.cnet):
            _begin_near_identity(half.fc)

    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        """Codes of N styles: means, (N, C, 1, 1), and matrices, (N, 32, 32)."""
        del count
        assert styles is not None
        codes = [self.linear.style_code(style).tensors for style in styles.split(1)]
        return StyleCode(
            {
                "mean": torch.cat([code["mean"] for code in codes]),
                "matrix": torch.stack([code["matrix"] for code in codes]),
            }
        )

    def stylize(
        self, thumbnails: Tensor, code: StyleCode, patches: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """One by one: each picture has a transform of its own."""
        stylized: list[Tensor] = []
        stylized_patches: list[Tensor] = []
        for index in range(len(thumbnails)):
            mean, matrix = code.tensors["mean"], code.tensors["matrix"]
            own = StyleCode({"mean": mean[index : index + 1], "matrix": matrix[index]})
            picture = thumbnails[index : index + 1]
            sites, result = collect(self.linear.stages(picture, own))
            stylized.append(result)
            if patches is not None:
                patch = patches[index : index + 1]
                stylized_patches.append(replay(self.linear.stages(patch, own), sites))
        joined = torch.cat(stylized_patches) if stylized_patches else None
        return torch.cat(stylized), joined


@torch.no_grad()
def _begin_near_identity(layer: nn.Linear) -> None:
    """Random halves of the transform multiply, and results begin millions of times too bright."""
    layer.weight.mul_(SMALL)
    layer.bias.copy_(torch.eye(COMPRESSED).flatten())
