"""Conditional instance normalization (Dumoulin et al., ICLR 2017, arXiv:1610.07629).

One feed-forward network for a bank of styles: a style is the scale (gamma) and shift (beta) of
every normalization, and mixtures of styles are mixtures of these. Published weights have six
residual blocks (the paper has five) and fewer channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ..networks.folding import fold_output, kernel_of
from ..networks.layers.banded import RowLayer, RowSequence
from ..networks.layers.convolutions import OutputConvolution
from ..networks.layers.elementwise import Sigmoid
from ..networks.layers.local import with_local
from ..networks.layers.normalized import NormalizedConvolution, Part, StyledSite, through
from ..networks.network import StylizationNetwork, Traits
from ..networks.sites import Stages
from ..networks.statistics import ChannelMoments, SiteStats
from ..networks.style import StyleCode
from .johnson import folded_parts, johnson_layout, layers_of
from .style_banks import STYLE_BANKS, numbered_styles

RESIDUAL_BLOCKS = 6
STYLES = 26
WIDTHS = (32, 32, 32, 8, 4)
"""Channels of the convolutions, except for the output."""

SIZED_LAYERS = (
    *(f"contract.conv{number}" for number in (1, 2, 3)),
    *(f"expand.conv{number}.conv" for number in (1, 2)),
)
"""Parameter names of the layers with these channels."""

SITES = (
    *(f"contract.conv{number}" for number in (1, 2, 3)),
    *(
        f"residual.residual{block}.conv{number}"
        for block in range(1, RESIDUAL_BLOCKS + 1)
        for number in (1, 2)
    ),
    *(f"expand.conv{number}" for number in (1, 2, 3)),
)


class ConditionalConvolution(nn.Conv2d):
    """A convolution without bias, with the scales and shifts of its normalization, (styles, C)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, styles: int
    ) -> None:
        padding = kernel // 2
        super().__init__(
            inputs, outputs, kernel, stride, padding=padding, bias=False, padding_mode="reflect"
        )
        self.gamma = nn.Parameter(torch.ones(styles, outputs))
        self.beta = nn.Parameter(torch.zeros(styles, outputs))


class ConditionalNormalization(StylizationNetwork):
    """A bank of styles with thumbnail statistics at every normalization.

    Args:
        styles: number of styles in the bank.
        widths: numbers of channels, as in :data:`WIDTHS`.
    """

    traits: Traits = Traits(
        name="cin",
        title="Conditional instance normalization",
        stride=4,
        layers=layers_of(RESIDUAL_BLOCKS),
        minimum=8,
        bytes_per_pixel=900,
        tile_bytes_per_pixel=110,
        # Not bfloat16: difficult styles such as number 3 lose too much (44.7 dB).
        half_precision=(torch.float16,),
        license="MIT",
        paper="arXiv:1610.07629",
    )
    site_names: tuple[str, ...] = SITES
    style_names: tuple[str, ...] = numbered_styles(STYLES)

    def __init__(self, styles: int = STYLES, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        first, second, inner, fourth, fifth = widths
        convolution = partial(ConditionalConvolution, styles=styles)
        contract = {
            "conv1": convolution(3, first, 9),
            "conv2": convolution(first, second, 3, 2),
            "conv3": convolution(second, inner, 3, 2),
        }
        residual = {
            f"residual{block}": nn.ModuleDict(
                {name: convolution(inner, inner, 3) for name in ("conv1", "conv2")}
            )
            for block in range(1, RESIDUAL_BLOCKS + 1)
        }
        expand = {
            "conv1": convolution(inner, fourth, 3),
            "conv2": convolution(fourth, fifth, 3),
            "conv3": convolution(fifth, 3, 9),
        }
        self.transformer = nn.ModuleDict(
            {
                "contract": nn.ModuleDict(contract),
                "residual": nn.ModuleDict(residual),
                "expand": nn.ModuleDict(
                    {name: nn.ModuleDict({"conv": layer}) for name, layer in expand.items()}
                ),
            }
        )
        self.style_names = numbered_styles(styles)

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        bank = state.get(STYLE_BANKS["cin"])
        layers = [state.get(f"transformer.{name}.weight") for name in SIZED_LAYERS]
        widths = [layer.shape[0] for layer in layers if layer is not None and layer.ndim == 4]
        if bank is None or bank.ndim != 2 or len(widths) != len(WIDTHS) or 0 in widths:
            return cls()
        # An empty bank is refused by its shapes, like other damage.
        return cls(max(bank.shape[0], 1), widths)

    def named_style_code(self, name: str) -> StyleCode:
        row = self.style_names.index(name)
        code: dict[str, Tensor] = {}
        for site, layer in self._layers():
            code[f"{site}.gamma"] = layer.gamma[row]
            code[f"{site}.beta"] = layer.beta[row]
        return StyleCode(code)

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        parts, picture = self._parts(code)
        features = yield from through(parts, image)
        return torch.sigmoid((yield from picture.stages(features)))

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        parts, picture = self._parts(code)
        kernel = fold_output(kernel_of(picture.convolution), *picture.normalization.affine(sites))
        local = picture.normalization.local(sites)
        return RowSequence(
            [
                *folded_parts(parts, sites, self.traits),
                *with_local(lambda _: OutputConvolution(kernel), local, relu=False),
                Sigmoid(),
            ]
        )

    def _layers(self) -> list[tuple[str, ConditionalConvolution]]:
        layers = (layer for layer in self.modules() if isinstance(layer, ConditionalConvolution))
        return list(zip(SITES, layers))

    def _parts(self, code: StyleCode) -> tuple[Sequence[Part], NormalizedConvolution]:
        """All parts before the output layer, and that layer."""
        *layers, picture = (
            NormalizedConvolution(
                layer,
                StyledSite(
                    site,
                    code.tensors[f"{site}.gamma"],
                    code.tensors[f"{site}.beta"],
                    partial(ChannelMoments, unbiased=False),
                ),
            )
            for site, layer in self._layers()
        )
        return johnson_layout(layers), replace(picture, relu=False)
