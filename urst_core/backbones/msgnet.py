"""MSG-Net (Zhang and Dana, 2017, arXiv:1703.06953): features matched to a style's Gram matrix.

Parameters have their published names, with 128 channels (``ngf``). Published files contain the
encoder twice, as ``model1.`` and ``model.0.``, and the CoMatch layer twice, as ``ins.`` and
``model.1.``. The published code uses the second of each; the first is ignored.

The published test code resizes each patch's result to the patch's size, which only matters if that
is not a multiple of the stride; here windows always are. It also adds half a gray level before
truncating to integers; here pixels are rounded when they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks import reach
from ..networks.folding import Kernel, fold_output, fold_pointwise, kernel_of
from ..networks.layers.banded import RowLayer, RowSequence, Trimming
from ..networks.layers.convolutions import OutputConvolution, TileConvolution
from ..networks.layers.elementwise import Affine, NearestUpsampling, Residual
from ..networks.layers.local import with_local
from ..networks.layers.normalized import (
    AffineSite,
    ReflectedConvolution,
    Staged,
    name_sites,
    through,
)
from ..networks.network import StylizationNetwork, Traits
from ..networks.reach import Convolution, Layer
from ..networks.sites import Stages, collect
from ..networks.statistics import GramMoments, SiteStats, widened
from ..networks.style import StyleCode

EXPANSION = 4
PLANES = 128
WIDTH = PLANES * EXPANSION
BLOCKS = 6
FULL_SCALE = 255.0
GRAM = "gram"

LAYERS: tuple[Layer, ...] = (
    Convolution(7),
    *[Convolution(3, stride=2)] * 2,
    *[Convolution(3)] * BLOCKS,
    *[reach.NearestUpsampling(), Convolution(3)] * 2,
    Convolution(7),
)


class Bottleneck(nn.Module, Staged):
    """A residual block: 1 x 1, 3 x 3 and 1 x 1 convolution, each after a normalization and a ReLU.

    ``middle`` is the 3 x 3 convolution; if it changes the size, ``residual`` does, too.
    """

    def __init__(
        self,
        inputs: int,
        planes: int,
        middle: ReflectedConvolution,
        residual: nn.Conv2d | ReflectedConvolution | None = None,
    ) -> None:
        super().__init__()
        narrow = nn.Conv2d(inputs, planes, 1)
        wide = nn.Conv2d(planes, planes * EXPANSION, 1)
        norms = AffineSite(inputs), AffineSite(planes), AffineSite(planes)
        self.residual_layer = residual
        self.conv_block = nn.Sequential(
            norms[0], nn.ReLU(), narrow, norms[1], nn.ReLU(), middle, norms[2], nn.ReLU(), wide
        )
        # Tuples refer to the parts without registering them again under other names.
        self.norms = norms
        self.convolutions = narrow, middle, wide

    def stages(self, features: Tensor) -> Stages:
        residual = features if self.residual_layer is None else self.residual_layer(features)
        inner = yield from through(self.conv_block, features)
        return residual + inner

    @property
    def residual_kernel(self) -> Kernel | None:
        """Kernel of the shortcut's 1 x 1 convolution; None if there is none."""
        match self.residual_layer:
            case None:
                return None
            case ReflectedConvolution() as layer:
                return layer.kernel
            case layer:
                return kernel_of(layer)


def _plain_block() -> Bottleneck:
    return Bottleneck(WIDTH, PLANES, ReflectedConvolution(PLANES, PLANES, 3))


def _shrinking_block(inputs: int, planes: int) -> Bottleneck:
    return Bottleneck(
        inputs,
        planes,
        ReflectedConvolution(planes, planes, 3, stride=2),
        nn.Conv2d(inputs, planes * EXPANSION, 1, 2),
    )


def _growing_block(inputs: int, planes: int) -> Bottleneck:
    return Bottleneck(
        inputs,
        planes,
        ReflectedConvolution(planes, planes, 3, upsample=True),
        ReflectedConvolution(inputs, planes * EXPANSION, 1, upsample=True),
    )


class CoMatch(nn.Module):
    """A style-dependent matrix over all channels; ``Inspiration`` in the published code."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, WIDTH, WIDTH))

    def matrix(self, gram: Tensor) -> Tensor:
        """The transpose of weight times Gram matrix, as a convolution's weight, (C, C, 1, 1)."""
        return (self.weight[0] @ gram[0]).T[:, :, None, None]

    def kernel(self, gram: Tensor) -> Kernel:
        """The matrix as a convolution, float64."""
        matrix = (widened(self.weight[0]) @ widened(gram[0])).T[:, :, None, None]
        return matrix, matrix.new_zeros(WIDTH)


