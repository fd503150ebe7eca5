"""Layers between the convolutions of tile networks.

See :mod:`urst_core.networks.layers.convolutions`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .banded import Bands, RowLayer, RowQueue, slabs


class MaxPooling(RowLayer):
    """The largest of each 2 x 2 px."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return F.max_pool2d(features, 2)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        for slab in slabs(bands, kernel=2, stride=2):
            # Libraries look for the place of each maximum as well, which takes ten times as long.
            higher = torch.maximum(slab[:, :, ::2], slab[:, :, 1::2])
            yield torch.maximum(higher[..., ::2], higher[..., 1::2])


class SubtractMean(RowLayer):
    """Features without their mean, (1, C, 1, 1)."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.mean = nn.Parameter(mean.detach().clone())

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return features - self.mean

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        for band in bands:
            yield band - self.mean


class Sigmoid(RowLayer):
    """Any values to 0..1."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return torch.sigmoid(features)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        return map(torch.sigmoid, bands)


class Residual(RowLayer):
    """``x + branch(x)``, or ``scale * x + branch(x)``; the branch keeps the size.

    Sums of bands are float32 at least, whatever the branch computes in: rounding them shows
    soonest.

    Args:
        branch: layers whose result is new memory.
        scale: of each channel, (C,).
    """

    def __init__(self, branch: RowLayer, scale: Tensor | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.scale = None
        if scale is not None:
            self.scale = nn.Parameter(scale.detach()[None, :, None, None].clone())

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        result = self.branch(features, at_border=at_border)
        return self._sum(result, features.to(result.dtype))

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        waiting = RowQueue()
        for band in self.branch.rows(waiting.through(bands), at_border=at_border):
            wide = torch.promote_types(band.dtype, torch.float32)
            yield self._sum(band.to(wide), waiting.take(band.shape[2]).to(wide))

    def _sum(self, result: Tensor, features: Tensor) -> Tensor:
        if self.scale is None:
            return result.add_(features)
        return result.addcmul_(features, self.scale)
