"""Fits the blurred variant of MicroAST, in closed form, to weights of the variant without blurs.

Adding blurs to a trained network softens its pictures. Here each convolution of the content encoder
and of the end of the decoder is replaced by the one whose output, on the blurred network's
features, is closest to the features of the network without blurs: one linear least-squares problem
per layer, solved from front to back. This takes a minute; training continues from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones.microast import (
    BlurredConvolution,
    BlurredUpsampling,
    MicroAST,
    PaddedConvolution,
    ResidualBlock,
)
from ..networks.folding import kernel_of
from ..networks.sites import collect
from .batches import Batches
from .losses import GRID_PERIODS, GRID_REPEATS, finer_than, repeated_pattern
from .normalization import batch_stats, measure_batch

PERIOD = GRID_PERIODS[0]
"""Period of the grid that is fitted away, in px."""

PICTURES = 24
"""Minimum number of pictures that layers are fitted to."""

PIXELS = 3000
"""Maximum number of pixels of each picture that a layer is fitted to."""

RIDGE = 1e-3
"""Weight of the initial kernel, relative to the mean square of a layer's inputs."""

GRID_WEIGHT = 3.0
"""Weight of grids in the result, relative to its mean squared difference from the target."""

SHARPENING = 0.15
"""Share of fine detail added to the targets of the last layer, since fits are softer."""

SHARPENING_WINDOW = 7
"""Detail finer than this, in px, counts as fine detail."""


@dataclass(frozen=True)
class _Features:
    """Features at the same place of both networks, (1, C, H, W) per picture."""

    blurred: Sequence[Tensor]
    plain: Sequence[Tensor]


def fit_blurred(plain: MicroAST, batches: Batches) -> MicroAST:
    """Fit the blurred variant whose pictures are closest to those of a network, without its grid.

    Args:
        plain: a network without blurs; it is not changed.
        batches: their first thumbnails and styles are used. If their edge is not a multiple of
            ``GRID_REPEATS * PERIOD``, grids are not measured in the remainder.
    """
    blurred = MicroAST(blurred=True)
    blurred.load_state_dict(plain.state_dict(), strict=False)
    contents, styles = _first_pictures(batches)
    with torch.no_grad():
        features = _Features(contents, contents)
        ours, theirs = blurred.content_encoder, plain.content_encoder
        for pair in zip([*ours.enc1, *ours.enc2], [*theirs.enc1, *theirs.enc2], strict=True):
            features = _fit_layer(*pair, features)
        pairs = list(zip(contents, styles, strict=True))
        features = _Features(
            [_decoded(blurred, *pair) for pair in pairs], [_decoded(plain, *pair) for pair in pairs]
        )
        *layers, last = zip(blurred.decoder.dec3, plain.decoder.dec3, strict=True)
        for pair in layers:
            features = _fit_layer(*pair, features)
        _fit_picture_layer(*last, features)
    return blurred


