"""Statistics that all tiles share: a style code and the statistics of every site, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..durable import read_tensors, write_tensors
from ..errors import StatsError
from .site_kinds import site_stats_from
from .statistics import SiteStats
from .style import StyleCode

STATS_FORMAT = "urst-stats-2"


@dataclass(frozen=True)
class FrozenStats:
    """Everything that tiles share: a frozen value, passed as an argument, never stored in a model.

    Attributes:
        backbone: name of the backbone that measured them.
        fingerprint: of that backbone's weights; only they can use these statistics.
        code: the style, blended with the content's own code if strength < 1.
        sites: statistics by site.
        strength: 0 (the content) to 1 (the full style).

    Example:
        >>> import urst_core as urst
        >>> model = urst.load_backbone()
        >>> model.measure("photo.jpg", "painting.jpg").save(Path("lake.safetensors"))
        >>> stats = urst.FrozenStats.load(Path("lake.safetensors"))
        >>> painted = model("photo.jpg", stats)
    """

    backbone: str
    fingerprint: str
    code: StyleCode
    sites: Mapping[str, SiteStats]
    strength: float = 1.0

    def __repr__(self) -> str:
        """In one line, without the values."""
        return f"FrozenStats({self.backbone}, {len(self.sites)} sites, strength {self.strength:g})"

    def to(self, device: torch.device) -> FrozenStats:
        sites = {name: stats.to(device) for name, stats in self.sites.items()}
        return replace(self, code=self.code.to(device), sites=sites)

    def save(self, path: Path) -> None:
        """Write a safetensors file: a few KB, or MB for networks that measure matrices (WCT).

        Raises:
            OSError: the disk is full or failing.
        """
        write_tensors(path, self._tensors(), {"format": STATS_FORMAT, **self._facts()})

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"code.{name}": value for name, value in self.code.tensors.items()}
        for name, stats in self.sites.items():
            tensors |= {f"site.{name}.{part}": value for part, value in stats.tensors().items()}
        return tensors

    def _facts(self) -> dict[str, Any]:
        return {
            "backbone": self.backbone,
            "fingerprint": self.fingerprint,
            "strength": self.strength,
        }

    @classmethod
    def load(cls, path: Path) -> FrozenStats:
        """Read what :meth:`save` wrote.

        Raises:
            StatsError: the file has another format, or is damaged.
        """
        try:
            facts, tensors = read_tensors(path)
        except (OSError, ValueError) as error:
            raise StatsError(
                f"{path} cannot be read as statistics ({error}); measure them again"
            ) from error
        if facts.get("format") != STATS_FORMAT:
            raise StatsError(
                f"{path} has the format {facts.get('format', 'no name')!r}, not {STATS_FORMAT!r}; "
                "measure the statistics again with this version"
            )
        try:
            if "regions" in facts:
                return RegionStats.from_file(facts["regions"], tensors)
            return cls._from_file(facts, tensors)
        except (KeyError, ValueError, StatsError) as error:
            raise StatsError(
                f"{path} is damaged ({error!r}); measure the statistics again"
            ) from error

    @classmethod
    def _from_file(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FrozenStats:
        sites: dict[str, dict[str, Tensor]] = {}
        for full_name, value in tensors.items():
            if full_name.startswith("site."):
                name, part = full_name.removeprefix("site.").rsplit(".", 1)
                sites.setdefault(name, {})[part] = value
        return cls(
            backbone=facts["backbone"],
            fingerprint=facts["fingerprint"],
            code=StyleCode(
                {n.removeprefix("code."): t for n, t in tensors.items() if n.startswith("code.")}
            ),
            sites={name: site_stats_from(parts) for name, parts in sites.items()},
            strength=float(facts["strength"]),
        )


@dataclass(frozen=True)
class RegionStats(FrozenStats):
    """The statistics of all regions of a picture, each with a style of its own.

    Attributes:
        parts: the statistics of each region; everything else is that of the first.
    """

    parts: tuple[FrozenStats, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[FrozenStats]) -> RegionStats:
        first = parts[0]
        return cls(
            first.backbone,
            first.fingerprint,
            first.code,
            first.sites,
            first.strength,
            parts=tuple(parts),
        )

    def to(self, device: torch.device) -> RegionStats:
        return RegionStats.of([part.to(device) for part in self.parts])

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{number}.{name}": value
            for number, part in enumerate(self.parts)
            for name, value in part._tensors().items()
        }

    def _facts(self) -> dict[str, Any]:
        return {"regions": [part._facts() for part in self.parts]}

    @classmethod
    def from_file(
        cls, facts: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]
    ) -> RegionStats:
        """The statistics of all regions, from the contents of a file."""
        parts: list[FrozenStats] = []
        for number, each in enumerate(facts):
            prefix = f"{number}."
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            parts.append(FrozenStats._from_file(each, own))
        return cls.of(parts)
