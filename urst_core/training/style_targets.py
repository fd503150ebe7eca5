"""Targets of the style loss: statistics of styles, remembered for crops that recur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ..networks.remembering import Memory
from ..networks.statistics import ChannelStats
from .normalization import batch_stats
from .vgg import VGGFeatures

LIMIT_BYTES = 256_000_000
"""Maximum memory for statistics: enough for 32,000 crops, at 8 KB each."""


class StyleTargets:
    """Statistics of styles at the VGG's layers.

    Args:
        vgg: the network that measures them; its weights and their dtype must not change afterwards.
        limit_bytes: most memory that remembered statistics take together.
    """

    def __init__(self, vgg: VGGFeatures, limit_bytes: int = LIMIT_BYTES) -> None:
        self._vgg = vgg
        self._memory = Memory(limit_bytes)

    @torch.no_grad()
    def of(self, styles: Tensor, names: Sequence[str] | None, depth: int) -> list[ChannelStats]:
        """Statistics of (N, 3, H, W) styles at the first ``depth`` layers, (N, C, 1, 1) each.

        Args:
            styles: pixels, 0..1.
            names: names of crops that may recur, one each; None to measure without remembering.
            depth: number of layers.
        """
        if names is None:
            return [batch_stats(features) for features in self._vgg(styles, depth)]
        # One by one: rounding may depend on the size of a batch, and a resumed training, whose
        # memory is empty, must get the same values.
        each = [
            self._memory.recall(name, partial(self._measured, style.unsqueeze(0)))
            for style, name in zip(styles, names, strict=True)
        ]

        def joined(key: str) -> Tensor:
            return torch.cat([tensors[key] for tensors in each]).to(styles.device)

        return [
            ChannelStats(joined(f"{layer}.mean"), joined(f"{layer}.std")) for layer in range(depth)
        ]

    def _measured(self, style: Tensor) -> Mapping[str, Tensor]:
        """Of one style at all layers, by their numbers."""
        measured = [batch_stats(features) for features in self._vgg(style)]
        return {
            f"{layer}.{name}": tensor
            for layer, stats in enumerate(measured)
            for name, tensor in (("mean", stats.mean), ("std", stats.std))
        }
