"""The contract of a backbone: style code, statistics, tile network.

A :class:`StylizationNetwork` is one published network, written once. A :class:`Backbone` is such
a network with its weights, and what the rest of the project works with::

    code    = backbone.encode_style(styles)
    stats   = backbone.collect(thumbnail, code)       # once, a few KB, saved and passed around
    network = backbone.bake(stats)                    # convolutions, ReLUs, resampling
    pixels  = network(window)                         # many, independent
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import ShapeError, StatsError
from .geometry import Layer, Size, frame_size, halo_of
from .stats import StyleCode, ThumbnailStats, blend, check_strength
from .tin import ChannelStats, Stages, collect


@dataclass(frozen=True)
class Traits:
    """What a caller may rely on without knowing the network.

    Attributes:
        name: the backbone's identifier in settings, files and the command line.
        title: its name as its authors write it.
        stride: total downsampling; tile edges are multiples of it.
        layers: the longest chain of layers, from which the halo is derived.
        minimum: smallest height and width that the network itself can take, in px.
        bytes_per_pixel: measured peak memory of a float32 tile pass, per window pixel.
        half_precision: half-precision formats that hold on real pictures (tried per picture too).
        license: of the published code and weights.
        paper: where the method is described.
    """

    name: str
    title: str
    stride: int
    layers: tuple[Layer, ...]
    minimum: int
    bytes_per_pixel: int
    half_precision: tuple[torch.dtype, ...]
    license: str
    paper: str

    @property
    def halo(self) -> int:
        """Context that makes tiles exact, in px, a multiple of the stride."""
        return halo_of(self.layers, stride=self.stride)

    def frame_of(self, image: Size) -> Size:
        """The size of an image after its one padding."""
        return frame_size(image, stride=self.stride, minimum=self.minimum)


class StylizationNetwork(nn.Module, ABC):
    """One published network under its published parameter names. Pictures are (1, 3, H, W), 0..1.

    The scale, channel order and normalization that a network was trained with stay inside it.
    """

    traits: ClassVar[Traits]
    site_names: ClassVar[tuple[str, ...]]
    ignored_weights: ClassVar[tuple[str, ...]] = ()
    """Prefixes of parameters that published files hold and the network does not use."""

    @abstractmethod
    def style_code(self, style: Tensor) -> StyleCode:
        """Encode one style picture, at least ``traits.minimum`` px on each side."""

    @abstractmethod
    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        """Stylize an image, yielding each site on the way; see :mod:`urst_core.tin`."""

    @abstractmethod
    def fold(self, code: StyleCode, sites: Mapping[str, ChannelStats]) -> nn.Module:
        """The same network with the statistics folded into its convolutions.

        The module is called with a window, (N, 3, H, W), H and W multiples of the stride, and
        ``at_border``; it must neither change nor share its parameters with this network.
        """


class TileNetwork(nn.Module):
    """A baked backbone: maps windows to stylized windows, and keeps nothing between calls."""

    def __init__(self, folded: nn.Module, *, content_share: float) -> None:
        super().__init__()
        self.folded = folded
        self.content_share = content_share
        self.compute_dtype = torch.float32

    def prepared(self, device: torch.device, dtype: torch.dtype = torch.float32) -> TileNetwork:
        """A copy on ``device`` that computes in ``dtype``, laid out for fast convolutions."""
        network = TileNetwork(copy.deepcopy(self.folded), content_share=self.content_share)
        network.folded.to(device=device, dtype=dtype)
        network.folded.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network.compute_dtype = dtype
        return network.eval().requires_grad_(False)

    def forward(self, window: Tensor, *, at_border: bool = True) -> Tensor:
        """Stylize windows.

        Args:
            window: (N, 3, H, W), float32, 0..1, H and W multiples of the backbone's stride.
            at_border: False where no edge of the window lies on the frame's border: all that
                padding could touch is discarded with the halo then, and the cheapest one is used.

        Returns:
            (N, 3, H, W), float32, not clamped.
        """
        image = window.to(self.compute_dtype, memory_format=torch.channels_last)
        stylized = self.folded(image, at_border=at_border).float()
        if self.content_share > 0.0:
            stylized = stylized.lerp(window.float(), self.content_share)
        return stylized


@dataclass(frozen=True)
class Backbone:
    """A network with its weights, ready for use and never changed by it.

    Attributes:
        network: float32, in evaluation mode, without gradients.
        fingerprint: of its weights, see :func:`urst_core.weights.fingerprint`.
    """

    network: StylizationNetwork
    fingerprint: str

    @property
    def traits(self) -> Traits:
        return self.network.traits

    def on(self, device: torch.device) -> Backbone:
        """This backbone on a device: itself where it is there already, else a copy."""
        if self.device == device:
            return self
        return replace(self, network=copy.deepcopy(self.network).to(device))

    def encode_style(
        self, styles: Sequence[Tensor], weights: Sequence[float] | None = None
    ) -> StyleCode:
        """Encode one style or a mixture of several.

        Args:
            styles: pictures, each (1, 3, H, W), 0..1, of any sizes.
            weights: share of each, >= 0, brought to a sum of 1; equal when not given.

        Raises:
            ShapeError: a style is smaller than the network can take.
            SettingsError: the weights do not fit the styles.
        """
        for style in styles:
            self._check_style(style)
        with torch.inference_mode():
            codes = [self.network.style_code(style.to(self.device)) for style in styles]
            return blend(codes, weights if weights is not None else [1.0] * len(codes))

    def collect(
        self, thumbnail: Tensor, code: StyleCode, *, strength: float = 1.0
    ) -> ThumbnailStats:
        """Measure the statistics that all tiles share, in one small forward pass.

        Args:
            thumbnail: the downscaled content, (1, 3, H, W), 0..1; (or the whole content, for
                plain instance normalization).
            code: the style.
            strength: 0 (the content) to 1 (the full style).

        Raises:
            SettingsError: the strength is out of range.
        """
        code = self.code_for(thumbnail, code, strength=strength)
        with torch.inference_mode():
            sites, _ = collect(self.network.stages(self._framed(thumbnail), code))
        return self.stats(code, sites, strength=strength)

    def code_for(self, thumbnail: Tensor, code: StyleCode, *, strength: float) -> StyleCode:
        """Blend a style's code with the content's own, which a strength below 1 leans to.

        Raises:
            SettingsError: the strength is out of range.
        """
        check_strength(strength)
        if strength == 1.0:
            return code
        own = self.encode_style([self._framed(thumbnail)])
        return blend([own, code], [1.0 - strength, strength])

    def stats(
        self, code: StyleCode, sites: Mapping[str, ChannelStats], *, strength: float
    ) -> ThumbnailStats:
        """Statistics measured elsewhere, bound to this backbone."""
        return ThumbnailStats(self.traits.name, self.fingerprint, code, dict(sites), strength)

    def bake(self, stats: ThumbnailStats) -> TileNetwork:
        """Fold the statistics into the network's convolutions.

        Raises:
            StatsError: the statistics were measured with another backbone or other weights.
        """
        self._check_stats(stats)
        # Parameters made in inference mode could never be moved in place afterward.
        with torch.inference_mode(False), torch.no_grad():
            here = stats.to(self.device)
            cloned = StyleCode({n: t.clone() for n, t in here.code.tensors.items()})
            sites = {n: ChannelStats(s.mean.clone(), s.std.clone()) for n, s in here.sites.items()}
            folded = self.network.fold(cloned, sites)
        network = TileNetwork(folded, content_share=stats.content_share)
        return network.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device

    def _framed(self, image: Tensor) -> Tensor:
        return pad_to_frame(image.to(self.device), self.traits.frame_of(size_of(image)))

    def _check_style(self, style: Tensor) -> None:
        height, width = size_of(style)
        minimum = self.traits.minimum
        if min(height, width) < minimum:
            raise ShapeError(
                f"style of {height} x {width} px is smaller than {self.traits.title} can take; "
                f"use a picture of at least {minimum} x {minimum} px"
            )

    def _check_stats(self, stats: ThumbnailStats) -> None:
        if stats.backbone != self.traits.name:
            raise StatsError(
                f"statistics of backbone {stats.backbone!r} do not fit {self.traits.name!r}; "
                f"make them with {self.traits.name!r}"
            )
        if stats.fingerprint != self.fingerprint:
            raise StatsError(
                f"statistics of weights {stats.fingerprint[:12]} do not fit weights "
                f"{self.fingerprint[:12]}; make them with the weights that stylize"
            )


def size_of(image: Tensor) -> Size:
    """Height and width of (..., H, W)."""
    return image.shape[-2], image.shape[-1]


def pad_to_frame(image: Tensor, frame: Size) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until the frame is full.

    Repetition, not reflection: it is defined for an image of 1 x 1 px too.
    """
    height, width = size_of(image)
    below, beside = frame[0] - height, frame[1] - width
    return F.pad(image, (0, beside, 0, below), mode="replicate") if below or beside else image
