"""Dynamic instance normalization (Jing et al., AAAI 2020): everything learns but the VGG."""

from __future__ import annotations

from torch import Tensor, nn

from ...backbones.din import DIN
from ...networks.style import StyleCode
from ..recipe import LossWeights, Recipe
from ..style_statistics import CachedStatistics
from ..vgg import VGGFeatures


class DINRecipe(Recipe):
    """Content at relu4_1, style at relu1_1 to relu4_1, and URST's stroke loss, as for AdaIN.

    Args:
        vgg: the normalized VGG-19 to relu4_1, which also becomes the encoder of styles.
    """

    default_weights = LossWeights(content=1.0, style=10.0, stroke=1.0)
    learned = (
        *("predictors.", "start.", "down1.", "down2.", "encoder."),
        *("mix.", "decoder.", "up1.", "up2.", "end."),
    )

    def __init__(self, vgg: nn.Sequential) -> None:
        self.vgg = VGGFeatures(vgg)
        self.din = DIN()
        self.network = self.din
        self._statistics = CachedStatistics(self.din.style, vgg)

    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        del count
        assert styles is not None
        return self.din.codes_of(self._statistics.of(styles))
