"""Layers between the convolutions of tile networks, called like those of
:mod:`urst_core.networks.layers.convolutions`."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..quantiles import at_ranks, ranks
from .banded import Bands, Edge, RowLayer, RowReader, forked, slabs


class MaxPooling(RowLayer):
    """Maximum of each 2 x 2 px."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return F.max_pool2d(features, 2)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        return map(_maxima, slabs(bands, kernel=2, stride=2))


class SubtractMean(RowLayer):
    """Subtracts a mean of each channel, (C,) values of any shape."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.mean = _as_parameter(mean)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return features - self.mean

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        return map(partial(self, at_border=False), bands)


class MatchDistribution(RowLayer):
    """Maps features from one distribution to another, each (1, C, K) quantiles.

    At least in float32: in half precision, several quantiles would have one value.
    """

    def __init__(self, measured: Tensor, target: Tensor) -> None:
        super().__init__()
        self.measured = nn.Parameter(measured.detach().clone())
        self.target = nn.Parameter(target.detach().clone())

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return at_ranks(ranks(features, self.measured), self.target)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(partial(self, at_border=at_border), bands)


class Sigmoid(RowLayer):
    """Logistic function: maps any values to 0..1."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return torch.sigmoid(features)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        return map(torch.sigmoid, bands)


class Affine(RowLayer):
    """``scale * x + shift``, (C,) each, optionally followed by a ReLU."""

    def __init__(self, scale: Tensor, shift: Tensor, *, relu: bool = False) -> None:
        super().__init__()
        self.scale, self.shift = _as_parameter(scale), _as_parameter(shift)
        self.relu = relu

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        wide = torch.promote_types(features.dtype, self.scale.dtype)
        result = torch.addcmul(self.shift, features.to(wide), self.scale)
        return result.relu_() if self.relu else result

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(partial(self, at_border=at_border), bands)


class Clamp(RowLayer):
    """Clamps each channel between a minimum and a maximum, (C,) each."""

    def __init__(self, least: Tensor, most: Tensor) -> None:
        super().__init__()
        self.least, self.most = _as_parameter(least), _as_parameter(most)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return features.clamp(self.least, self.most)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(partial(self, at_border=at_border), bands)


class NearestUpsampling(RowLayer):
    """Repeats each pixel as 2 x 2 px."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return F.interpolate(features, scale_factor=2.0, mode="nearest")

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(partial(self, at_border=at_border), bands)


class BilinearUpsampling(RowLayer):
    """Doubles the size, with half-pixel centers; the window's outermost pixels are repeated."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return F.interpolate(features, scale_factor=2.0, mode="bilinear")

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        return map(self._inside, slabs(bands, kernel=3, padding=1, edge=Edge.REPEATED))

    def _inside(self, padded: Tensor) -> Tensor:
        """Upsample rows padded by one pixel, and drop what comes of the padding."""
        return self(padded, at_border=False)[:, :, 2:-2, 2:-2]


class MeanPooling(RowLayer):
    """Mean of each 2 x 2 px."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return F.avg_pool2d(features, 2)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return map(partial(self, at_border=at_border), slabs(bands, kernel=2, stride=2))


class Residual(RowLayer):
    """``shortcut(x) + branch(x)``, both of the same size.

    Sums of bands are at least float32, whatever the branch computes in, since their rounding is the
    most visible.

    Args:
        branch: layers whose result is new memory.
        scale: scale of each channel of x, (C,), if there is no shortcut.
        shortcut: layers parallel to the branch; the identity if None.
        relu: whether a ReLU follows.
    """

    def __init__(
        self,
        branch: RowLayer,
        scale: Tensor | None = None,
        *,
        shortcut: RowLayer | None = None,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.branch, self.shortcut, self.relu = branch, shortcut, relu
        self.scale = None if scale is None else _as_parameter(scale)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        result = self.branch(features, at_border=at_border)
        if self.shortcut is not None:
            features = self.shortcut(features, at_border=at_border)
        return self._sum(result, features.to(result.dtype))

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        bands, beside = forked(bands)
        if self.shortcut is not None:
            beside = self.shortcut.rows(beside, at_border=at_border)
        results = self.branch.rows(bands, at_border=at_border)
        return map(partial(self._with_beside, RowReader(beside)), results)

    def _with_beside(self, waiting: RowReader, band: Tensor) -> Tensor:
        wide = torch.promote_types(band.dtype, torch.float32)
        result, top = band.to(wide), 0
        for part in waiting.take(band.shape[2]):
            bottom = top + part.shape[2]
            self._sum(result[:, :, top:bottom], part.to(wide))
            top = bottom
        return result

    def _sum(self, result: Tensor, features: Tensor) -> Tensor:
        if self.scale is None:
            result.add_(features)
        else:
            result.addcmul_(features, self.scale)
        return result.relu_() if self.relu else result


def _as_parameter(values: Tensor) -> nn.Parameter:
    """A copy of (C,) values as a parameter for (N, C, H, W) features."""
    return nn.Parameter(values.detach().reshape(1, -1, 1, 1).clone())


def _maxima(slab: Tensor) -> Tensor:
    """The maximum of each 2 x 2 px.

    Libraries also compute the position of each maximum, which takes ten times as long.
    """
    higher = torch.maximum(slab[:, :, ::2], slab[:, :, 1::2])
    return torch.maximum(higher[..., ::2], higher[..., 1::2])
