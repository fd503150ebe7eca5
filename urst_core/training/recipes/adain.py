"""AdaIN (Huang and Belongie, ICCV 2017, arXiv:1703.06868): the decoder learns, VGG is fixed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...backbones.adain import SITE, AdaIN, code_of
from ...networks.style import StyleCode
from ..batches import Batch
from ..losses import content_loss
from ..normalization import batch_stats
from ..recipe import LossWeights, Recipe
from ..vgg import VGGFeatures


class AdaINRecipe(Recipe):
    """Content loss on the normalized features (equation 12), style (13), and URST's stroke loss.

    Weights 1, 10 and 1, as in the published code of AdaIN and URST.
    """

    default_weights = LossWeights(content=1.0, style=10.0, stroke=1.0)
    learned = ("decoder.",)

    def __init__(self, vgg: nn.Sequential) -> None:
        self.vgg = VGGFeatures(vgg)
        self.adain = AdaIN()
        self.adain.vgg.load_state_dict(vgg.state_dict())
        self.network = self.adain

    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        del count
        assert styles is not None
        with torch.no_grad():
            return code_of(batch_stats(self.adain.vgg(styles)))

    def content_loss(self, features: Sequence[Tensor], batch: Batch, code: StyleCode) -> Tensor:
        """Difference from the decoder's input: the content's features in the style."""
        with torch.no_grad():
            content = self.adain.vgg(batch.thumbnails)
            style = code.channel_stats(SITE)
            target = batch_stats(content).normalize(content.float()) * style.std + style.mean
        return content_loss(features[-1], target)
