"""Base class of stylization networks: style code, statistics, tile network.

A :class:`StylizationNetwork` is one published network, written once. A :class:`Backbone` is such
a network with its weights; the rest of the project uses it like this::

    code    = backbone.encode_style(styles)
    stats   = backbone.collect(thumbnail, code)       # once, a few KB
    network = backbone.bake(stats)                    # convolutions, ReLUs, resampling
    pixels  = network(window)                         # many, independent
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from ..geometry import Size, frame_size
from .layers.banded import RowLayer
from .reach import Layer, halo_of
from .sites import Stages
from .statistics import SiteStats
from .style import StyleCode


@dataclass(frozen=True)
class Traits:
    """Properties of a network that callers rely on.

    Attributes:
        name: identifier in settings, files and on the command line.
        title: name as its authors write it.
        stride: total downsampling; tile edges are multiples of it.
        layers: the longest chain of layers, from which the halo is derived.
        minimum: smallest height and width of an input, in px.
        bytes_per_pixel: peak memory of a float32 pass per window pixel, the larger of a tile and a
            statistics pass, as measured by ``benchmarks/memory.py``.
        tile_bytes_per_pixel: the same for a tile on a CPU, which works in bands of rows, measured
            at an edge of 2048 px, or 1024 where that takes minutes; ``bytes_per_pixel`` if None.
        half_precision: half-precision formats that are accurate enough on real pictures (also tried
            for each picture).
        matches: what of the style's features the network can take: ``moments``, ``distribution``.
        has_channel_moments: whether all sites are measured by mean and deviation of each channel,
            which may vary over the picture.
        license: license of the published code and weights.
        paper: reference of the method.
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
    tile_bytes_per_pixel: int | None = None
    matches: tuple[str, ...] = ("moments",)
    has_channel_moments: bool = True

    @property
    def halo(self) -> int:
        """Context that makes tiles exact, in px, a multiple of the stride."""
        return halo_of(self.layers, stride=self.stride)

    def frame_of(self, image: Size) -> Size:
        """The size of an image after padding."""
        return frame_size(image, stride=self.stride, minimum=self.minimum)


class StylizationNetwork(nn.Module, ABC):
    """One published network under its published parameter names. Pictures are (1, 3, H, W), 0..1.

    Each network handles the scale, channel order and normalization that it was trained with.
    It overrides either ``style_code`` (styles are pictures) or ``named_style_code`` (styles are
    built in, and listed in ``style_names``).
    """

    traits: Traits
    site_names: tuple[str, ...]
    style_names: tuple[str, ...] = ()
    """Names of the built-in styles; empty if any picture can be the style."""
    ignored_weights: tuple[str, ...] = ()
    """Prefixes of parameters in published files that the network does not use."""

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        """Create a network of the size of the weights; most networks have only one."""
        del state
        return cls()

    def style_code(self, style: Tensor) -> StyleCode:
        """Encode one style picture, at least ``traits.minimum`` px on each side."""
        del style
        raise SettingsError(
            f"{self.traits.title} takes no style picture, its styles are built in; "
            f"name one of: {', '.join(self.style_names)}"
        )

    def distribution_code(self, style: Tensor) -> StyleCode:
        """As :meth:`style_code`, of the distributions of features; see :mod:`.quantiles`."""
        raise NotImplementedError

    def named_style_code(self, name: str) -> StyleCode:
        """The code of a built-in style.

        Raises:
            SettingsError: there is no style of that name.
        """
        raise SettingsError(f"{self.traits.title} has no built-in style {name!r}; give a picture")

    @abstractmethod
    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        """Stylize an image, yielding each site on the way; see :mod:`urst_core.networks.sites`."""

    def content_features(self, image: Tensor) -> Tensor:
        """What :meth:`stages` computes before it needs the style; the image itself by default.

        Several styles share it when the statistics of one image are measured for each of them.
        """
        return image

    def stages_from(self, features: Tensor, code: StyleCode) -> Stages:
        """The rest of :meth:`stages`, from the :meth:`content_features` of the image."""
        return self.stages(features, code)

    def for_measuring(self) -> StylizationNetwork:
        """A copy, with the same weights, that encodes and measures faster on a CPU; or itself.

        Its results differ by rounding only. It has no gradients.
        """
        return self

    @abstractmethod
    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        """The same network with the statistics folded into its convolutions.

        The layer is called with a window, (N, 3, H, W), H and W multiples of the stride, and
        ``at_border``; it must neither change nor share its parameters with this network.
        """


class ContentEncodingNetwork(StylizationNetwork):
    """A network whose first half depends on the content only, so that several styles share it."""

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        return (yield from self.stages_from(self.content_features(image), code))

    @abstractmethod
    def content_features(self, image: Tensor) -> Tensor: ...

    @abstractmethod
    def stages_from(self, features: Tensor, code: StyleCode) -> Stages: ...


Module = TypeVar("Module", bound=nn.Module)


def share_weights(network: Module) -> Module:
    """A copy whose submodules may be replaced; weights and buffers are the same tensors."""
    weights = chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(each): each for each in weights})
