"""Thumbnail instance normalization (TIN; URST, arXiv:2103.11784, section 3.3).

A stylization network normalizes its features at a few places, its *sites*. Whoever runs the
network decides what normalizing means there: measure and normalize (plain instance
normalization, and the collecting pass of TIN), or normalize with statistics measured elsewhere
(TIN proper). So a network is written once, as a generator that yields each :class:`Site` and is
sent the normalized features back; it holds no statistics and no mode.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ShapeError, StatsError

EPSILON = 1e-5
"""Added to the variance, not to the deviation, as every published network of the field does."""


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """Mean and standard deviation of each channel; both (1, C, 1, 1), float32.

    The deviation already contains the epsilon, so that it is never 0.
    """

    mean: Tensor
    std: Tensor

    def normalize(self, features: Tensor) -> Tensor:
        """Bring (N, C, H, W) features to mean 0 and deviation 1 *by these statistics*."""
        return (features - self.mean) / self.std

    def affine_to(self, target: ChannelStats) -> tuple[Tensor, Tensor]:
        """Scale and shift, each (C,), that take features from these statistics to ``target``'s."""
        scale = target.std / self.std
        return scale.flatten(), (target.mean - self.mean * scale).flatten()

    def to(self, device: torch.device) -> ChannelStats:
        return ChannelStats(self.mean.to(device), self.std.to(device))


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a network where features, (1, C, H, W), are to be normalized.

    ``unbiased`` tells whether the network divides the sum of squares by n - 1 (the reference
    code of AdaIN, MicroAST and URST) or by n.
    """

    name: str
    features: Tensor
    unbiased: bool = True


Stages = Generator[Site, Tensor, Tensor]
"""A network's run: yields sites, is sent normalized features, returns the picture."""


class ChannelMoments:
    """Mean and sum of squared deviations of each channel, gathered part by part.

    Parts are joined with the pairwise update of Chan, Golub and LeVeque (1979), in float64, so
    that the order and the number of parts do not show.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Take in features of (1, C, H, W), floating, finite, any range; empty ones are ignored.

        Raises:
            ShapeError: the features are not of that shape.
        """
        if features.ndim != 4 or features.shape[0] != 1:
            raise ShapeError(
                f"features of shape {tuple(features.shape)} cannot be measured; "
                "pass one image's, (1, C, H, W)"
            )
        count = features.shape[2] * features.shape[3]
        if count == 0:
            return
        # MPS has no float64; float32 sums of one tile are accurate enough there.
        wide = torch.float32 if features.device.type == "mps" else torch.float64
        values = features.flatten(2).to(wide)
        mean = values.mean(dim=2)
        squares = (values - mean.unsqueeze(2)).square().sum(dim=2)
        if self.count:
            total = self.count + count
            difference = mean - self._mean
            mean = self._mean + difference * (count / total)
            squares = self._squares + squares + difference.square() * (self.count * count / total)
        self.count += count
        self._mean, self._squares = mean, squares

    def stats(self, *, unbiased: bool) -> ChannelStats:
        """The statistics of all parts so far.

        Raises:
            ShapeError: fewer than two positions were measured.
        """
        if self.count < 2:
            raise ShapeError(
                f"statistics need at least 2 positions, {self.count} measured; "
                "use a larger thumbnail"
            )
        variance = self._squares / (self.count - 1 if unbiased else self.count)
        std = (variance + EPSILON).sqrt()
        return ChannelStats(self._mean[:, :, None, None].float(), std[:, :, None, None].float())


def measure(site: Site) -> ChannelStats:
    """The statistics of one site's features."""
    moments = ChannelMoments()
    moments.add(site.features)
    return moments.stats(unbiased=site.unbiased)


def measure_features(features: Tensor) -> ChannelStats:
    """The statistics of (1, C, H, W) features with the unbiased variance, as for a style code."""
    return measure(Site("", features))


def run(stages: Stages, normalize: Callable[[Site], Tensor]) -> Tensor:
    """Run a network to its end; ``normalize`` decides what happens at each site."""
    try:
        site = next(stages)
        while True:
            site = stages.send(normalize(site))
    except StopIteration as finished:
        return finished.value


def collect(stages: Stages) -> tuple[dict[str, ChannelStats], Tensor]:
    """Run a network with plain instance normalization; return what it measured, and its output."""
    sites: dict[str, ChannelStats] = {}

    def measure_and_normalize(site: Site) -> Tensor:
        sites[site.name] = measure(site)
        return sites[site.name].normalize(site.features)

    picture = run(stages, measure_and_normalize)
    return sites, picture


def replay(stages: Stages, sites: Mapping[str, ChannelStats]) -> Tensor:
    """Run a network with statistics that were measured elsewhere: TIN.

    Raises:
        StatsError: the network reaches a site that was not measured.
    """
    return run(stages, lambda site: _stats_of(site, sites).normalize(site.features))


def replay_until(stages: Stages, name: str, sites: Mapping[str, ChannelStats]) -> Site:
    """Run a network up to the site called ``name``, which is returned and not normalized.

    Raises:
        StatsError: an earlier site was not measured, or the network has no such site.
    """
    try:
        site = next(stages)
        while site.name != name:
            site = stages.send(_stats_of(site, sites).normalize(site.features))
    except StopIteration:
        raise StatsError(f"the network has no site {name!r}; use one of its own names") from None
    stages.close()
    return site


def _stats_of(site: Site, sites: Mapping[str, ChannelStats]) -> ChannelStats:
    if site.name not in sites:
        raise StatsError(
            f"no statistics for site {site.name!r}, only for {sorted(sites)}; "
            "collect them with this backbone"
        )
    return sites[site.name]
