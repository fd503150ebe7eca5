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

import torch
from torch import Tensor, nn

from ..errors import SettingsError, ShapeError, StatsError
from ..geometry import Layer, Size, frame_size, halo_of
from .layers.banded import RowLayer, bands_of
from .sites import Stages, measure_sites
from .statistics import SiteStats
from .style import StyleCode, ThumbnailStats, blend, check_strength

LEAST_BAND_ROWS = 64
BAND_PIXELS = 2**17
"""Height, and area in float32, of the bands that a CPU computes at a time, in px: small enough for
its caches, large enough for all its cores."""


@dataclass(frozen=True)
class Traits:
    """What a caller may rely on without knowing the network.

    Attributes:
        name: the backbone's identifier in settings, files and the command line.
        title: its name as its authors write it.
        stride: total downsampling; tile edges are multiples of it.
        layers: the longest chain of layers, from which the halo is derived.
        minimum: smallest height and width that the network itself can take, in px.
        bytes_per_pixel: peak memory of a float32 pass per window pixel, measured on the larger of
            a tile and a statistics pass by ``benchmarks/memory.py``.
        half_precision: half-precision formats that hold on real pictures (tried per picture too).
        license: of the published code and weights.
        paper: where the method is described.
        in_bands: whether its tile network is a
            :class:`~urst_core.networks.layers.banded.RowLayer`, which a CPU computes in bands:
            large tiles cost little memory there.
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
    in_bands: bool = False

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
    A network overrides one of ``style_code`` (its styles are pictures) and ``named_style_code``
    (its styles are in its weights, and ``style_names`` lists them).
    """

    traits: Traits
    site_names: tuple[str, ...]
    style_names: tuple[str, ...] = ()
    """The styles inside the weights; empty where any picture can be the style."""
    ignored_weights: tuple[str, ...] = ()
    """Prefixes of parameters that published files hold and the network does not use."""

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        """A network of the size that the weights are for; most come in one size only."""
        del state
        return cls()

    def style_code(self, style: Tensor) -> StyleCode:
        """Encode one style picture, at least ``traits.minimum`` px on each side."""
        del style
        raise SettingsError(
            f"{self.traits.title} takes no style picture, its styles are in its weights; "
            f"name one of: {', '.join(self.style_names)}"
        )

    def named_style_code(self, name: str) -> StyleCode:
        """The code of one of the styles inside the weights.

        Raises:
            SettingsError: there is none of that name.
        """
        raise SettingsError(
            f"{self.traits.title} has no style named {name!r} in its weights; give a picture"
        )

    @abstractmethod
    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        """Stylize an image, yielding each site on the way; see :mod:`urst_core.networks.sites`."""

    @abstractmethod
    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> nn.Module:
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
        self.in_bands = False

    def prepared(self, device: torch.device, dtype: torch.dtype = torch.float32) -> TileNetwork:
        """A copy on ``device`` that computes in ``dtype``, laid out for fast convolutions.

        On a CPU it works band by band if it can; there layers that a narrow ``dtype`` would show
        in, or not make faster, stay float32.
        """
        network = TileNetwork(copy.deepcopy(self.folded), content_share=self.content_share)
        network.compute_dtype = dtype
        if isinstance(network.folded, RowLayer) and device.type == "cpu":
            network.folded.to(device).prepare_for_cpu(dtype)
            network.in_bands = True
        network.folded.to(device=device, dtype=None if network.in_bands else dtype)
        network.folded.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
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
        if self.in_bands:
            stylized = self._stylize_in_bands(window, at_border=at_border)
        else:
            image = window.to(self.compute_dtype, memory_format=torch.channels_last)
            stylized = self.folded(image, at_border=at_border).float()
        if self.content_share > 0.0:
            stylized = stylized.lerp(window.float(), self.content_share)
        return stylized

    def _band_rows(self, width: int) -> int:
        pixels = BAND_PIXELS * torch.float32.itemsize // self.compute_dtype.itemsize
        return max(LEAST_BAND_ROWS, pixels // width)

    def _stylize_in_bands(self, window: Tensor, *, at_border: bool) -> Tensor:
        assert isinstance(self.folded, RowLayer)
        stylized = torch.empty(window.shape, memory_format=torch.channels_last)
        bands = (
            band.to(torch.float32, memory_format=torch.channels_last)
            for band in bands_of(window, self._band_rows(window.shape[3]))
        )
        top = 0
        for band in self.folded.rows(bands, at_border=at_border):
            stylized[:, :, top : top + band.shape[2]] = band
            top += band.shape[2]
        return stylized


@dataclass(frozen=True)
class Backbone:
    """A network with its weights, ready for use and never changed by it.

    Attributes:
        network: float32, in evaluation mode, without gradients.
        fingerprint: of its weights, see :func:`urst_core.weights.loading.fingerprint`.
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
        self, styles: Sequence[Tensor | str] = (), weights: Sequence[float] | None = None
    ) -> StyleCode:
        """Encode one style or a mixture of several.

        Args:
            styles: pictures, each (1, 3, H, W), 0..1, of any sizes; or names of styles inside the
                weights, and none where there is one only.
            weights: share of each, >= 0, brought to a sum of 1; equal when not given.

        Raises:
            ShapeError: a style is smaller than the network can take.
            SettingsError: the network has no such styles, or the weights do not fit them.
        """
        names = self.network.style_names
        if not styles and len(names) == 1:
            styles = names
        if not styles:
            choice = f"name one of: {', '.join(names)}" if names else "give a picture"
            raise SettingsError(f"{self.traits.title} needs a style; {choice}")
        with torch.inference_mode():
            codes = [self._encode_one(style) for style in styles]
            return blend(codes, weights if weights is not None else [1.0] * len(codes))

    def _encode_one(self, style: Tensor | str) -> StyleCode:
        names = self.network.style_names
        if isinstance(style, str):
            if names and style not in names:
                raise SettingsError(
                    f"{self.traits.title} has no style {style!r}; use one of: {', '.join(names)}"
                )
            return self.network.named_style_code(style)
        if not names:
            self._check_style(style)
        return self.network.style_code(style.to(self.device))

    def collect(
        self, thumbnail: Tensor, code: StyleCode, *, strength: float = 1.0
    ) -> ThumbnailStats:
        """Measure the statistics that all tiles share, in one pass as far as the last site.

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
            stages = self.network.stages(self._framed(thumbnail), code)
            sites = measure_sites(stages, self.network.site_names)
        return self.stats(code, sites, strength=strength)

    def code_for(self, thumbnail: Tensor, code: StyleCode, *, strength: float) -> StyleCode:
        """Blend a style's code with the content's own, which a strength below 1 leans to.

        Networks with their styles inside know no code of the content: there the style stays.

        Raises:
            SettingsError: the strength is out of range.
        """
        check_strength(strength)
        if strength == 1.0 or self.network.style_names:
            return code
        own = self.encode_style([self._framed(thumbnail)])
        return blend([own, code], [1.0 - strength, strength])

    def stats(
        self, code: StyleCode, sites: Mapping[str, SiteStats], *, strength: float
    ) -> ThumbnailStats:
        """Statistics measured elsewhere, bound to this backbone."""
        return ThumbnailStats(self.traits.name, self.fingerprint, code, dict(sites), strength)

    def content_share(self, strength: float) -> float:
        """Share of the untouched content in each result pixel.

        No network of the field reproduces its input exactly, not even with the input's own style
        code. Where codes are blended, the square of 1 - strength returns the content at strength 0
        and lets the network speak early; elsewhere the content is all that can be mixed in.
        """
        return 1.0 - strength if self.network.style_names else (1.0 - strength) ** 2

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
            sites = {name: stats.clone() for name, stats in here.sites.items()}
            folded = self.network.fold(cloned, sites)
        network = TileNetwork(folded, content_share=self.content_share(stats.strength))
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
    # Not F.pad, which knows no 16-bit integers.
    if below:
        image = torch.cat([image, image[..., -1:, :].expand(-1, -1, below, -1)], dim=-2)
    if beside:
        image = torch.cat([image, image[..., -1:].expand(-1, -1, -1, beside)], dim=-1)
    return image
