"""What a backbone measures and hands to every tile: style codes and thumbnail statistics.

Both are frozen and small (KB; MB for WCT's matrices): they are passed as arguments, saved, and
never kept in a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SettingsError
from .statistics import ChannelStats, to_device


@dataclass(frozen=True)
class StyleCode:
    """What a network needs to know of a style: named tensors, immutable by convention.

    Codes of one network may be blended; blending codes, not features, keeps every mixture a
    picture that the network could have made.

    Example:
        >>> import urst_core as urst
        >>> model = urst.load_backbone()
        >>> code: urst.StyleCode = model.encode("painting.jpg")
        >>> painted = model("photo.jpg", code)
    """

    tensors: Mapping[str, Tensor]

    def channel_stats(self, name: str) -> ChannelStats:
        """The target statistics stored as ``name.mean`` and ``name.std``."""
        return ChannelStats(self.tensors[f"{name}.mean"], self.tensors[f"{name}.std"])

    def to(self, device: torch.device) -> StyleCode:
        return StyleCode({name: to_device(value, device) for name, value in self.tensors.items()})


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
    if not all(math.isfinite(w) and w >= 0 for w in weights) or max(weights) == 0:
        raise SettingsError(
            f"style weights {list(weights)} cannot be blended; use values >= 0, one above 0"
        )
    # Scaled by a power of two, which rounds nothing: a sum of huge ones would not be finite.
    exponent = math.frexp(max(weights))[1]
    scaled = [math.ldexp(weight, -exponent) for weight in weights]
    shares = [weight / math.fsum(scaled) for weight in scaled]
    names = codes[0].tensors.keys()
    return StyleCode(
        {
            name: torch.stack([s * code.tensors[name] for s, code in zip(shares, codes)]).sum(0)
            for name in names
        }
    )


def check_strength(strength: float) -> None:
    """Refuse a strength outside 0..1, and NaN.

    Raises:
        SettingsError: it is.
    """
    if not 0.0 <= strength <= 1.0:
        raise SettingsError(f"strength {strength} is out of range; use 0 to 1")
