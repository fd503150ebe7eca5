"""Styles as statistics of VGG features, from which networks predict parameters of others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..networks.sites import measure_features
from ..networks.statistics import ChannelStats
from .adain import vgg_to_relu4_1

LEVEL_ENDS = (4, 11, 18, 31)
"""Number of modules of the VGG up to relu1_1, relu2_1, relu3_1 and relu4_1."""

CHANNELS = (64, 128, 256, 512)

VALUES = 2 * sum(CHANNELS)
"""Number of statistics of a style: the mean and the deviation of each channel."""


class StyleStatistics(nn.Module):
    """The normalized VGG-19 to relu4_1, and the statistics of its features.

    Its parameters have the names of pytorch-AdaIN's VGG.
    """

    def __init__(self) -> None:
        super().__init__()
        self.vgg = vgg_to_relu4_1()

    def statistics(
        self, styles: Tensor, measure: Callable[[Tensor], ChannelStats] = measure_features
    ) -> Tensor:
        """Means and standard deviations at relu1_1 to relu4_1, (N, 1920).

        Args:
            styles: (N, 3, H, W), 0..1; N = 1 for the default measure.
            measure: measures (N, C, H, W) features.
        """
        parts: list[Tensor] = []
        features = styles
        for number, layer in enumerate(self.vgg, start=1):
            features = layer(features)
            if number in LEVEL_ENDS:
                stats = measure(features)
                parts += [stats.mean.flatten(1), stats.std.flatten(1)]
        return torch.cat(parts, dim=1)
