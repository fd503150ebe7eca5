"""MicroAST (Wang et al., AAAI 2023, arXiv:2211.15313): micro encoders and dual modulation.

Parameters have their published names. The published ``alpha`` mixes features with their stylized
version, which breaks pictures between 0 and 1; here strength blends style codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.folding import (
    Kernel,
    add_identity,
    equalize_channels,
    fold_blur,
    fold_blurred_upsampling,
    fold_output,
    kernel_of,
)
from ..networks.layers.banded import (
    InBands,
    RowLayer,
    RowSequence,
    StyledSequence,
    Trimming,
)
from ..networks.layers.convolutions import (
    BilinearUpsampledConvolution,
    BlurredUpsampledConvolution,
    OutputConvolution,
    TileConvolution,
)
from ..networks.layers.elementwise import Residual
from ..networks.layers.local import local_layers
from ..networks.network import (
    ContentEncodingNetwork,
    StylizationNetwork,
    Traits,
    share_weights,
)
from ..networks.reach import BilinearUpsampling, Convolution, Layer, halo_behind_features
from ..networks.sites import Site, Stages, measure_features
from ..networks.statistics import ChannelStats, SiteStats, stats_at, widened
from ..networks.style import StyleCode

CHANNELS = 64

SITES = ("dec1", "dec2")
"""Names of the modulated blocks, and of the sites before them."""

CONTENT_LAYERS: tuple[Layer, ...] = (
    Convolution(9),
    Convolution(3, stride=2),
    Convolution(3, stride=2),
    *[Convolution(3)] * 2,  # the first residual block of the encoder
)

STYLED_LAYERS: tuple[Layer, ...] = (
    *[Convolution(3)] * 6,  # the other one, and the two of the decoder
    *[BilinearUpsampling(), Convolution(3)] * 2,
    Convolution(9),
)

EXTENDED_STYLED_LAYERS: tuple[Layer, ...] = (
    *[Convolution(3)] * 6,
    # An extra block before each upsampling, and a blur behind it.
    *[Convolution(3), BilinearUpsampling(), Convolution(3), Convolution(3)] * 2,
    Convolution(9),
)

BLURRED_CONTENT_LAYERS: tuple[Layer, ...] = (
    Convolution(9),
    *[Convolution(3), Convolution(3, stride=2)] * 2,  # a blur before each strided convolution
    *[Convolution(3)] * 2,
)

BLURRED_STYLED_LAYERS: tuple[Layer, ...] = (
    *[Convolution(3)] * 6,
    *[BilinearUpsampling(), Convolution(3), Convolution(3)] * 2,  # a blur behind each enlargement
    Convolution(9),
)

BLUR = (0.25, 0.5, 0.25)
"""Taps of the blur along each axis."""


class PaddedConvolution(nn.Module):
    """A convolution with reflection padding, ``conv_layer``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            padding_mode="reflect",
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.conv_layer(features)

    @property
    def kernel(self) -> Kernel:
        return kernel_of(self.conv_layer)

    def for_tiles(self, *, relu: bool, keep_float32: bool = False) -> TileConvolution:
        layer = self.conv_layer
        return TileConvolution(
            self.kernel,
            stride=layer.stride[0],
            groups=layer.groups,
            relu=relu,
            keep_float32=keep_float32,
        )


