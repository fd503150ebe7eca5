"""Settings: everything that a user may choose, checked once, before any work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypedDict

from ..choices import check_strength
from ..errors import Change, SettingsError
from ..geometry import check_tile_size
from .device import find_device, find_precision

if TYPE_CHECKING:
    from ..networks.network import Traits

StatsKind = Literal["thumbnail", "exact", "local"]
STATS_KINDS: tuple[StatsKind, ...] = ("thumbnail", "exact", "local")

Precision = Literal["auto", "fp32", "fp16", "bf16"]

Colors = Literal["style", "content", "matched"]
COLORS: tuple[Colors, ...] = ("style", "content", "matched")

Match = Literal["moments", "distribution"]
MATCHES: tuple[Match, ...] = ("moments", "distribution")

Strokes = Literal["preview", "fine"] | float
STROKES_WORDS = ("preview", "fine")

LARGEST_SEED = 2**32 - 1

LEAST_RADIUS = 0.05
"""Smallest radius of local statistics, as a share of the picture's longest side: a grid of 41 x 41
nodes."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        thumbnail_size: longest side of the thumbnail, in px; 0 keeps the content's size.
        style_size: longest side to which styles are shrunk, in px; 0 keeps their sizes.
        tile_size: edge of a core, in px, a multiple of the stride; None chooses by free memory.
        stats: ``thumbnail`` (URST); ``exact``, which measures the whole picture, tile by tile; or
            ``local``, which measures the thumbnail around each place.
        local_radius: of local statistics, as a share of the picture's longest side; from 0.05, and
            infinite for the thumbnail's statistics. See :mod:`urst_core.networks.local_statistics`.
        strength: 0 (the content) to 1 (the full style).
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        strokes: size of the strokes. ``preview``: the same share of the picture as in the stylized
            thumbnail; a number from 1: multiple of the network's own size; ``fine``: the network's
            own size, plain URST, without brushwork. See :mod:`urst_core.method.strokes`.
        detail: how much of the content's fine structure enlarged strokes keep, 0 to 1.
        brushwork: strength of faint noise that gives the network something to paint in flat areas,
            0 to 1; not used on the coarsest of several levels, the stylized thumbnail.
        seed: seed of that noise, 0 to 2**32 - 1.
        colors: ``style``: the painting's. ``content``: the result keeps the content's chroma, and
            has the painting's lightness. ``matched``: style pictures are brought to the content's
            mean and covariance of colors first. See :mod:`urst_core.pictures.colors`.
        match: ``moments``: features get the style's mean and deviation. ``distribution``: they get
            its whole distribution, with AdaIN. See :mod:`urst_core.networks.quantiles`.

    Example:
        >>> import urst_core as urst
        >>> urst.load_backbone("microast", strength=0.7).settings.strength
        0.7
    """

    thumbnail_size: int = 1024
    style_size: int = 1024
    tile_size: int | None = None
    stats: StatsKind = "thumbnail"
    strength: float = 1.0
    precision: Precision = "auto"
    device: str = "auto"
    strokes: Strokes = "preview"
    detail: float = 1.0
    brushwork: float = 0.25
    seed: int = 0
    colors: Colors = "style"
    match: Match = "moments"
    local_radius: float = 0.25

    def check(self, traits: Traits) -> None:
        """Refuse settings that the backbone or the machine does not support.

        Raises:
            SettingsError: a size, the strength, the statistics or the colors are out of range.
            DeviceError: the device or the precision is unknown or not available.
        """
        for name, size in (("thumbnail", self.thumbnail_size), ("style", self.style_size)):
            if size != 0 and size < traits.minimum:
                raise SettingsError(
                    f"{name} size {size} is too small for {traits.title}; "
                    f"use {traits.minimum} or more, or 0 to keep the picture's own"
                )
        if self.tile_size is not None:
            check_tile_size(self.tile_size, stride=traits.stride, name=traits.title)
        if self.stats not in STATS_KINDS:
            raise SettingsError(
                f"statistics {self.stats!r} are unknown; "
                f"use {', '.join(STATS_KINDS[:-1])} or {STATS_KINDS[-1]}"
            )
        self.check_local(traits)
        check_strength(self.strength)
        self.check_strokes()
        self.check_colors()
        self.check_match(traits)
        find_device(self.device)
        find_precision(self.precision, traits)

    def check_colors(self) -> None:
        """Refuse an unknown kind of colors.

        Raises:
            SettingsError: it is unknown.
        """
        if self.colors not in COLORS:
            raise SettingsError(
                f"colors {self.colors!r} are unknown; use {', '.join(COLORS[:-1])} or {COLORS[-1]}"
            )

    def check_match(self, traits: Traits) -> None:
        """Refuse a match that is unknown, or that the backbone does not have.

        Raises:
            SettingsError: it is.
        """
        if self.match not in MATCHES:
            raise SettingsError(f"match {self.match!r} is unknown; use {' or '.join(MATCHES)}")
        if self.match not in traits.matches:
            raise SettingsError(
                f"{traits.title} matches no distribution", Change("match", "moments")
            )
        if self.match == "distribution" and self.stats == "exact":
            raise SettingsError(
                "exact distributions of a whole picture cannot be measured tile by tile",
                Change("stats", "thumbnail"),
            )

    def check_local(self, traits: Traits) -> None:
        """Refuse local statistics that the backbone does not have, or a radius out of range.

        Raises:
            SettingsError: it does not, or it is.
        """
        if not self.local_radius >= LEAST_RADIUS:
            raise SettingsError(
                f"local radius {self.local_radius:g} is out of range; "
                f"use {LEAST_RADIUS:g} or more, a share of the picture's longest side"
            )
        if self.stats != "local":
            return
        if not traits.has_channel_moments:
            raise SettingsError(
                f"{traits.title} normalizes all channels together; only the mean and deviation of "
                "single channels can vary over the picture",
                Change("stats", "thumbnail"),
            )
        if self.match == "distribution":
            raise SettingsError(
                "distributions are measured for the whole picture, not locally",
                Change("stats", "thumbnail"),
            )

    @property
    def radius(self) -> float | None:
        """Radius of local statistics; None if the whole picture has the same."""
        return self.local_radius if self.stats == "local" else None

    def check_strokes(self) -> None:
        """Refuse strokes, detail, brushwork or a seed that are out of range.

        Raises:
            SettingsError: one of them is.
        """
        strokes = self.strokes
        is_word = isinstance(strokes, str)
        if strokes not in STROKES_WORDS and (is_word or not math.isfinite(strokes) or strokes < 1):
            raise SettingsError(
                f"strokes {strokes!r} are unknown; use {', '.join(STROKES_WORDS)}, or a number "
                "from 1, a multiple of the network's own size"
            )
        for name, value in (("detail", self.detail), ("brushwork", self.brushwork)):
            if not 0.0 <= value <= 1.0:
                raise SettingsError(f"{name} {value:g} is out of range; use 0 to 1")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise SettingsError(f"seed {self.seed} is out of range; use 0 to {LARGEST_SEED}")


class SettingsOptions(TypedDict, total=False):
    """The settings as keyword arguments, for type checkers; see :class:`Settings`."""

    thumbnail_size: int
    style_size: int
    tile_size: int | None
    stats: StatsKind
    strength: float
    precision: Precision
    device: str
    strokes: Strokes
    detail: float
    brushwork: float
    seed: int
    colors: Colors
    match: Match
    local_radius: float


class IfInterrupted(Enum):
    """What to do about an earlier run for the same result that was interrupted."""

    REFUSE = "refuse, and report how far it got"
    RESUME = "resume it, or start if there is none"
    DISCARD = "discard it and start over"
