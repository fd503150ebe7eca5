"""Statistics of a region: mean and deviation of each channel over a part of the picture.

With the whole picture's statistics, a region looks as if its style were everywhere: dark parts stay
dark. With its own, each region gets its painting's whole range of tones.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..geometry import Size
from .local_statistics import centers, channel_moments, limited_deviation
from .sites import Site
from .statistics import ChannelMoments, ChannelStats, Moments, widened

LEAST_POSITIONS = 64
"""A region with fewer features (8 x 8) has the statistics of the whole picture.

The deviation of so few is a matter of chance.
"""


class RegionMoments:
    """Moments of the features in a part of one or several thumbnails of one size.

    The deviation is limited as that of local statistics, so that the noise of a flat region is not
    amplified 316 times.

    Args:
        area: which pixels of the thumbnail are measured, (h, w), bool, on the CPU.
        frame: height and width of the padded thumbnail, in px.
        unbiased: as for :class:`~urst_core.networks.statistics.ChannelMoments`.
    """

    def __init__(self, area: Tensor, frame: Size, *, unbiased: bool) -> None:
        self._area, self._frame = area, frame
        self._whole = ChannelMoments(unbiased=unbiased)
        self._inside = ChannelMoments(unbiased=unbiased)
        self._thumbnails, self._positions = 0, 0
        self._is_everywhere = True

    def add(self, features: Tensor) -> None:
        """Add the (1, C, H, W) features of a whole padded thumbnail."""
        self._whole.add(features)
        is_inside = self._sampled(features)
        self._thumbnails += 1
        self._positions += int(is_inside.sum())
        if not bool(is_inside.all()):
            self._is_everywhere = False
        self._inside.add(features[:, :, is_inside].unsqueeze(2))

    def _sampled(self, features: Tensor) -> Tensor:
        """Whether the pixel at the center of each feature is in the area, (H, W)."""
        rows, columns = (
            centers(count, padded / count).long().clamp_(max=length - 1)
            for count, padded, length in zip(features.shape[2:], self._frame, self._area.shape)
        )
        return self._area[rows][:, columns].to(features.device)

    def stats(self) -> ChannelStats:
        whole = self._whole.stats()
        # Of a video, the mean number.
        is_small = self._positions < LEAST_POSITIONS * self._thumbnails
        if is_small or self._is_everywhere:
            return whole
        inside = self._inside.stats()
        std = limited_deviation(widened(inside.std).square(), widened(whole.std))
        return ChannelStats(inside.mean, std.to(inside.std.dtype))


def region_moments(area: Tensor, frame: Size) -> Callable[[Site], Moments]:
    """Creates the accumulator of a site for the statistics of a region.

    Args:
        area, frame: as for :class:`RegionMoments`.

    Raises:
        SettingsError: called with a site that is not measured by moments of channels.
    """

    def moments_at(site: Site) -> Moments:
        return RegionMoments(area, frame, unbiased=channel_moments(site).unbiased)

    return moments_at
