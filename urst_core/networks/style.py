"""What a backbone measures and hands to every tile: style codes and thumbnail statistics.

Both are frozen and small (KB; MB for WCT's matrices): they are passed as arguments, saved, and
never kept in a model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import SettingsError, StatsError
from .statistics import ChannelStats, SiteStats, moved, site_stats_from

STATS_FORMAT = "urst-stats-1"


@dataclass(frozen=True)
class StyleCode:
    """What a network needs to know of a style: named tensors, immutable by convention.

    Codes of one network may be blended; blending codes, not features, keeps every mixture a
    picture that the network could have made.
    """

    tensors: Mapping[str, Tensor]

    def channel_stats(self, name: str) -> ChannelStats:
        """The target statistics stored as ``name.mean`` and ``name.std``."""
        return ChannelStats(self.tensors[f"{name}.mean"], self.tensors[f"{name}.std"])

    def to(self, device: torch.device) -> StyleCode:
        return StyleCode({name: moved(value, device) for name, value in self.tensors.items()})


def blend(codes: Sequence[StyleCode], weights: Sequence[float]) -> StyleCode:
    """The weighted mean of style codes; weights are normalized to a sum of 1.

    Raises:
        SettingsError: no code, a different number of weights, or weights that are negative, not
            finite, or all 0.
    """
    if not codes or len(codes) != len(weights):
        raise SettingsError(
            f"{len(codes)} styles with {len(weights)} weights; give one weight a style"
        )
    total = math.fsum(weights)
    if not math.isfinite(total) or min(weights) < 0 or total <= 0:
        raise SettingsError(
            f"style weights {list(weights)} cannot be blended; use values >= 0, one above 0"
        )
    shares = [weight / total for weight in weights]
    names = codes[0].tensors.keys()
    return StyleCode(
        {
            name: torch.stack([s * code.tensors[name] for s, code in zip(shares, codes)]).sum(0)
            for name in names
        }
    )


@dataclass(frozen=True)
class ThumbnailStats:
    """All that tiles share: a frozen value, passed as an argument, never kept in a model.

    Attributes:
        backbone: name of the backbone that measured.
        fingerprint: of that backbone's weights; others must not use these statistics.
        code: the style, already blended with the content's own code where strength < 1.
        sites: what was measured at each site.
        strength: 0 (the content) to 1 (the full style).
    """

    backbone: str
    fingerprint: str
    code: StyleCode
    sites: Mapping[str, SiteStats]
    strength: float = 1.0

    def to(self, device: torch.device) -> ThumbnailStats:
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
    def load(cls, path: Path) -> ThumbnailStats:
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
    def _from_file(cls, header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> ThumbnailStats:
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


def check_strength(strength: float) -> None:
    """Refuse a strength outside 0..1, and NaN.

    Raises:
        SettingsError: it is.
    """
    if not 0.0 <= strength <= 1.0:
        raise SettingsError(f"strength {strength} is out of range; use 0 to 1")
