"""The losses of the papers and of URST, each a function that returns a float32 scalar.

Features come from :class:`~urst_core.training.vgg.VGGFeatures`, in any floating dtype; sums are
computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError
from ..networks.statistics import ChannelStats
from ..networks.style import StyleCode
from .autocast import without_autocast
from .normalization import batch_stats

GRID_PERIODS = 4, 8
"""Periods of the grids that two upsamplings by 2 leave, in px; features alternate in the second."""

GRID_REPEATS = 8
"""How often a grid is repeated along each side of the squares that separate it from texture."""

GRAY_AND_COLORS = ((1 / 3, 1 / 3, 1 / 3), (1 / 2, -1 / 2, 0.0), (1 / 4, 1 / 4, -1 / 2))
"""Gray, red to green, and yellow to blue: the directions in RGB in which grids are measured."""

SSIM_WINDOW = 7
"""Edge of the windows of structural similarity, in px."""

CHROMA_SHARE, STRUCTURE_SHARE = 4.0, 0.02
"""Weights of colors and structure beside the squared difference from a teacher's painting."""

GRAY_SHARES = (0.299, 0.587, 0.114)
"""Weights of red, green and blue."""

COLOR_DIRECTIONS = (
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
    (1.0, 1.0, 1.0),
    (1.0, -1.0, 0.0),
    (0.0, 1.0, -1.0),
    (1.0, 0.0, -1.0),
    (1.0, 1.0, -2.0),
)
"""Directions in RGB along which color distributions are compared."""


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of features, (N, C, H, W) (Johnson et al., 2016, equation 2)."""
    return F.mse_loss(features.float(), target.float())


def mean_std_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Difference of channel means and standard deviations, summed over layers (AdaIN, equation 13).

    Mean squares over channels, as in the published code; the paper has norms.

    Args:
        features: one (N, C, H, W) per layer.
        targets: features of the style, (N, C, h, w) each; heights and widths may differ.
    """
    return stats_loss(features, [batch_stats(target) for target in targets])


def painting_loss(pictures: Tensor, painted: Tensor) -> Tensor:
    """Difference from a teacher's paintings: of pixels, of colors, and of structure.

    By the squared difference of pixels alone, networks learn brightness first: for a few hundred
    steps they paint soft pictures in brown, which are close to all paintings.

    Args:
        pictures, painted: (N, 3, H, W), 0..1, at least 7 px on each side.
    """
    return (
        content_loss(pictures, painted)
        + CHROMA_SHARE * content_loss(_chroma(pictures), _chroma(painted))
        + STRUCTURE_SHARE * ssim_loss(pictures, painted)
    )


def _chroma(pictures: Tensor) -> Tensor:
    """Pictures without their brightness: differences of the channels from their mean."""
    return pictures - pictures.mean(1, keepdim=True)


def stats_loss(features: Sequence[Tensor], targets: Sequence[ChannelStats]) -> Tensor:
    """The same against statistics that are known; 0 where there are no features.

    Args:
        features: one (N, C, H, W) a layer.
        targets: means and deviations, (N, C, 1, 1) each, one a layer.
    """
    total = targets[0].mean.new_zeros(()) if targets else torch.zeros(())
    for feature, target in zip(features, targets, strict=True):
        total = total + _stats_distance(batch_stats(feature), target).mean()
    return total


