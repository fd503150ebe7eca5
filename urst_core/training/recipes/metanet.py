"""MetaNets (Shen, Yan and Zeng, CVPR 2018): the generator of networks learns, the VGG is fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...backbones.metanet import MetaNet
from ...networks.sites import collect, replay
from ...networks.style import StyleCode
from ..normalization import measure_batch
from ..recipe import LossWeights, Recipe
from ..style_statistics import CachedStatistics
from ..vgg import VGGFeatures


class MetaNetRecipe(Recipe):
    """Content at relu4_1, style at relu1_1 to relu4_1, total variation, and URST's stroke loss.

    The paper's losses use a VGG-16 and other layers, so its weights do not apply; these are those
    of AdaIN's recipe.

    Args:
        vgg: the normalized VGG-19 to relu4_1, which also becomes the encoder of styles.
        width: channels of the first layer of generated networks.
    """

    default_weights = LossWeights(
        content=1.0, style=10.0, stroke=1.0, total_variation=1.0, out_of_range=10.0
    )
    learned = ("shared.", "hidden.", "weights.", "norms.")

    def __init__(self, vgg: nn.Sequential, width: int) -> None:
        self.vgg = VGGFeatures(vgg)
        self.meta = MetaNet(width)
        self.network = self.meta
        self._statistics = CachedStatistics(self.meta.style, vgg)
        self._width = width

    def description(self) -> dict[str, str]:
        return {**super().description(), "width": str(self._width)}

    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        del count
        assert styles is not None
        return self.meta.codes_of(self._statistics.of(styles))

    def stylize(
        self, thumbnails: Tensor, code: StyleCode, patches: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """One by one: each picture has a network of its own."""
        stylized: list[Tensor] = []
        stylized_patches: list[Tensor] = []
        networks = self.meta.generate_each(code)
        for index, (picture, network) in enumerate(zip(thumbnails.split(1), networks, strict=True)):
            sites, result = collect(network.stages(picture, StyleCode({})), measure_batch)
            stylized.append(result)
            if patches is not None:
                patch = patches[index : index + 1]
                stylized_patches.append(replay(network.stages(patch, StyleCode({})), sites))
        joined = None if patches is None else torch.cat(stylized_patches)
        return torch.cat(stylized), joined
