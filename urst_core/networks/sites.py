"""Thumbnail instance normalization (TIN; URST, arXiv:2103.11784, section 3.3).

A stylization network normalizes its features at a few places, its *sites*. The caller decides how
to normalize: measure and normalize (plain instance normalization, and the collecting pass of TIN),
or normalize with statistics measured elsewhere (TIN proper). So a network is written once, as a
generator that yields each :class:`Site` and is sent the normalized features; it has neither
statistics nor modes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import StatsError
from .statistics import ChannelMoments, ChannelStats, Moments, SiteStats, stats_at


@dataclass(frozen=True)
class Site:
    """A place in a network where features, (1, C, H, W), are normalized.

    ``moments`` creates the accumulator that measures there, with the network's settings.
    """

    name: str
    features: Tensor
    moments: Callable[[], Moments] = ChannelMoments


Stages = Generator[Site, Tensor, Tensor]
"""A run of a network: yields sites, is sent normalized features, returns the picture."""


def measure(site: Site, moments: Moments | None = None) -> SiteStats:
    """Measure the statistics of a site's features, with its own accumulator if None is given."""
    moments = moments or site.moments()
    moments.add(site.features)
    return moments.stats()


def measure_features(features: Tensor, *, unbiased: bool = True) -> ChannelStats:
    """Measure the statistics of (1, C, H, W) features, for example for a style code."""
    moments = ChannelMoments(unbiased=unbiased)
    moments.add(features)
    return moments.stats()


def run(stages: Stages, normalize: Callable[[Site], Tensor]) -> Tensor:
    """Run a network to its end, calling ``normalize`` at each site."""
    try:
        site = next(stages)
        while True:
            site = stages.send(normalize(site))
    except StopIteration as finished:
        return finished.value


def collect(
    stages: Stages, measure: Callable[[Site], SiteStats] = measure
) -> tuple[dict[str, SiteStats], Tensor]:
    """Run a network with plain instance normalization; return its statistics and its output."""
    sites: dict[str, SiteStats] = {}

    def measure_and_normalize(site: Site) -> Tensor:
        sites[site.name] = measure(site)
        return sites[site.name].normalize(site.features)

    picture = run(stages, measure_and_normalize)
    return sites, picture


def measure_sites(
    stages: Stages, names: Sequence[str], measure: Callable[[Site], SiteStats] = measure
) -> dict[str, SiteStats]:
    """Measure the same statistics as :func:`collect`, but stop at the last site.

    Args:
        stages: a run of the network.
        names: names of its sites, in order.
        measure: measures the statistics of a site.

    Raises:
        StatsError: the network ends before the last of these sites.
    """
    sites: dict[str, SiteStats] = {}
    try:
        site = next(stages) if names else None
        while site is not None:
            sites[site.name] = measure(site)
            if len(sites) == len(names):
                break
            site = stages.send(sites[site.name].normalize(site.features))
    except StopIteration:
        missing = ", ".join(repr(name) for name in names if name not in sites)
        raise StatsError(f"the network has no site {missing}; use its own names") from None
    stages.close()
    return sites


def replay(stages: Stages, sites: Mapping[str, SiteStats]) -> Tensor:
    """Run a network with statistics that were measured elsewhere: TIN.

    Raises:
        StatsError: the network reaches a site that was not measured.
    """
    return run(stages, lambda site: stats_at(sites, site.name, SiteStats).normalize(site.features))


def replay_until(stages: Stages, name: str, sites: Mapping[str, SiteStats]) -> Site:
    """Run a network up to the site called ``name``; return that site without normalizing it.

    Raises:
        StatsError: an earlier site was not measured, or the network has no such site.
    """
    try:
        site = next(stages)
        while site.name != name:
            site = stages.send(stats_at(sites, site.name, SiteStats).normalize(site.features))
    except StopIteration:
        raise StatsError(f"the network has no site {name!r}; use one of its own names") from None
    stages.close()
    return site
