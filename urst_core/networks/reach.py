"""How far a pixel's influence reaches through layers, and the resulting halo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..geometry import round_up


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with an odd ``kernel``, padded by half of it."""

    kernel: int
    stride: int = 1

    def inputs_of(self, first: int, last: int) -> tuple[int, int]:
        reach = self.kernel // 2
        return first * self.stride - reach, last * self.stride + reach


@dataclass(frozen=True, slots=True)
class Pooling:
    """A pooling over ``factor`` x ``factor`` px without overlap."""

    factor: int = 2

    def inputs_of(self, first: int, last: int) -> tuple[int, int]:
        return first * self.factor, last * self.factor + self.factor - 1


@dataclass(frozen=True, slots=True)
class NearestUpsampling:
    """Each pixel becomes ``factor`` x ``factor`` px."""

    factor: int = 2

    def inputs_of(self, first: int, last: int) -> tuple[int, int]:
        return first // self.factor, last // self.factor


@dataclass(frozen=True, slots=True)
class BilinearUpsampling:
    """Twice the size, half-pixel centers: output 2i mixes i - 1 and i, 2i + 1 mixes i and i + 1."""

    factor: ClassVar[int] = 2

    def inputs_of(self, first: int, last: int) -> tuple[int, int]:
        return (first - 1) // 2, (last + 1) // 2


Layer = Convolution | Pooling | NearestUpsampling | BilinearUpsampling


def influence_radius(layers: Sequence[Layer], *, stride: int) -> int:
    """How far outside a core an input pixel can still change the core, in px.

    Walks backward through the layers from the outputs of one aligned block of ``stride`` px, since
    cores consist of such blocks. Branches parallel to a longer one need not be listed.
    """
    first, last = 0, stride - 1
    for layer in reversed(layers):
        first, last = layer.inputs_of(first, last)
    return max(-first, last - (stride - 1))


def halo_of(layers: Sequence[Layer], *, stride: int) -> int:
    """The smallest halo, in whole strides, that covers the influence radius."""
    return round_up(influence_radius(layers, stride=stride), stride)


def halo_behind_features(layers: Sequence[Layer], *, stride: int, scale: int | None = None) -> int:
    """The halo of a network's last layers, in px of the picture.

    Args:
        layers: the layers behind features.
        stride: of the network.
        scale: how many px of the picture one of the features is; ``stride`` if None.

    Example:
        >>> halo_behind_features([Convolution(3), NearestUpsampling(4)], stride=4)
        4
    """
    return halo_of([Pooling(scale or stride), *layers], stride=stride)


def halos_at_upsamplings(layers: Sequence[Layer], *, stride: int) -> Iterator[int]:
    """For each upsampling of a network, the halo of the features before it, in px of the picture.

    Args:
        layers: all of the network.
        stride: of the network.

    Example:
        >>> decoder = [NearestUpsampling(), Convolution(3), NearestUpsampling(), Convolution(9)]
        >>> list(halos_at_upsamplings([Convolution(3), Pooling(4), *decoder], stride=4))
        [8, 4]
    """
    scale = 1
    for index, layer in enumerate(layers):
        match layer:
            case Convolution(stride=factor) | Pooling(factor=factor):
                scale *= factor
            case NearestUpsampling() | BilinearUpsampling():
                yield halo_behind_features(layers[index:], stride=stride, scale=scale)
                scale //= layer.factor
