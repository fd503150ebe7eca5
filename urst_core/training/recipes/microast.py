"""MicroAST (Wang et al., AAAI 2023, arXiv:2211.15313): all parameters are trained from scratch."""

from __future__ import annotations

from torch import Tensor, nn

from ...backbones.microast import MicroAST
from ...networks.style import StyleCode
from ..losses import style_signal_contrastive_loss
from ..normalization import batch_stats
from ..recipe import LossWeights, Recipe
from ..vgg import VGGFeatures

BLURRED = "blurred"
"""Name of the variant without a grid in descriptions."""

EXTENDED = "extended"
"""Name of the variant with two more blocks, which has blurs, too."""


class MicroASTRecipe(Recipe):
    """Content, style, contrastive loss (weights 1, 3, 3, as published), and URST's stroke loss.

    Args:
        vgg: the network whose features the losses compare.
        blurred: whether to use the variant without a grid.
        extended: whether to use that with two more blocks; it has blurs, too.
    """

    default_weights = LossWeights(content=1.0, style=3.0, stroke=1.0, contrastive=3.0)
    has_signals = True

    def __init__(
        self, vgg: nn.Sequential, *, blurred: bool = False, extended: bool = False
    ) -> None:
        self.vgg = VGGFeatures(vgg)
        self.variant = EXTENDED if extended else BLURRED if blurred else None
        self.microast = MicroAST(blurred=blurred, extended=extended)
        self.network = self.microast

    def description(self) -> dict[str, str]:
        variant = {"variant": self.variant} if self.variant else {}
        return {**super().description(), **variant}

    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        del count
        assert styles is not None
        return self.microast.style_signals(styles, batch_stats)

    def contrastive_loss(self, stylized: Tensor, code: StyleCode) -> Tensor:
        return style_signal_contrastive_loss(
            self.microast.style_signals(stylized, batch_stats), code
        )