def gram_matrix(features: Tensor) -> Tensor:
    """Inner products of channels over C * H * W, (N, C, C) (Johnson et al., equation 3)."""
    batch, channels, height, width = features.shape
    flat = features.float().reshape(batch, channels, height * width)
    with without_autocast(features.device):
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def gram_loss(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Difference of Gram matrices, summed over layers (Johnson et al., 2016, equation 4).

    The squared Frobenius norm is averaged over the batch.

    Args:
        features: one (N, C, H, W) per layer.
        targets: Gram matrices of the style, N or 1 per layer.
    """
    total = torch.zeros((), device=features[0].device)
    for feature, target in zip(features, targets, strict=True):
        difference = gram_matrix(feature) - gram_matrix(target)
        total = total + difference.square().sum(dim=(1, 2)).mean()
    return total


def stroke_perceptual_loss(patch_features: Tensor, thumbnail_features: Tensor) -> Tensor:
    """Makes strokes of a patch as large as the thumbnail's (URST, arXiv:2103.11784, section 3.4).

    Args:
        patch_features: features of the patch, stylized with the thumbnail's statistics.
        thumbnail_features: features of the same part of the stylized thumbnail, enlarged to the
            picture's size; the target, without gradient.
    """
    return content_loss(patch_features, thumbnail_features.detach())


def style_signal_contrastive_loss(results: StyleCode, styles: StyleCode) -> Tensor:
    """Pulls a result's signals to its own style, not the other styles (MicroAST, section 3.3).

    For each picture: the distance between the signals of its result and of its style, divided by
    the sum of the distances to all other styles (:func:`signal_distances`); summed over the batch.
    As in the published code, gradients flow through the styles' signals, too. That code compares
    one of the negative pairs between results; here all negatives are the other styles, as in the
    paper.

    Args:
        results: signals of the stylized pictures, (N, C, 1, 1) each.
        styles: signals of their styles, with the same names and shapes.

    Raises:
        ShapeError: the batch has only one picture, and thus no negatives.
    """
    distances = signal_distances(results, styles)
    batch = distances.shape[0]
    if batch < 2:
        raise ShapeError(
            "a batch of 1 has no other style to contrast with; "
            "use a batch of 2 or more, or give the contrastive loss weight 0"
        )
    positives = distances.diagonal()
    negatives = distances.sum(dim=1) - positives
    return (positives / negatives.clamp(min=1e-8)).sum()


def signal_distances(results: StyleCode, styles: StyleCode) -> Tensor:
    """Distance of each result's signals from each style's: (N, N), results down, styles across.

    Sum over all signals, including means and deviations, of mean squared differences.
    """
    tensors = results.tensors
    differences = [tensors[name][:, None] - style[None] for name, style in styles.tensors.items()]
    return torch.stack([x.float().square().flatten(2).mean(2) for x in differences]).sum(dim=0)


def total_variation_loss(pictures: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, vertical plus horizontal, of (N, 3, H, W)."""
    down = pictures.float().diff(dim=-2).square().mean()
    across = pictures.float().diff(dim=-1).square().mean()
    return down + across


def grid_loss(pictures: Tensor) -> Tensor:
    """Energy of patterns that repeat every 4 or 8 px in (N, 3, H, W), in gray and in color.

    Networks that upsample features by repeating them, as all decoders here do, leave such grids
    (Odena et al., 2016, "Deconvolution and checkerboard artifacts"), and hide them in colors where
    only gray is looked at. Fine detail is averaged over its repetitions in square blocks, where
    texture cancels out and a grid does not; the loss is the mean square of these averages, summed
    over :data:`GRID_PERIODS` and :data:`GRAY_AND_COLORS`. A period counts only in pictures of at
    least :data:`GRID_REPEATS` of it along each side.

    Example:
        >>> stripes = torch.tensor([0.5, -0.5]).repeat(16).expand(1, 3, 32, 32)
        >>> round(float(grid_loss(stripes)), 3)
        0.16
    """
    energies = [
        repeated_pattern(fine_detail(pictures, period), period).square().mean(dim=(0, 2, 3, 4, 5))
        for period in GRID_PERIODS
        if min(pictures.shape[-2:]) >= GRID_REPEATS * period
    ]
    return torch.stack(energies).sum() if energies else pictures.float().sum() * 0.0


def repeated_pattern(fine: Tensor, period: int = GRID_PERIODS[0]) -> Tensor:
    """Average fine detail over its repetitions in each block, minus the mean of the block.

    Args:
        fine: (..., H, W), at least one block of ``GRID_REPEATS`` periods; incomplete ones are
            ignored.
        period: in px.

    Returns:
        (..., rows of blocks, period, columns of blocks, period).
    """
    block = GRID_REPEATS * period
    rows, columns = (side // block for side in fine.shape[-2:])
    blocks = fine[..., : rows * block, : columns * block].unflatten(
        -2, (rows, GRID_REPEATS, period)
    )
    means = blocks.unflatten(-1, (columns, GRID_REPEATS, period)).mean(dim=(-5, -2))
    return means - means.mean(dim=(-3, -1), keepdim=True)


def fine_detail(pictures: Tensor, period: int = GRID_PERIODS[0]) -> Tensor:
    """What :data:`GRAY_AND_COLORS` of (N, 3, H, W) have of detail not larger than a period."""
    directions = torch.tensor(GRAY_AND_COLORS, device=pictures.device)
    return finer_than(torch.einsum("dc,nchw->ndhw", directions, pictures.float()), period + 1)


def finer_than(features: Tensor, window: int) -> Tensor:
    """Features, (N, C, H, W), minus their local means over squares of an odd number of px."""
    padded = F.pad(features, (window // 2,) * 4, mode="reflect")
    return features - F.avg_pool2d(padded, window, stride=1)


def ssim_loss(pictures: Tensor, contents: Tensor) -> Tensor:
    """1 minus the structural similarity of gray pictures (Wang et al. 2004, equation 13).

    With scikit-image's defaults: windows of 7 px inside the picture, sample variances.

    Args:
        pictures, contents: (N, 3, H, W), 0..1, at least 7 px on each side.
    """
    shares = torch.tensor(GRAY_SHARES, device=pictures.device)[:, None, None]
    first, second = ((p.float() * shares).sum(1, keepdim=True) for p in (pictures, contents))
    means = [_window_mean(p) for p in (first, second)]
    sample = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    products = ((first, first, 0, 0), (second, second, 1, 1), (first, second, 0, 1))
    variances = [sample * (_window_mean(a * b) - means[i] * means[j]) for a, b, i, j in products]
    luminance = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
    structure = (2 * variances[2] + 9e-4) / (variances[0] + variances[1] + 9e-4)
    return 1.0 - (luminance * structure).mean()


def _window_mean(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(pictures, SSIM_WINDOW, stride=1)


def color_loss(pictures: Tensor, styles: Tensor) -> Tensor:
    """Sliced Wasserstein distance of colors: mean squared difference of sorted projections.

    Args:
        pictures, styles: (N, 3, H, W), of the same size.
    """
    directions = F.normalize(torch.tensor(COLOR_DIRECTIONS, device=pictures.device), dim=1)
    with without_autocast(pictures.device):
        first, second = (
            torch.einsum("dc,ncp->ndp", directions, p.float().flatten(2)).sort(dim=-1).values
            for p in (pictures, styles)
        )
    return (first - second).square().mean()


def out_of_range_loss(pictures: Tensor) -> Tensor:
    """Mean square of the amount by which pixels exceed 0..1 and would be clipped."""
    values = pictures.float()
    return (values - values.clamp(0.0, 1.0)).square().mean()


def _stats_distance(first: ChannelStats, second: ChannelStats) -> Tensor:
    """Mean squared differences of means plus those of standard deviations, (N,)."""
    means = (first.mean - second.mean).square().flatten(1).mean(1)
    return means + (first.std - second.std).square().flatten(1).mean(1)