def _first_pictures(batches: Batches) -> tuple[list[Tensor], list[Tensor]]:
    contents: list[Tensor] = []
    styles: list[Tensor] = []
    for step in range(-(-PICTURES // batches.size)):
        batch = batches.at(step)
        assert batch.styles is not None
        contents += batch.thumbnails.split(1)
        styles += batch.styles.split(1)
    return contents, styles


def _decoded(network: MicroAST, content: Tensor, style: Tensor) -> Tensor:
    """Features before the decoder's first upsampling."""
    found: list[Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        found.append(inputs[0])

    with network.decoder.dec3[0].register_forward_pre_hook(keep):
        code = network.style_signals(style, batch_stats)
        collect(network.stages(content, code), measure_batch)
    return found[0]


def _fit_layer(ours: nn.Module, theirs: nn.Module, features: _Features) -> _Features:
    """Fit one layer, or a block of two; returns its output features."""
    after = [theirs(picture) for picture in features.plain]
    if isinstance(ours, ResidualBlock) and isinstance(theirs, ResidualBlock):
        _fit(ours.conv1, features.blurred, [theirs.conv1(picture) for picture in features.plain])
        inner = [F.relu(ours.conv1(picture)) for picture in features.blurred]
        _fit(ours.conv2, inner, [a - b for a, b in zip(after, features.blurred)])
    elif isinstance(ours, PaddedConvolution):
        _fit(ours, features.blurred, after)
    return _Features([ours(picture) for picture in features.blurred], after)


def _fit_picture_layer(ours: nn.Module, theirs: nn.Module, features: _Features) -> None:
    """Fit the last layer to sharpened pictures, penalizing grids."""
    assert isinstance(ours, PaddedConvolution)
    pictures = [theirs(picture) for picture in features.plain]
    sharpened = [y + SHARPENING * finer_than(y, SHARPENING_WINDOW) for y in pictures]
    _fit(ours, features.blurred, sharpened, grid_weight=GRID_WEIGHT)


def _fit(
    layer: PaddedConvolution,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    grid_weight: float = 0.0,
) -> None:
    """Give a layer the kernel whose output is closest to the targets.

    With inputs X, (unknowns, pixels), targets Y, and the initial kernel W, the new kernel K solves
    ``(X X' + ridge + grids) K = X Y' + ridge W`` for each group of channels.

    Args:
        layer: its kernel is replaced.
        inputs, targets: (1, C, H, W) each, one per picture.
        grid_weight: weight of grids in the output.
    """
    convolution = layer.conv_layer
    weight, bias = kernel_of(convolution)
    groups = convolution.groups
    generator = torch.Generator().manual_seed(0)
    squares, products = torch.zeros(()), torch.zeros(())
    for picture, target in zip(inputs, targets, strict=True):
        seen = _seen_by(layer, picture)
        columns = _columns(seen, convolution)
        chosen = torch.randperm(columns.shape[2], generator=generator)[:PIXELS]
        known = _with_row(columns[:, :, chosen], 1.0)
        values = target.reshape(groups, -1, columns.shape[2])[:, :, chosen]
        squares = squares + known @ known.mT / len(chosen)
        products = products + known @ values.mT / len(chosen)
        if grid_weight and min(seen.shape[2:]) >= GRID_REPEATS * PERIOD:
            squares = squares + grid_weight * _grid_squares(seen, convolution)
    first = torch.cat(
        [weight.reshape(groups, -1, squares.shape[1] - 1).mT, bias.reshape(groups, 1, -1)], dim=1
    )
    ridge = RIDGE * squares.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    damped = squares + ridge * torch.eye(squares.shape[1])
    kernel = torch.linalg.solve(damped.double(), (products + ridge * first).double()).float()
    convolution.weight.copy_(kernel[:, :-1].mT.reshape(weight.shape))
    assert convolution.bias is not None
    convolution.bias.copy_(kernel[:, -1].flatten())


def _seen_by(layer: PaddedConvolution, features: Tensor) -> Tensor:
    """Input of the layer's own kernel: after upsampling and blur."""
    if isinstance(layer, BlurredUpsampling):
        features = F.interpolate(features, scale_factor=2.0, mode="bilinear")
    if isinstance(layer, BlurredConvolution):
        channels = features.shape[1]
        blur = torch.outer(layer.taps, layer.taps).expand(channels, 1, 3, 3)
        padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        features = F.conv2d(padded, blur, groups=channels)
    return features


def _columns(features: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The pixels under each position of a kernel, (groups, unknowns, positions)."""
    edge = convolution.kernel_size[0]
    padded = F.pad(features, (edge // 2,) * 4, mode="reflect")
    columns = F.unfold(padded, edge, stride=convolution.stride)
    return columns.reshape(convolution.groups, -1, columns.shape[2])


def _grid_squares(features: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Quadratic form of the grid energy in the output of a kernel of stride 1."""
    fine = finer_than(features, PERIOD + 1)
    columns = _columns(fine, convolution).unflatten(2, features.shape[2:])
    grids = _with_row(repeated_pattern(columns, PERIOD).flatten(2), 0.0)
    return grids @ grids.mT / grids.shape[2]


def _with_row(columns: Tensor, value: float) -> Tensor:
    """Append a row for one more unknown, the bias."""
    return F.pad(columns, (0, 0, 0, 1), value=value)
