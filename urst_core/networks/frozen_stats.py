"""What every tile shares: a style code and the statistics of every site, frozen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import StatsError
from .statistics import SiteStats, site_stats_from
from .style import StyleCode

STATS_FORMAT = "urst-stats-1"


@dataclass(frozen=True)
class FrozenStats:
    """All that tiles share: a frozen value, passed as an argument, never kept in a model.

    Attributes:
        backbone: name of the backbone that measured.
        fingerprint: of that backbone's weights; others must not use these statistics.
        code: the style, already blended with the content's own code where strength < 1.
        sites: what was measured at each site.
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

    def to(self, device: torch.device) -> FrozenStats:
        sites = {name: stats.to(device) for name, stats in self.sites.items()}
        return replace(self, code=self.code.to(device), sites=sites)

    def save(self, path: Path) -> None:
        """Write a safetensors file: a few KB, or MB where whole matrices are measured (WCT)."""
        tensors = {f"code.{name}": value for name, value in self.code.tensors.items()}
        for name, stats in self.sites.items():
            tensors |= {f"site.{name}.{part}": value for part, value in stats.tensors().items()}
        header = {
            "format": STATS_FORMAT,
            "backbone": self.backbone,
            "fingerprint": self.fingerprint,
            "strength": json.dumps(self.strength),
        }
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, path, header)

    @classmethod
    def load(cls, path: Path) -> FrozenStats:
        """Read what :meth:`save` wrote.

        Raises:
            StatsError: the file is not one of ours, or is damaged.
        """
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise StatsError(f"{path} cannot be read as statistics: {error}") from error
        if header.get("format") != STATS_FORMAT:
            raise StatsError(
                f"{path} holds {header.get('format', 'no format name')!r}, not {STATS_FORMAT!r}; "
                "make the statistics again with this version"
            )
        try:
            return cls._from_file(header, tensors)
        except (KeyError, ValueError, StatsError) as error:
            raise StatsError(f"{path} is damaged ({error!r}); make the statistics again") from error

    @classmethod
    def _from_file(cls, header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> FrozenStats:
        sites: dict[str, dict[str, Tensor]] = {}
        for full_name, value in tensors.items():
            if full_name.startswith("site."):
                name, part = full_name.removeprefix("site.").rsplit(".", 1)
                sites.setdefault(name, {})[part] = value
        return cls(
            backbone=header["backbone"],
            fingerprint=header["fingerprint"],
            code=StyleCode(
                {n.removeprefix("code."): t for n, t in tensors.items() if n.startswith("code.")}
            ),
            sites={name: site_stats_from(parts) for name, parts in sites.items()},
            strength=float(header["strength"]),
        )
