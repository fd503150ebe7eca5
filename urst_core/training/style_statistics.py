"""Statistics of styles for networks that predict parameters from them, kept for recurring crops."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..backbones.style_statistics import StyleStatistics
from ..networks.remembering import Memory, digest

LIMIT_BYTES = 256_000_000
"""Most memory for statistics that are kept, 8 KB for each crop; least recently used go first."""


class CachedStatistics:
    """Statistics of styles as a network's frozen encoder measures them.

    Args:
        encoder: of the network; its VGG becomes a copy of ``vgg``, and must not change afterwards.
        vgg: the normalized VGG-19 to relu4_1.
    """

    def __init__(self, encoder: StyleStatistics, vgg: nn.Sequential) -> None:
        encoder.vgg.load_state_dict(vgg.state_dict())
        self._encoder = encoder
        self._kept = Memory(LIMIT_BYTES)

    @torch.no_grad()
    def of(self, styles: Tensor) -> Tensor:
        """Statistics of (N, 3, H, W) styles, (N, 1920); one by one, so that all batches agree."""
        return torch.cat([self._of_one(style) for style in styles.split(1)])

    def _of_one(self, style: Tensor) -> Tensor:
        kept = self._kept.recall(
            digest(style), lambda: {"statistics": self._encoder.statistics(style)}
        )
        return kept["statistics"].to(style.device)
