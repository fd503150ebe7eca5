"""Statistics of styles, and how long they are kept."""

from __future__ import annotations

import torch
from examples import picture
from training_examples import TinyFeatures

from urst_core.training.normalization import batch_stats
from urst_core.training.style_targets import StyleTargets


class Counted(TinyFeatures):
    """Remembers how many pictures it saw, and how deep."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def forward(self, pictures, depth=4):
        self.seen.append((len(pictures), depth))
        return super().forward(pictures, depth)


STYLES = torch.stack([picture((16, 16), seed=n) for n in range(3)])


def equal(first, second) -> bool:
    assert len(first) == len(second)
    return all(
        torch.allclose(a.mean, b.mean, atol=1e-6) and torch.allclose(a.std, b.std, atol=1e-6)
        for a, b in zip(first, second)
    )


def test_without_names_all_are_measured_each_time_and_no_deeper_than_asked():
    vgg = Counted()
    targets = StyleTargets(vgg)
    expected = [batch_stats(f) for f in TinyFeatures()(STYLES)]
    assert equal(targets.of(STYLES, None, 4), expected)
    assert equal(targets.of(STYLES, None, 3), expected[:3])
    assert vgg.seen == [(3, 4), (3, 3)]


def test_with_names_each_is_measured_once():
    vgg = Counted()
    targets = StyleTargets(vgg)
    expected = [batch_stats(f) for f in TinyFeatures()(STYLES)]
    assert equal(targets.of(STYLES, ["a", "b", "c"], 3), expected[:3])
    assert vgg.seen == [(1, 4)] * 3
    swapped = targets.of(STYLES.flip(0), ["c", "b", "a"], 4)
    assert len(vgg.seen) == 3
    assert equal(swapped, [batch_stats(f) for f in TinyFeatures()(STYLES.flip(0))])
    assert not any(layer.mean.requires_grad for layer in swapped)


def test_company_does_not_show():
    """A resumed training measures styles again, in other batches."""
    first = StyleTargets(TinyFeatures()).of(STYLES, ["a", "b", "c"], 4)
    alone = StyleTargets(TinyFeatures()).of(STYLES[1:2], ["b"], 4)
    assert all(torch.equal(f.mean[1:2], a.mean) for f, a in zip(first, alone))
    assert all(torch.equal(f.std[1:2], a.std) for f, a in zip(first, alone))


def test_the_one_used_longest_ago_goes_first():
    vgg = Counted()
    statistics = [batch_stats(f) for f in TinyFeatures()(STYLES[:1])]
    taken = sum(each.mean.nbytes + each.std.nbytes for each in statistics)
    targets = StyleTargets(vgg, limit_bytes=2 * taken)
    for name in "abac":
        targets.of(STYLES[:1], [name], 4)
    assert len(vgg.seen) == 3  # b went for c
    targets.of(STYLES[:1], ["a"], 4)
    assert len(vgg.seen) == 3
    targets.of(STYLES[:1], ["b"], 4)
    assert len(vgg.seen) == 4
