"""Targets of the style loss: statistics of styles, cached for crops that recur."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from ..networks.statistics import ChannelStats
from .normalization import batch_stats
from .vgg import VGGFeatures

MOST_KEPT = 32_768
"""Maximum number of crops whose statistics are cached, 8 KB each; least recently used go first."""


class StyleTargets:
    """Statistics of styles at the VGG's layers.

    Args:
        vgg: the network that measures them; its weights and their dtype must not change afterwards.
        most_kept: maximum number of cached crops.
    """

    def __init__(self, vgg: VGGFeatures, most_kept: int = MOST_KEPT) -> None:
        self._vgg = vgg
        self._most_kept = most_kept
        self._kept: OrderedDict[str, list[ChannelStats]] = OrderedDict()

    @torch.no_grad()
    def of(self, styles: Tensor, names: Sequence[str] | None, depth: int) -> list[ChannelStats]:
        """Statistics of (N, 3, H, W) styles at the first ``depth`` layers, (N, C, 1, 1) each.

        Args:
            styles: pixels, 0..1.
            names: names of crops that may recur, one each; None to measure without caching.
            depth: number of layers.
        """
        if names is None:
            return [batch_stats(features) for features in self._vgg(styles, depth)]
        # One by one: rounding may depend on the size of a batch, and a resumed training, whose
        # cache is empty, must get the same values.
        each = [
            self._of_one(style.unsqueeze(0), name)
            for style, name in zip(styles, names, strict=True)
        ]
        return [
            ChannelStats(torch.cat([s.mean for s in layer]), torch.cat([s.std for s in layer]))
            for layer in list(zip(*each))[:depth]
        ]

    def _of_one(self, style: Tensor, name: str) -> list[ChannelStats]:
        stats = self._kept.get(name)
        if stats is None:
            stats = [batch_stats(features) for features in self._vgg(style)]
            self._kept[name] = stats
            if len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return stats
