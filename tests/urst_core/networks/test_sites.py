from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urst_core.errors import ShapeError, StatsError
from urst_core.networks.sites import (
    Site,
    collect,
    measure_features,
    measure_sites,
    replay,
    replay_until,
)
from urst_core.networks.statistics import ChannelMoments, ChannelStats


def two_sites(image):
    """A tiny network with two sites; the second depends on the first."""
    first = yield Site("first", image * 3 + 1)
    second = yield Site("second", first.square(), partial(ChannelMoments, unbiased=False))
    return second + 0.5


def test_statistics_by_hand():
    stats = measure_features(torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2))
    assert stats.mean.item() == pytest.approx(3.0)
    # Squared deviations 4 + 1 + 0 + 9, divided by n - 1; the epsilon joins the variance.
    assert stats.std.item() == pytest.approx((14 / 3 + 1e-5) ** 0.5)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 9))
def test_moments_do_not_depend_on_how_the_features_were_cut(rows, seed):
    features = torch.randn(1, 3, sum(rows), 11, generator=torch.Generator().manual_seed(seed)) * 40
    parts = ChannelMoments()
    for part in features.split(rows, dim=2):
        parts.add(part)
    parts.add(features[:, :, :0])
    whole = parts.stats()
    expected = features.double().flatten(2)
    assert torch.allclose(whole.mean.flatten().double(), expected.mean(2).flatten(), atol=1e-5)
    std = (expected.var(2) + 1e-5).sqrt().flatten()
    assert torch.allclose(whole.std.flatten().double(), std, rtol=1e-6)


def test_half_precision_features_far_from_zero_keep_their_deviation():
    features = (1000 + torch.arange(64.0).reshape(1, 1, 8, 8)).half()
    expected = features.double().std().item()
    assert measure_features(features).std.item() == pytest.approx(expected, rel=1e-6)


def test_replaying_collected_statistics_gives_the_same_picture():
    image = torch.rand(1, 2, 6, 6)
    sites, collected = collect(two_sites(image))
    assert list(sites) == ["first", "second"]
    assert torch.equal(replay(two_sites(image), sites), collected)


def test_replay_uses_the_statistics_and_not_the_image():
    sites, _ = collect(two_sites(torch.rand(1, 2, 6, 6)))
    other = torch.rand(1, 2, 4, 4) * 9
    first = ((other * 3 + 1) - sites["first"].mean) / sites["first"].std
    second = (first.square() - sites["second"].mean) / sites["second"].std
    assert torch.allclose(replay(two_sites(other), sites), second + 0.5)


def test_replay_until_stops_before_normalizing():
    image = torch.rand(1, 2, 6, 6)
    sites, _ = collect(two_sites(image))
    site = replay_until(two_sites(image), "second", {"first": sites["first"]})
    expected = sites["first"].normalize(image * 3 + 1).square()
    assert torch.equal(site.features, expected)
    assert isinstance(site.moments(), ChannelMoments)


def test_measuring_stops_at_the_last_site():
    def stages(image):
        yield from two_sites(image)
        raise AssertionError("was run")

    image = torch.rand(1, 2, 5, 7)
    collected, _ = collect(two_sites(image))
    names = ["first", "second"]
    measured = measure_sites(stages(image), names)
    assert list(measured) == names
    for name in names:
        assert torch.equal(measured[name].mean, collected[name].mean)
        assert torch.equal(measured[name].std, collected[name].std)
    assert list(measure_sites(stages(image), names[:1])) == ["first"]
    assert measure_sites(stages(image), []) == {}


def test_a_network_without_the_sites_it_names():
    with pytest.raises(StatsError) as caught:
        measure_sites(two_sites(torch.rand(1, 2, 5, 7)), ["first", "second", "third", "fourth"])
    assert str(caught.value) == ("the network has no site 'third', 'fourth'; use its own names")


def test_affine_map_takes_statistics_to_their_target():
    features = torch.rand(1, 4, 9, 9) * torch.tensor([1.0, 5.0, 0.1, 9.0]).reshape(1, 4, 1, 1)
    features = features.double()
    own = measure_features(features)
    target = ChannelStats(torch.randn(1, 4, 1, 1), torch.rand(1, 4, 1, 1) + 0.5)
    scale, shift = own.affine_to(target)
    mapped = features * scale.reshape(1, 4, 1, 1) + shift.reshape(1, 4, 1, 1)
    expected = own.normalize(features) * target.std + target.mean
    assert torch.allclose(mapped, expected, atol=1e-5)


def flat_and_other_channels():
    """Means and variances: four that are flat, three that vary, one of zeros."""
    mean = torch.tensor([300.0, -300.0, 0.01, 2.0, 300.0, 1e-6, 0.0, 0.0])
    variance = torch.tensor([0.0, 1e-9, 1e-13, 1e-9, 1e-6, 9e-12, 1e-9, 0.0])
    return ChannelStats(*(v[None, :, None, None] for v in (mean, (variance + 1e-5).sqrt())))


def test_a_flat_channel_is_its_target_mean_whether_it_is_folded_or_not():
    """Rounding errors of 1e-7 of the largest mean are all that such a channel could show."""
    stats = flat_and_other_channels()
    is_flat = [True] * 4 + [False] * 4
    assert stats.divisor.isinf().flatten().tolist() == is_flat
    # Steps that 300 does not swallow in float32.
    features = stats.mean + torch.linspace(-1e-3, 1e-3, 30).reshape(1, 1, 6, 5)
    assert (stats.normalize(features).abs().amax(dim=(0, 2, 3)) == 0).tolist() == is_flat
    scale, shift = stats.affine_to(ChannelStats(torch.full((1, 8, 1, 1), 0.25), stats.std * 9))
    assert (scale == 0).tolist() == is_flat
    assert shift[:4].tolist() == [0.25] * 4


def test_a_channel_of_zeros_is_divided_by_the_root_of_epsilon():
    """As published: on a picture it may be alive, although it is dead on the thumbnail."""
    stats = measure_features(torch.zeros(1, 3, 4, 4))
    assert torch.allclose(stats.normalize(torch.ones(1, 3, 4, 4)), torch.tensor(1e-5**-0.5))


def test_missing_site():
    with pytest.raises(StatsError, match=r"no statistics for site 'first', only for \['other'\]"):
        replay(
            two_sites(torch.rand(1, 2, 6, 6)), {"other": measure_features(torch.rand(1, 2, 3, 3))}
        )


def test_unknown_site():
    sites, _ = collect(two_sites(torch.rand(1, 2, 6, 6)))
    with pytest.raises(StatsError, match="the network has no site 'third'"):
        replay_until(two_sites(torch.rand(1, 2, 6, 6)), "third", sites)


def test_features_of_several_images():
    with pytest.raises(ShapeError, match=r"features of shape \(2, 3, 4, 4\) cannot be measured"):
        measure_features(torch.rand(2, 3, 4, 4))


def test_too_few_positions():
    with pytest.raises(ShapeError, match="statistics need at least 2 positions, 1 measured"):
        measure_features(torch.rand(1, 3, 1, 1))
