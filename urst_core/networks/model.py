"""A network with its weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..choices import check_strength
from ..errors import SettingsError, ShapeError, StatsError
from ..geometry import Size
from ..pictures.padding import pad_to_frame, size_of
from .frozen_stats import FrozenStats
from .full_precision import full_precision
from .local_statistics import local_moments
from .network import StylizationNetwork, Traits
from .region_statistics import region_moments
from .sites import Site, measure, measure_sites
from .statistics import Moments, SiteStats
from .style import StyleCode, blend
from .tile_network import TileNetwork


@dataclass(frozen=True)
class Backbone:
    """A network with its weights, ready to use; methods never change it.

    Attributes:
        network: float32, in evaluation mode, without gradients.
        fingerprint: of its weights; see :func:`urst_core.weights.checkpoint.fingerprint`.
    """

    network: StylizationNetwork
    fingerprint: str

    def __repr__(self) -> str:
        """In one line, without the layers."""
        return f"Backbone({self.traits.name}, weights {self.fingerprint[:12]})"

    @property
    def traits(self) -> Traits:
        return self.network.traits

    def on(self, device: torch.device) -> Backbone:
        """This backbone on a device: itself if it is already there, otherwise a copy."""
        if is_same_device(self.device, device):
            return self
        return replace(self, network=copy.deepcopy(self.network).to(device))

    @full_precision()
    def encode_style(
        self,
        styles: Sequence[Tensor | str | StyleCode] = (),
        weights: Sequence[float] | None = None,
        *,
        match: str = "moments",
    ) -> StyleCode:
        """Encode one style or a mixture of several.

        Args:
            styles: pictures, each (1, 3, H, W), 0..1, of any size; names of built-in styles; or
                codes; empty for networks with a single built-in style.
            weights: share of each, >= 0, normalized to a sum of 1; equal if None.
            match: what is encoded of pictures, one of ``traits.matches``.

        Raises:
            ShapeError: a style is smaller than the network's minimum.
            SettingsError: the network has no such styles, or the number of weights differs.
            StatsError: a code was encoded with other weights.
        """
        names = self.network.style_names
        if not styles and len(names) == 1:
            styles, weights = names, weights or None
        if not styles:
            choice = f"name one of: {', '.join(names)}" if names else "give a picture"
            raise SettingsError(f"{self.traits.title} needs a style; {choice}")
        with torch.inference_mode():
            codes = [self._encode_one(style, match) for style in styles]
            code = blend(codes, weights if weights is not None else [1.0] * len(codes))
        return replace(code, fingerprint=self.fingerprint)

    def _encode_one(self, style: Tensor | str | StyleCode, match: str) -> StyleCode:
        if isinstance(style, StyleCode):
            style.check_fingerprint(self.fingerprint)
            return style.to(self.device)
        names = self.network.style_names
        if isinstance(style, str):
            if names and style not in names:
                raise SettingsError(
                    f"{self.traits.title} has no style {style!r}; use one of: {', '.join(names)}"
                )
            return self.network.named_style_code(style)
        if not names:
            self._check_style(style)
        return self.encode_picture(style, match)

    def encode_picture(self, style: Tensor, match: str) -> StyleCode:
        """The code of a picture, (1, 3, H, W), 0..1, of any size that the network takes."""
        picture = style.to(self.device, self.dtype)
        network = self.measuring_network
        if match == "distribution":
            return network.distribution_code(picture)
        return network.style_code(picture)

    @full_precision()
    def collect(
        self,
        thumbnail: Tensor,
        code: StyleCode,
        *,
        strength: float = 1.0,
        local_radius: float | None = None,
    ) -> FrozenStats:
        """Measure the statistics that all tiles share, in one pass up to the last site.

        Args:
            thumbnail: the downscaled content, (1, 3, H, W), 0..1, or the whole content for plain
                instance normalization.
            code: the style.
            strength: 0 (the content) to 1 (the full style).
            local_radius: for statistics that vary over the picture; see :meth:`moments_at`.

        Raises:
            SettingsError: the strength is out of range; or statistics are to vary, and the network
                has others than of single channels.
        """
        return self.collect_each(thumbnail, [code], [strength], local_radius=local_radius)[0]

    @full_precision()
    def collect_each(
        self,
        thumbnail: Tensor,
        codes: Sequence[StyleCode],
        strengths: Sequence[float],
        *,
        local_radius: float | None = None,
        areas: Sequence[Tensor | None] | None = None,
    ) -> list[FrozenStats]:
        """As :meth:`collect`, for several styles, which share what depends on the picture only.

        Args:
            thumbnail, local_radius: as for :meth:`collect`.
            codes: the styles.
            strengths: one for each style.
            areas: the part of the thumbnail that is measured for each style; see
                :meth:`moments_at`. All of it if None.

        Raises:
            SettingsError: as in :meth:`collect`.
        """
        blended = self.codes_for(thumbnail, codes, strengths)
        measured: list[FrozenStats] = []
        network = self.measuring_network
        with torch.inference_mode():
            features = self.content_features(thumbnail)
            for code, strength, area in zip(blended, strengths, areas or [None] * len(codes)):
                moments_at = self.moments_at(size_of(thumbnail), local_radius, area)
                sites = measure_sites(
                    network.stages_from(features, code),
                    network.site_names,
                    lambda site, moments_at=moments_at: measure(site, moments_at(site)),
                )
                measured.append(self.stats(code, sites, strength=strength))
        return measured

    def moments_at(
        self, thumbnail: Size, local_radius: float | None, area: Tensor | None = None
    ) -> Callable[[Site], Moments]:
        """Creates the accumulator of a site, for thumbnails of one size.

        Args:
            thumbnail: height and width, in px, without padding.
            local_radius: None for statistics of the whole; otherwise they vary, and this is the
                radius they are measured in, as a share of the longest side.
            area: which pixels of the thumbnail are measured, (h, w), bool; all if None.
        """
        frame = self.traits.frame_of(thumbnail)
        if area is not None:
            return region_moments(area, frame)
        if local_radius is None:
            return lambda site: site.moments()
        return local_moments(local_radius, thumbnail, frame)

    def code_for(self, thumbnail: Tensor, code: StyleCode, *, strength: float) -> StyleCode:
        """Blend a style's code with the content's for a strength below 1.

        Networks with built-in styles cannot encode the content; their code is returned unchanged.

        Raises:
            SettingsError: the strength is out of range.
            StatsError: the style was encoded with other weights.
        """
        return self.codes_for(thumbnail, [code], [strength])[0]

    def codes_for(
        self, thumbnail: Tensor, codes: Sequence[StyleCode], strengths: Sequence[float]
    ) -> list[StyleCode]:
        """As :meth:`code_for`, for several styles; the content is encoded once."""
        own: dict[str, StyleCode] = {}
        blended: list[StyleCode] = []
        for code, strength in zip(codes, strengths):
            check_strength(strength)
            code.check_fingerprint(self.fingerprint)
            if strength == 1.0 or self.network.style_names:
                blended.append(code)
                continue
            if code.match not in own:
                own[code.match] = self.encode_style([self._framed(thumbnail)], match=code.match)
            blended.append(blend([own[code.match], code], [1.0 - strength, strength]))
        return blended

    def stats(
        self, code: StyleCode, sites: Mapping[str, SiteStats], *, strength: float
    ) -> FrozenStats:
        """Combine statistics measured elsewhere with this backbone's name and fingerprint."""
        return FrozenStats(self.traits.name, self.fingerprint, code, dict(sites), strength)

    def content_share(self, strength: float) -> float:
        """Share of the unchanged content in each pixel of the result.

        No stylization network reproduces its input exactly, not even with the input's own style
        code. If codes are blended, the share is (1 - strength) squared, which gives the content at
        strength 0 and drops quickly; otherwise only the content can be mixed in: 1 - strength.
        """
        return 1.0 - strength if self.network.style_names else (1.0 - strength) ** 2

    @full_precision()
    def bake(self, stats: FrozenStats) -> TileNetwork:
        """Fold the statistics into the network's convolutions.

        Raises:
            StatsError: the statistics were measured with another backbone or other weights.
        """
        self._check_stats(stats)
        # Parameters created in inference mode could not be modified in place later.
        with torch.inference_mode(False), torch.no_grad():
            here = stats.to(self.device)
            cloned = StyleCode({n: t.clone() for n, t in here.code.tensors.items()})
            sites = {name: stats.clone() for name, stats in here.sites.items()}
            # Rounded once, after folding.
            folded = self.network.fold(cloned, sites).to(self.dtype)
        network = TileNetwork(folded, content_share=self.content_share(stats.strength))
        return network.eval().requires_grad_(False)

    def content_features(self, thumbnail: Tensor) -> Tensor:
        """What statistics of a thumbnail, (1, 3, H, W), begin with, whatever the style."""
        return self.measuring_network.content_features(self._framed(thumbnail))

    @cached_property
    def measuring_network(self) -> StylizationNetwork:
        """The network for pictures that are encoded or measured, without gradients."""
        if self.device.type != "cpu":
            return self.network
        # Nodes run in inference mode, and others, too, use what is made there.
        with torch.inference_mode(False):
            return self.network.for_measuring()

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights, in which statistics are measured."""
        return next(self.network.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The network's device."""
        return next(self.network.parameters()).device

    def _framed(self, image: Tensor) -> Tensor:
        frame = self.traits.frame_of(size_of(image))
        return pad_to_frame(image.to(self.device, self.dtype), frame)

    def _check_style(self, style: Tensor) -> None:
        height, width = size_of(style)
        minimum = self.traits.minimum
        if min(height, width) < minimum:
            raise ShapeError(
                f"style of {height} x {width} px is too small for {self.traits.title}; "
                f"use a picture of at least {minimum} x {minimum} px"
            )

    def _check_stats(self, stats: FrozenStats) -> None:
        if stats.backbone != self.traits.name:
            raise StatsError(
                f"statistics of backbone {stats.backbone!r} do not fit {self.traits.name!r}; "
                f"measure them with {self.traits.name!r}"
            )
        if stats.fingerprint != self.fingerprint:
            raise StatsError(
                f"statistics of weights {stats.fingerprint[:12]} do not fit weights "
                f"{self.fingerprint[:12]}; measure them with the same weights"
            )


def is_same_device(here: torch.device, named: torch.device) -> bool:
    """Whether a name means the device of a tensor: ``cuda`` is the current one of several."""
    if here.type != named.type or ":" in str(named):
        return here == named
    return here.type != "cuda" or here.index == torch.cuda.current_device()
