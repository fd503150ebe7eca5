"""Johnson et al. (ECCV 2016, arXiv:1603.08155): one network, one style."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch import Tensor, nn

from ...backbones.johnson import JohnsonExamples
from ...networks.style import StyleCode
from ..batches import Batch
from ..losses import content_loss, gram_loss
from ..recipe import DEEPEST, LossWeights, Recipe
from ..vgg import VGGFeatures, features_without_gradient

CONTENT_LAYER = 2
"""relu3_1; the paper's relu2_2 (VGG-16) is between relu2_1 and this one."""


class JohnsonRecipe(Recipe):
    """Content at relu3_1, Gram matrices at relu1_1 to relu4_1, total variation, stroke loss.

    The paper uses a VGG-16 and other layers (content relu2_2; style relu1_2, relu2_2, relu3_3,
    relu4_3). The normalized VGG-19 of the other recipes has features of another scale, so the
    weights differ; they were found by experiment.

    Args:
        vgg: the normalized VGG-19 to relu4_1.
        style: the painting, (1, 3, H, W), 0..1.
    """

    default_weights = LossWeights(
        content=1.0, style=2000.0, stroke=1.0, total_variation=1.0, out_of_range=10.0
    )
    takes_styles = False
    content_layer = CONTENT_LAYER

    def __init__(self, vgg: nn.Sequential, style: Tensor) -> None:
        self.vgg = VGGFeatures(vgg)
        self.network = JohnsonExamples()
        self._style = features_without_gradient(self.vgg, style)
        self._style_digest = hashlib.sha256(style.numpy().tobytes()).hexdigest()[:12]

    def description(self) -> dict[str, str]:
        return {**super().description(), "style": self._style_digest}

    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        del styles, count
        return StyleCode({})

    def content_loss(self, features: Sequence[Tensor], batch: Batch, code: StyleCode) -> Tensor:
        del code
        depth = CONTENT_LAYER + 1
        target = features_without_gradient(self.vgg, batch.thumbnails, depth)
        return content_loss(features[CONTENT_LAYER], target[CONTENT_LAYER])

    def style_loss(self, features: Sequence[Tensor], batch: Batch, deep: float) -> Tensor:
        del batch
        targets = [target.to(features[0].device) for target in self._style]
        shallow = gram_loss(features[:DEEPEST], targets[:DEEPEST])
        if len(features) == DEEPEST:
            return shallow
        return shallow + deep * gram_loss(features[DEEPEST:], targets[DEEPEST:])