class MSGNet(StylizationNetwork):
    """MSG-Net with thumbnail statistics at all of its 32 normalizations."""

    traits: Traits = Traits(
        name="msgnet",
        title="MSG-Net",
        stride=4,
        layers=LAYERS,
        minimum=8,
        bytes_per_pixel=2500,
        tile_bytes_per_pixel=550,
        # The published weights were not available, so half precision is untested.
        half_precision=(),
        license="MIT",
        paper="arXiv:1703.06953",
    )
    ignored_weights: tuple[str, ...] = ("model1.", "ins.")

    def __init__(self) -> None:
        super().__init__()
        encoder = nn.Sequential(
            ReflectedConvolution(3, 64, 7),
            AffineSite(64),
            nn.ReLU(),
            _shrinking_block(64, 32),
            _shrinking_block(128, PLANES),
        )
        self.model = nn.Sequential(
            encoder,
            CoMatch(),
            *[_plain_block() for _ in range(BLOCKS)],
            _growing_block(WIDTH, 32),
            _growing_block(128, 16),
            AffineSite(64),
            nn.ReLU(),
            ReflectedConvolution(64, 3, 7),
        )
        self.site_names = name_sites(self)

    def style_code(self, style: Tensor) -> StyleCode:
        """The style's Gram matrix, (1, 512, 512), normalized by the style's own statistics."""
        _, features = collect(self._encode(style))
        moments = GramMoments()
        moments.add(features)
        # The published matrix is also divided by the number of channels.
        return StyleCode({GRAM: moments.stats().gram / WIDTH})

    def stages(self, image: Tensor, code: StyleCode) -> Stages:
        features = yield from self._encode(image)
        features = F.conv2d(features, self._co_match.matrix(code.tensors[GRAM]))
        picture = yield from through([*self.model][2:], features)
        return picture.flip(1) / FULL_SCALE

    def fold(self, code: StyleCode, sites: Mapping[str, SiteStats]) -> RowLayer:
        encoder, _, *blocks, last_norm, _, last = self.model
        first, first_norm, _, shrinking, match = cast(nn.Sequential, encoder)
        weight, bias = fold_output(
            cast(ReflectedConvolution, first).kernel, *cast(AffineSite, first_norm).affine(sites)
        )
        scale, shift = cast(AffineSite, last_norm).affine(sites)
        *inner_blocks, last_block = (cast(Bottleneck, block) for block in blocks)
        picture = cast(ReflectedConvolution, last).kernel
        start = weight.flip(1) * FULL_SCALE, bias
        halos = reach.halos_at_upsamplings(LAYERS, stride=self.traits.stride)
        last_affine = torch.diag(scale)[:, :, None, None], shift
        return RowSequence(
            [
                *with_local(
                    lambda relu: TileConvolution(start, relu=relu),
                    cast(AffineSite, first_norm).local(sites),
                    relu=True,
                ),
                folded_bottleneck(cast(Bottleneck, shrinking), sites),
                folded_bottleneck(
                    cast(Bottleneck, match), sites, after=self._co_match.kernel(code.tensors[GRAM])
                ),
                *_folded_blocks(inner_blocks, sites, halos),
                Trimming(next(halos)),
                *with_local(
                    lambda relu: folded_bottleneck(last_block, sites, after=last_affine, relu=relu),
                    cast(AffineSite, last_norm).local(sites),
                    relu=True,
                ),
                OutputConvolution(
                    (picture[0].flip(0) / FULL_SCALE, picture[1].flip(0) / FULL_SCALE)
                ),
            ]
        )

    def _encode(self, image: Tensor) -> Stages:
        """The encoder; the network was trained on BGR pictures in 0..255."""
        encoder = cast(nn.Sequential, self.model[0])
        return through(encoder, image.flip(1) * FULL_SCALE)

    @property
    def _co_match(self) -> CoMatch:
        return cast(CoMatch, self.model[1])


def _folded_blocks(
    blocks: Iterable[Bottleneck], sites: Mapping[str, SiteStats], halos: Iterator[int]
) -> Iterator[RowLayer]:
    """Bottlenecks with frozen statistics folded in; before an upsampling the halo is trimmed."""
    for block in blocks:
        _, middle, _ = block.convolutions
        if middle.upsample:
            yield Trimming(next(halos))
        yield folded_bottleneck(block, sites)


def folded_bottleneck(
    block: Bottleneck,
    sites: Mapping[str, SiteStats],
    *,
    after: Kernel | None = None,
    relu: bool = False,
) -> Residual:
    """A bottleneck with frozen statistics folded in.

    Its input is also the residual, so the first normalization stays a separate layer.

    Args:
        block: the bottleneck.
        sites: statistics of its three normalizations.
        after: a 1 x 1 convolution of the sum, for blocks whose residual is also a convolution.
        relu: whether a ReLU follows.
    """
    narrow, middle, wide = block.convolutions
    first, second, third = (norm.affine(sites) for norm in block.norms)
    local = [norm.local(sites) for norm in block.norms]
    wide_kernel, residual_kernel = kernel_of(wide), block.residual_kernel
    if after is not None:
        wide_kernel = fold_pointwise(wide_kernel, after)
    branch = RowSequence(
        [
            *with_local(lambda relu: Affine(*first, relu=relu), local[0], relu=True),
            *with_local(
                lambda relu: TileConvolution(fold_output(kernel_of(narrow), *second), relu=relu),
                local[1],
                relu=True,
            ),
            *with_local(
                lambda relu: middle.folded(fold_output(middle.kernel, *third), relu=relu),
                local[2],
                relu=True,
            ),
            TileConvolution(wide_kernel),
        ]
    )
    shortcut: list[RowLayer] = []
    if residual_kernel is not None:
        if after is not None:
            # The other branch already includes the shift of ``after``.
            residual_kernel = fold_pointwise(residual_kernel, (after[0], 0 * after[1]))
        shortcut.append(TileConvolution(residual_kernel, stride=middle.conv2d.stride[0]))
    if middle.upsample:
        # After the 1 x 1 convolution, which then processes a quarter of the pixels.
        shortcut.append(NearestUpsampling())
    return Residual(branch, shortcut=RowSequence(shortcut) if shortcut else None, relu=relu)
