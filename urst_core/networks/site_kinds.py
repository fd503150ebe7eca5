"""All kinds of statistics, as files name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from torch import Tensor

from ..errors import StatsError
from .local_statistics import LocalStats
from .statistics import (
    ChannelStats,
    GramStats,
    MeanStats,
    QuantileStats,
    SiteStats,
    WhiteningStats,
)

SITE_STATS: tuple[type[SiteStats], ...] = (
    ChannelStats,
    LocalStats,
    MeanStats,
    WhiteningStats,
    GramStats,
    QuantileStats,
)
"""All kinds of statistics; in a file, the names of their tensors identify them."""


def site_stats_from(tensors: Mapping[str, Tensor]) -> SiteStats:
    """Create statistics of the kind that has tensors with these names.

    Raises:
        StatsError: no kind has these tensors.
    """
    for kind in SITE_STATS:
        if {field.name for field in fields(cast(Any, kind))} == set(tensors):
            return kind(**tensors)
    raise StatsError(f"tensors {sorted(tensors)} are not statistics of a site; measure them again")
