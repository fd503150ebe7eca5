"""Style codes: everything about a style that a network needs to paint in it.

They are frozen and small (KB; MB for WCT's matrices). They are passed as arguments or saved, and
never stored in a model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from ..errors import SettingsError, StatsError
from ..pictures.source import Source
from .statistics import ChannelStats, to_device

QUANTILES = ".quantiles"
"""Ending of the names of tensors that describe distributions."""


@dataclass(frozen=True)
class StyleCode:
    """A style as a network encodes it: named tensors, immutable by convention.

    Codes of the same network can be blended. Since codes are blended, not features, every mixture
    is a valid style for the network.

    Attributes:
        tensors: tensors of the code, by names that the network chooses.
        fingerprint: of the weights that encoded it, or empty if unknown; other weights refuse it.

    Example:
        >>> import urst_core as urst
        >>> model = urst.load_backbone()
        >>> code: urst.StyleCode = model.encode("painting.jpg")
        >>> painted = model("photo.jpg", code)
    """

    tensors: Mapping[str, Tensor]
    fingerprint: str = ""

    def channel_stats(self, name: str) -> ChannelStats:
        """The target statistics stored as ``name.mean`` and ``name.std``."""
        return ChannelStats(self.tensors[f"{name}.mean"], self.tensors[f"{name}.std"])

    @property
    def match(self) -> str:
        """What the code describes of the style's features: ``moments`` or the ``distribution``."""
        is_distribution = any(name.endswith(QUANTILES) for name in self.tensors)
        return "distribution" if is_distribution else "moments"

    def to(self, device: torch.device) -> StyleCode:
        tensors = {name: to_device(value, device) for name, value in self.tensors.items()}
        return replace(self, tensors=tensors)

    def check_fingerprint(self, fingerprint: str) -> None:
        """Check that the code was encoded with these weights.

        Raises:
            StatsError: it was encoded with other weights.
        """
        if self.fingerprint and fingerprint and self.fingerprint != fingerprint:
            raise StatsError(
                f"a style that was encoded with weights {self.fingerprint[:12]} does not fit "
                f"weights {fingerprint[:12]}",
                "encode it with the same weights",
            )


AnyStyle: TypeAlias = Source | str | StyleCode
"""A style picture, the name of a built-in style, or a code."""


@dataclass(frozen=True)
class RegionCodes(StyleCode):
    """The codes of all regions of a picture.

    Attributes:
        parts: the code of each region.
    """

    parts: tuple[StyleCode, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[StyleCode]) -> RegionCodes:
        return cls({}, parts[0].fingerprint, tuple(parts))

    def to(self, device: torch.device) -> RegionCodes:
        return replace(self, parts=tuple(part.to(device) for part in self.parts))


def pictures_among(styles: Iterable[AnyStyle]) -> list[Source]:
    """The styles that are pictures, which have to be read and encoded."""
    return [style for style in styles if not isinstance(style, (str, StyleCode))]


def blend(codes: Sequence[StyleCode], weights: Sequence[float]) -> StyleCode:
    """Compute the weighted mean of style codes; weights are normalized to a sum of 1.

    Raises:
        SettingsError: no code, a different number of weights, or weights that are negative, not
            finite, or all 0.
        StatsError: the codes come from different networks.
    """
    if not codes or len(codes) != len(weights):
        raise SettingsError(
            f"{len(codes)} styles with {len(weights)} weights; give one weight for each style"
        )
    shares = shares_of(weights)
    first = codes[0]
    for code in codes[1:]:
        code.check_fingerprint(first.fingerprint)
        if code.match != first.match:
            raise StatsError(
                f"a style of {code.match} cannot be mixed with one of {first.match}; "
                "encode both in the same way"
            )
    return StyleCode(
        {
            name: torch.stack([s * code.tensors[name] for s, code in zip(shares, codes)]).sum(0)
            for name in first.tensors
        },
        first.fingerprint,
    )


def shares_of(weights: Sequence[float]) -> list[float]:
    """Weights, at least one, normalized to a sum of 1.

    Raises:
        SettingsError: weights are negative, not finite, or all 0.
    """
    if not all(math.isfinite(w) and w >= 0 for w in weights) or max(weights) == 0:
        raise SettingsError(
            f"style weights {list(weights)} cannot be used; use values >= 0, at least one above 0"
        )
    # Scaled by a power of two, which is exact, since a sum of huge weights would be infinite.
    exponent = math.frexp(max(weights))[1]
    scaled = [math.ldexp(weight, -exponent) for weight in weights]
    return [weight / math.fsum(scaled) for weight in scaled]
