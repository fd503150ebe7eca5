"""MetaNets: a network that generates a network for each style (Shen, Yan and Zeng, CVPR 2018).

Statistics of a style become a hidden vector, and each part of it the weights of one convolution of
a small image transformation network. The generated network is Johnson's, in the layout of
:class:`~urst_core.backbones.johnson.JohnsonExamples`, and can be saved and shared as one.

Sizes are those of shenfalong/styletransfer: three widths, 1,792 hidden values, 128 for each of the
14 generated convolutions; the first and the last convolution are shared by all styles. Its weights
are not available, and these points differ:

- The statistics are of the normalized VGG-19, which this project uses elsewhere, at relu1_1 to
  relu4_1; there of a VGG-16 at relu1_2 to relu4_3. Both have 1,920 values.
- Padding is by reflection, and upsampling is nearest, before 3 x 3 convolutions; there the picture
  is padded once, by 40 px, and the convolutions behind upsampling are transposed ones of 4 x 4.
- Scales and shifts of the normalizations are generated, too; there normalizations have neither.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..networks.layers.banded import RowLayer
from ..networks.layers.normalized import AffineSite
from ..networks.network import StylizationNetwork, Traits
from ..networks.sites import Stages, measure_features
from ..networks.statistics import ChannelStats, SiteStats
from ..networks.style import StyleCode
from .johnson import JohnsonExamples
from .style_statistics import VALUES, StyleStatistics

WIDTHS = (8, 16, 32)
"""Channels of the first layer of the generated network, for each of the three sizes."""

SHARE = 128
"""Hidden values for each generated convolution."""

SHARED = ("conv1", "deconv3")
"""The convolutions that are the same for all styles."""

SMALL = 0.1
"""Factor of the initial weights that depend on the style: generated networks begin alike."""


class MetaNet(StylizationNetwork):
    """A generator of Johnson networks, with thumbnail statistics at their normalizations.

    Args:
        width: channels of the generated network's first layer, usually one of :data:`WIDTHS`.
    """

    traits: Traits = replace(
        JohnsonExamples.traits,
        name="metanet",
        title="MetaNet",
        half_precision=(),
        license="Apache-2.0",
        paper="arXiv:1709.04111",
    )
    site_names: tuple[str, ...] = JohnsonExamples.site_names

    def __init__(self, width: int = WIDTHS[0]) -> None:
        super().__init__()
        self.style = StyleStatistics()
        self.shared = JohnsonExamples(width)
        convolutions = _generated_convolutions(self.shared)
        norms = [m for m in self.shared.modules() if isinstance(m, AffineSite)]
        self._layers = tuple((name, layer.weight.shape) for name, layer in convolutions)
        self._norm_sizes = [norm.weight.numel() for norm in norms]
        self.hidden = nn.Linear(VALUES, SHARE * len(self._layers))
        self.weights = nn.ModuleDict(
            {_key(name): _generator(layer.weight) for name, layer in convolutions}
        )
        self.norms = nn.Linear(SHARE * len(self._layers), 2 * sum(self._norm_sizes))
        _begin_as_plain(self.norms)
        for _, layer in convolutions:
            del layer.weight
            layer.register_parameter("bias", None)  # the normalization would subtract it
        for norm in norms:
            del norm.weight, norm.bias

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        first = state.get("shared.conv1.conv2d.weight")
        # An empty layer is refused by its shape, like other damage.
        return cls() if first is None or first.ndim != 4 else cls(max(first.shape[0], 1))

    def style_code(self, style: Tensor) -> StyleCode:
        return self.codes(style, measure_features)

    def codes(self, styles: Tensor, measure: Callable[[Tensor], ChannelStats]) -> StyleCode:
        """The hidden vectors of (N, 3, H, W) styles; mixtures of them are styles, too."""
        return self.codes_of(self.style.statistics(styles, measure))

    def codes_of(self, statistics: Tensor) -> StyleCode:
        """The hidden vectors, (N, 1792), for (N, 1920) statistics of styles."""
        return StyleCode({"hidden": self.hidden(statistics)})

    def generate(self, code: StyleCode) -> JohnsonExamples:
        """The network for one style; gradients flow back through its parameters."""
        (network,) = self.generate_each(code)
        return network

    def generate_each(self, codes: StyleCode) -> list[JohnsonExamples]:
        """The networks for (N, 1792) hidden vectors; large layers run once for all of them."""
        hidden = codes.tensors["hidden"]
        parts = zip(self._layers, hidden.split(SHARE, dim=1), strict=True)
        weights = [self.weights[_key(name)](part) for (name, _), part in parts]
        norms = self.norms(hidden)
        return [
            self._network([each[index] for each in weights], norms[index])
            for index in range(len(hidden))
        ]

    def _network(self, weights: Sequence[Tensor], norms: Tensor) -> JohnsonExamples:
        """The network of these generated weights, one (numel,) per layer, and scales and shifts."""
        network = copy.deepcopy(self.shared)
        for name in SHARED:
            for ours, theirs in zip(
                self.shared.get_submodule(name).modules(), network.get_submodule(name).modules()
            ):
                for leaf, value in ours.named_parameters(recurse=False):
                    setattr(theirs, leaf, value)
        for (name, shape), weight in zip(self._layers, weights, strict=True):
            network.get_submodule(name).weight = weight.view(shape)
        sites = [module for module in network.modules() if isinstance(module, AffineSite)]
        for leaf, values in zip(("weight", "bias"), norms.chunk(2)):
            for site, value in zip(sites, values.split(self._norm_sizes), strict=True):
                setattr(site, leaf, value)
        return network

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        return (yield from self.generate(code).stages(image, StyleCode({})))

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        return self.generate(code).fold(StyleCode({}), sites)


def generated_state(network: JohnsonExamples) -> dict[str, Tensor]:
    """The parameters of a generated network, as :class:`JohnsonExamples` loads them."""
    state: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            bias = module.bias
            state[f"{name}.weight"] = module.weight
            state[f"{name}.bias"] = (
                module.weight.new_zeros(module.out_channels) if bias is None else bias
            )
        elif isinstance(module, AffineSite):
            state[f"{name}.weight"], state[f"{name}.bias"] = module.weight, module.bias
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _key(name: str) -> str:
    """The name of the layer that generates a convolution; module names have no dots."""
    return name.removesuffix(".conv2d").replace(".", "_")


def _generated_convolutions(network: JohnsonExamples) -> list[tuple[str, nn.Conv2d]]:
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not name.startswith(SHARED)
    ]


def _generator(weight: Tensor) -> nn.Linear:
    """The layer that generates a convolution's weights; its bias is an ordinary first guess."""
    layer = nn.Linear(SHARE, weight.numel())
    with torch.no_grad():
        layer.weight.mul_(SMALL)
        layer.bias.copy_(weight.flatten())
    return layer


def _begin_as_plain(norms: nn.Linear) -> None:
    """Begin with scales near 1 and shifts near 0."""
    with torch.no_grad():
        norms.weight.mul_(SMALL)
        scales, shifts = norms.bias.chunk(2)
        scales.fill_(1.0)
        shifts.zero_()
