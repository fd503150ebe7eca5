"""Statistics of styles for networks that predict parameters from them, kept for recurring crops."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor, nn

from ..backbones.style_statistics import StyleStatistics

MOST_KEPT = 32_768
"""Maximum number of crops whose statistics are kept, 8 KB each; least recently used go first."""


class CachedStatistics:
    """Statistics of styles as a network's frozen encoder measures them.

    Args:
        encoder: of the network; its VGG becomes a copy of ``vgg``, and must not change afterwards.
        vgg: the normalized VGG-19 to relu4_1.
    """

    def __init__(self, encoder: StyleStatistics, vgg: nn.Sequential) -> None:
        encoder.vgg.load_state_dict(vgg.state_dict())
        self._encoder = encoder
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    @torch.no_grad()
    def of(self, styles: Tensor) -> Tensor:
        """Statistics of (N, 3, H, W) styles, (N, 1920); one by one, so that all batches agree."""
        return torch.cat([self._of_one(style) for style in styles.split(1)])

    def _of_one(self, style: Tensor) -> Tensor:
        pixels = style.cpu().contiguous().numpy().tobytes()
        name = hashlib.blake2b(pixels, digest_size=16).digest()
        if name not in self._kept:
            self._kept[name] = self._encoder.statistics(style)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name]