class BlurredConvolution(PaddedConvolution):
    """A blur followed by a convolution; ``blur`` has its taps along each axis, (3,)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups)
        self.register_buffer("blur", torch.tensor(BLUR))

    @property
    def taps(self) -> Tensor:
        return self.get_buffer("blur")

    def forward(self, features: Tensor) -> Tensor:
        weight, bias = (part.to(features) for part in self.kernel)
        padded = F.pad(features, (weight.shape[-1] // 2,) * 4, mode="reflect")
        layer = self.conv_layer
        return F.conv2d(padded, weight, bias, layer.stride, groups=layer.groups)

    @property
    def kernel(self) -> Kernel:
        return fold_blur(self.taps, kernel_of(self.conv_layer))


class BlurredUpsampling(BlurredConvolution):
    """Bilinear upsampling to twice the size, the blur, and the convolution.

    Padding repeats the outermost pixels before upsampling.
    """

    def forward(self, features: Tensor) -> Tensor:
        weight, bias = (part.to(features) for part in self.kernel)
        padded = F.pad(features, (2,) * 4, mode="replicate")
        blocks = F.conv2d(padded, weight, bias, groups=self.conv_layer.groups)
        return F.pixel_shuffle(blocks, 2)

    @property
    def kernel(self) -> Kernel:
        return fold_blurred_upsampling(self.taps, kernel_of(self.conv_layer))

    def upsampled_for_tiles(self, *, relu: bool) -> BlurredUpsampledConvolution:
        layer = self.conv_layer
        return BlurredUpsampledConvolution(
            kernel_of(layer), self.taps, groups=layer.groups, relu=relu
        )


class ResidualBlock(nn.Module):
    """A residual block of two convolutions, optionally modulated by a style's filter signals."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = PaddedConvolution(CHANNELS, CHANNELS, 3)
        self.conv2 = PaddedConvolution(CHANNELS, CHANNELS, 3)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv2(F.relu(self.conv1(features)))

    def modulated(self, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Filter modulation (section 3.2): ``weight * conv(x) + bias * x``, twice."""
        inner = F.relu(weight * self.conv1(features) + bias * features)
        return features + weight * self.conv2(inner) + bias * inner

    def kernels(self) -> tuple[Kernel, Kernel]:
        return self.conv1.kernel, self.conv2.kernel

    def modulated_kernels(self, weight: Tensor, bias: Tensor) -> tuple[Kernel, Kernel]:
        """Both convolutions with the filter modulation, (C,) each, folded into them."""
        zero = torch.zeros_like(bias)
        first, second = (
            add_identity(fold_output(kernel, weight, zero), bias) for kernel in self.kernels()
        )
        return first, second


class ModulatedInBands(nn.Module):
    """A residual block that is only modulated, as a CPU computes it fastest, without gradients."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block = block

    def modulated(self, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        kernels = self.block.modulated_kernels(weight.flatten(), bias.flatten())
        return InBands(self.block, [folded_block(kernels)])(features)


class Encoder(nn.Module):
    """Features at a quarter of the size, after the first and after the second residual block.

    Args:
        blurred: whether a blur precedes each strided convolution.
    """

    def __init__(self, *, blurred: bool = False) -> None:
        super().__init__()
        strided = BlurredConvolution if blurred else PaddedConvolution
        self.enc1 = nn.Sequential(
            PaddedConvolution(3, 16, 9),
            nn.ReLU(),
            strided(16, 32, 3, stride=2, groups=16),
            nn.ReLU(),
            PaddedConvolution(32, 32, 1),
            nn.ReLU(),
            strided(32, 64, 3, stride=2, groups=32),
            nn.ReLU(),
            PaddedConvolution(64, 64, 1),
            nn.ReLU(),
            ResidualBlock(),
        )
        self.enc2 = nn.Sequential(ResidualBlock())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.enc1(image)
        return shallow, self.enc2(shallow)

    def start(self) -> list[PaddedConvolution]:
        """The layers before the residual blocks; a ReLU follows each of them."""
        return [layer for layer in self.enc1 if isinstance(layer, PaddedConvolution)]

    def blocks(self) -> list[ResidualBlock]:
        return [block for block in self.modules() if isinstance(block, ResidualBlock)]

    def compute_in_bands(self) -> None:
        """Replace the parts by those that a CPU computes fastest, without gradients."""
        first, second = (folded_block(block.kernels()) for block in self.blocks())
        start = [layer.for_tiles(relu=True) for layer in self.start()]
        self.add_module("enc1", InBands(self.enc1, [*start, first]))
        self.add_module("enc2", InBands(self.enc2, [second]))


class Modulator(nn.Module):
    """Maps style features to the filter weights and biases of the two modulated blocks."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("weight1", "bias1", "weight2", "bias2"):
            depthwise = PaddedConvolution(CHANNELS, CHANNELS, 3, groups=CHANNELS)
            self.add_module(name, nn.Sequential(depthwise, nn.AdaptiveAvgPool2d(1)))


class ExtraBlock(nn.Module):
    """``x + gather(relu(weight * spread(x) + bias))``, a residual block in the style's own way.

    ``spread`` is a 3 x 3 convolution to twice the channels, ``gather`` a pointwise one back. Weight
    and bias of each hidden channel are predicted from the style's means and deviations. Untrained,
    it changes nothing.

    Args:
        channels: number of channels of its features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 2 * channels
        self.spread = PaddedConvolution(channels, hidden, 3)
        self.gather = PaddedConvolution(hidden, channels, 1)
        self.signals = nn.Linear(4 * CHANNELS, 2 * hidden)
        for parameter in (*self.gather.parameters(), *self.signals.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, code: StyleCode) -> Tensor:
        weight, bias = (signal[..., None, None] for signal in self.modulation(code))
        hidden = F.relu(weight * self.spread(features) + bias)
        return features + self.gather(hidden)

    def modulation(self, code: StyleCode) -> tuple[Tensor, Tensor]:
        """Weight and bias of the hidden channels, (N, hidden) each."""
        stats = [code.channel_stats(site) for site in SITES]
        signals = [signal.flatten(1) for each in stats for signal in (each.mean, each.std)]
        weight, bias = self.signals(torch.cat(signals, dim=1)).chunk(2, dim=1)
        return 1.0 + weight, bias

    def folded(self, code: StyleCode) -> Residual:
        """With the modulation in its first convolution."""
        weight, bias = (widened(signal[0]) for signal in self.modulation(code))
        return folded_block((fold_output(self.spread.kernel, weight, bias), self.gather.kernel))


def is_of_extra_block(name: str) -> bool:
    """Whether a parameter belongs to an extra block; its name may lack the decoder's prefix."""
    return ".extra" in f".{name}"


class Decoder(nn.Module):
    """Two modulated blocks, then upsampling to full size.

    Args:
        blurred: whether a blur follows each upsampling.
        extended: whether an extra block precedes each upsampling.
    """

    def __init__(self, *, blurred: bool = False, extended: bool = False) -> None:
        super().__init__()
        self.dec1 = ResidualBlock()
        self.dec2 = ResidualBlock()
        enlarged = BlurredUpsampling if blurred else PaddedConvolution

        def upsampling() -> nn.Module:
            # Counted in the numbers of the published names.
            return nn.Identity() if blurred else nn.Upsample(scale_factor=2, mode="bilinear")

        self.dec3 = nn.Sequential(
            upsampling(),
            enlarged(64, 32, 3, groups=32),
            nn.ReLU(),
            PaddedConvolution(32, 32, 1),
            nn.ReLU(),
            upsampling(),
            enlarged(32, 16, 3, groups=16),
            nn.ReLU(),
            PaddedConvolution(16, 16, 1),
            nn.ReLU(),
            PaddedConvolution(16, 3, 9),
        )
        self.extra1 = ExtraBlock(64) if extended else None
        self.extra2 = ExtraBlock(32) if extended else None

    def end(self, features: Tensor, code: StyleCode) -> Tensor:
        """What follows the modulated blocks."""
        for extra, upsampling in self.upsamplings():
            if extra is not None:
                features = extra(features, code)
            for layer in upsampling:
                features = layer(features)
        return self.last(features)

    def upsamplings(self) -> Iterator[tuple[ExtraBlock | None, list[nn.Module]]]:
        """The layers of both upsamplings, each with the extra block before it, if there is one."""
        layers = list(self.dec3)
        yield self.extra1, layers[:5]
        yield self.extra2, layers[5:10]

    @property
    def last(self) -> PaddedConvolution:
        """The layer whose result is the picture."""
        last = self.dec3[-1]
        assert isinstance(last, PaddedConvolution)
        return last


class MicroAST(ContentEncodingNetwork):
    """MicroAST with thumbnail statistics before each of the decoder's two modulated blocks.

    The published network leaves a grid of period 4 in flat areas: its strided convolutions alias,
    and bilinear upsampling does not remove all frequencies above the limit. The blurred variant has
    a [1 2 1] blur before each strided convolution of the content encoder and after each upsampling
    (Zhang 2019, arXiv:1904.11486, blurs before striding). Its weights files have the blurs' taps
    under names that end in ``.blur``; all other names are the published ones.

    The extended variant has blurs, too, and a residual block before each upsampling, modulated by
    signals that are predicted from the style's statistics: a third more operations, for features
    that the two light upsamplings of the published network cannot paint.

    Args:
        blurred: whether to create the variant without a grid.
        extended: whether to create that with two more blocks.
    """

    traits: Traits = Traits(
        name="microast",
        title="MicroAST",
        stride=4,
        layers=(*CONTENT_LAYERS, *STYLED_LAYERS),
        minimum=8,
        bytes_per_pixel=560,
        tile_bytes_per_pixel=90,
        half_precision=(torch.float16, torch.bfloat16),
        license="MIT",
        paper="arXiv:2211.15313",
    )
    site_names: tuple[str, ...] = SITES

    def __init__(self, *, blurred: bool = False, extended: bool = False) -> None:
        super().__init__()
        blurred = blurred or extended
        self.content_encoder = Encoder(blurred=blurred)
        self.style_encoder = Encoder()
        self.modulator = Modulator()
        self.decoder = Decoder(blurred=blurred, extended=extended)
        self._styled_layers = STYLED_LAYERS
        if blurred:
            self._styled_layers = EXTENDED_STYLED_LAYERS if extended else BLURRED_STYLED_LAYERS
            layers = (*BLURRED_CONTENT_LAYERS, *self._styled_layers)
            self.traits = replace(type(self).traits, layers=layers)
        if extended:
            self.traits = replace(self.traits, tile_bytes_per_pixel=115)

    @classmethod
    def for_weights(cls, state: Mapping[str, Tensor]) -> StylizationNetwork:
        return cls(
            blurred=any(name.endswith(".blur") for name in state),
            extended=any(map(is_of_extra_block, state)),
        )

    def style_code(self, style: Tensor) -> StyleCode:
        return self.style_signals(style, measure_features)

    def style_signals(self, styles: Tensor, measure: Callable[[Tensor], ChannelStats]) -> StyleCode:
        """All modulation signals, (N, C, 1, 1) each, of (N, 3, H, W) styles."""
        shallow, deep = self.style_encoder(styles)
        code: dict[str, Tensor] = {}
        # The published lists go from shallow to deep; the decoder goes from deep to shallow.
        for site, number, features in (("dec1", 2, deep), ("dec2", 1, shallow)):
            stats = measure(features)
            code[f"{site}.mean"], code[f"{site}.std"] = stats.mean, stats.std
            for signal in ("weight", "bias"):
                module = self.modulator.get_submodule(f"{signal}{number}")
                code[f"{site}.{signal}"] = module(features)
        return StyleCode(code)

    def content_features(self, image: Tensor) -> Tensor:
        return self.content_encoder(image)[1]

    def stages_from(self, features: Tensor, code: StyleCode) -> Stages:
        for site, block in self._modulated_blocks():
            target = code.channel_stats(site)
            normalized = yield Site(site, features)
            features = block.modulated(
                normalized * target.std + target.mean,
                code.tensors[f"{site}.weight"],
                code.tensors[f"{site}.bias"],
            )
        return self.decoder.end(features, code)

    def for_measuring(self) -> StylizationNetwork:
        faster = share_weights(self)
        for encoder in (faster.content_encoder, faster.style_encoder):
            encoder.compute_in_bands()
        # The last site is before the other modulated block.
        faster.decoder.add_module("dec1", ModulatedInBands(self.decoder.dec1))
        return faster

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        # Each normalization is folded into the end of the previous block, so that all features
        # between blocks have the style's own range, which fits in half precision.
        stats = {site: stats_at(sites, site, ChannelStats) for site in self.site_names}
        affine = {site: each.affine_to(code.channel_stats(site)) for site, each in stats.items()}
        local = {site: local_layers(each, code.channel_stats(site)) for site, each in stats.items()}
        first, second = self.content_encoder.blocks()
        dec1, dec2 = (
            block.modulated_kernels(
                code.tensors[f"{site}.weight"].flatten(), code.tensors[f"{site}.bias"].flatten()
            )
            for site, block in self._modulated_blocks()
        )
        start = self.content_encoder.start()
        return StyledSequence(
            [
                # Rounding before and in the first strided convolutions is visible at edges.
                *(layer.for_tiles(relu=True, keep_float32=True) for layer in start[:3]),
                *(layer.for_tiles(relu=True) for layer in start[3:]),
                folded_block(first.kernels()),
            ],
            [
                # The summands here nearly cancel, and a normalization then amplifies the sum.
                folded_block(second.kernels(), affine["dec1"], keep_float32=(False, True)),
                *local["dec1"],
                folded_block(dec1, affine["dec2"], keep_float32=(True, True)),
                *local["dec2"],
                folded_block(dec2),
                *self._folded_end(code),
            ],
            halo=halo_behind_features(self._styled_layers, stride=self.traits.stride),
        )

    def _folded_end(self, code: StyleCode) -> Iterator[RowLayer]:
        for number, (extra, upsampling) in enumerate(self.decoder.upsamplings()):
            yield self._trimming(number)
            if extra is not None:
                yield extra.folded(code)
            yield from _folded_upsampling(upsampling)
        yield OutputConvolution(self.decoder.last.kernel)

    def _trimming(self, number: int) -> Trimming:
        """Before one of the upsamplings, or its extra block."""
        upsamplings, last = self._styled_layers[6:-1], self._styled_layers[-1]
        layers = (*upsamplings[number * len(upsamplings) // 2 :], last)
        scale = self.traits.stride // 2**number
        return Trimming(halo_behind_features(layers, stride=self.traits.stride, scale=scale))

    def _modulated_blocks(self) -> tuple[tuple[str, ResidualBlock], ...]:
        return ("dec1", self.decoder.dec1), ("dec2", self.decoder.dec2)


def folded_block(
    kernels: tuple[Kernel, Kernel],
    affine: tuple[Tensor, Tensor] | None = None,
    *,
    keep_float32: tuple[bool, bool] = (False, False),
) -> Residual:
    """``x + second(relu(first(x)))``, optionally followed by an affine map of each channel.

    Args:
        kernels: kernels of the first and the second convolution.
        affine: scale and shift, (C,) each.
        keep_float32: for each convolution, whether it stays in float32.
    """
    first, second = kernels
    if affine is not None:
        second = fold_output(second, *affine)
    first, second = equalize_channels(first, second)
    branch = RowSequence(
        [
            TileConvolution(first, relu=True, keep_float32=keep_float32[0]),
            TileConvolution(second, keep_float32=keep_float32[1]),
        ]
    )
    return Residual(branch, None if affine is None else affine[0])


def _folded_upsampling(layers: Sequence[nn.Module]) -> Iterator[RowLayer]:
    """Upsampling folded into the convolution after it, and the pointwise convolution."""
    upsampling, first, _, pointwise, _ = layers
    assert isinstance(first, PaddedConvolution)
    assert isinstance(pointwise, PaddedConvolution)
    if isinstance(first, BlurredUpsampling):
        yield first.upsampled_for_tiles(relu=True)
    else:
        assert isinstance(upsampling, nn.Upsample)
        groups = first.conv_layer.groups
        yield BilinearUpsampledConvolution(first.kernel, groups=groups, relu=True)
    yield pointwise.for_tiles(relu=True)
