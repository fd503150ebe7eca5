"""The contract of a backbone: style code, statistics, tile network.

A :class:`StylizationNetwork` is one published network, written once. A :class:`Backbone` is such
a network with its weights, and what the rest of the project works with::

    code    = backbone.encode_style(styles)
    stats   = backbone.collect(thumbnail, code)       # once, a few KB, saved and passed around
    network = backbone.bake(stats)                    # convolutions, ReLUs, resampling
    pixels  = network(window)                         # many, independent
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

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
    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        """The same network with the statistics folded into its convolutions.

        The layer is called with a window, (N, 3, H, W), H and W multiples of the stride, and
        ``at_border``; it must neither change nor share its parameters with this network.
        """
