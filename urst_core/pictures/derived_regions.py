"""Region maps that are made of another one: without gaps, or with smaller shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle, Size
from .region_map import RegionMap

FILL_SIZE = 256
"""Longest side, in px, of the small map from which areas without a style are filled."""


@dataclass(frozen=True)
class FilledRegions:
    """A :class:`RegionMap` whose areas without a style take the nearest one.

    Smaller copies of a picture are painted everywhere, so that no content bleeds into the strokes
    at the edge of a region.

    Attributes:
        regions: the map.
        fill: shares of a small copy, (count, h, w), with a sum of 1 everywhere.
    """

    regions: RegionMap
    fill: Tensor

    @classmethod
    def of(cls, regions: RegionMap) -> FilledRegions:
        height, width = regions.size
        scale = max(1.0, max(height, width) / FILL_SIZE)
        size = max(1, round(height / scale)), max(1, round(width / scale))
        return cls(regions, _extended(regions.shrunk(size).read(Rectangle.of_size(size))))

    @property
    def size(self) -> Size:
        return self.regions.size

    @property
    def count(self) -> int:
        return self.regions.count

    def read(self, rectangle: Rectangle) -> Tensor:
        shares = self.regions.read(rectangle)
        missing = 1.0 - shares.sum(0)
        if not bool((missing > 0.0).any()):
            return shares
        rows, columns = (
            torch.arange(first, last) * small // whole
            for first, last, small, whole in zip(
                (rectangle.top, rectangle.left),
                (rectangle.bottom, rectangle.right),
                self.fill.shape[1:],
                self.size,
            )
        )
        return shares + missing.clamp(min=0.0) * self.fill[:, rows][:, :, columns]

    def shrunk(self, size: Size) -> FilledRegions:
        return replace(self, regions=self.regions.shrunk(size))


@dataclass(frozen=True)
class ScaledRegions:
    """A :class:`RegionMap` with smaller shares of some styles, and thus more content.

    Attributes:
        regions: the map.
        scales: factor of each style, 0 to 1.
    """

    regions: RegionMap
    scales: Sequence[float]

    @property
    def size(self) -> Size:
        return self.regions.size

    @property
    def count(self) -> int:
        return self.regions.count

    def read(self, rectangle: Rectangle) -> Tensor:
        return self.regions.read(rectangle) * torch.tensor(self.scales)[:, None, None]

    def shrunk(self, size: Size) -> ScaledRegions:
        return replace(self, regions=self.regions.shrunk(size))


def _extended(shares: Tensor) -> Tensor:
    """Shares with a sum of 1; where there are none, those of coarser and coarser surroundings."""
    total = shares.sum(0, keepdim=True)
    if bool((total > 0.0).all()):
        return shares / total
    if total.numel() == 1:
        return torch.full_like(shares, 1 / len(shares))
    surroundings = _extended(F.avg_pool2d(shares[None], 2, ceil_mode=True)[0])
    near = surroundings.repeat_interleave(2, 1).repeat_interleave(2, 2)
    near = near[:, : shares.shape[1], : shares.shape[2]]
    return torch.where(total > 0.0, shares / total.clamp(min=1e-12), near)
