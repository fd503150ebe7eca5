"""Pictures are encoded once, the memory stays bounded, and results are the same."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from examples import picture

from urst_core.networks.remembering import Memory, RememberingBackbone, digest
from urst_core.networks.style import StyleCode


@pytest.fixture
def remembering(microast):
    return RememberingBackbone(microast.network, microast.fingerprint)


@pytest.fixture
def counts(microast, monkeypatch):
    """How often the network encoded a style or a content."""
    counted: Counter[str] = Counter()
    network = type(microast.network)
    for name in ("style_code", "content_features"):
        real = getattr(network, name)

        def counting(*values, name=name, real=real):
            counted[name] += 1
            return real(*values)

        monkeypatch.setattr(network, name, counting)
    return counted


def test_only_the_strength_changes(microast, remembering, counts):
    """Results are those without a memory, and the memory does not change by using it."""
    content, style = picture((48, 64))[None], picture((40, 56), seed=3)[None]

    def stats(backbone, strength):
        return backbone.collect(content, backbone.encode_style([style]), strength=strength)

    stats(remembering, 0.3)
    assert counts == {"style_code": 2, "content_features": 1}  # the content has a code, too
    kept = [digest(part) for part in kept_tensors(remembering)]
    again = stats(remembering, 0.8)
    assert counts == {"style_code": 2, "content_features": 1}
    assert [digest(part) for part in kept_tensors(remembering)] == kept
    expected = stats(microast, 0.8)
    for name, tensor in expected._tensors().items():
        assert torch.equal(again._tensors()[name], tensor)


def kept_tensors(backbone):
    return [part for each in backbone.memory._kept.values() for part in each.values()]


def test_one_pixel_makes_another_picture(remembering, counts):
    style = picture((40, 56), seed=3)[None]
    remembering.encode_style([style])
    other = style.clone()
    other[0, 0, 5, 5] += 1e-6
    remembering.encode_style([other])
    remembering.encode_style([style.clone()])
    assert counts == {"style_code": 2}


def test_moments_and_distributions_are_told_apart(remembering, monkeypatch):
    distribution = StyleCode({"site.quantiles": torch.zeros(3)})
    network = type(remembering.network)
    monkeypatch.setattr(network, "distribution_code", lambda *_: distribution)
    style = picture((32, 40), seed=3)[None]
    matches = ("moments", "distribution", "moments")
    assert [remembering.encode_style([style], match=m).match for m in matches] == list(matches)


def test_networks_without_a_content_encoder_keep_no_thumbnail(random_backbones):
    johnson = random_backbones["johnson"]
    remembering = RememberingBackbone(johnson.network, johnson.fingerprint)
    remembering.collect(picture((48, 64))[None], remembering.encode_style())
    assert remembering.memory.taken_bytes == 0


def test_a_copy_on_a_device_shares_the_memory(remembering):
    assert remembering.on(torch.device("meta")).memory is remembering.memory


def numbers(count):
    return {"numbers": torch.zeros(count, dtype=torch.uint8)}


def test_memory_is_bounded_and_forgets_the_least_recently_used():
    memory, computed = Memory(limit_bytes=100), []

    def recall(key, count):
        def compute():
            computed.append(key)
            return numbers(count)

        return memory.recall(key, compute)

    for key, count in (("a", 40), ("b", 40), ("a", 40), ("c", 40), ("a", 40), ("b", 40)):
        assert recall(key, count)["numbers"].numel() == count
        assert memory.taken_bytes <= 100
    assert computed == ["a", "b", "c", "b"]
    assert repr(memory) == "Memory(2 results, 0.0 MB)"


def test_what_is_too_large_is_not_kept_and_leaves_the_others():
    memory = Memory(limit_bytes=100)
    memory.recall("small", lambda: numbers(60))
    assert memory.recall("large", lambda: numbers(101))["numbers"].numel() == 101
    assert memory.taken_bytes == 60


def test_what_is_computed_twice_at_the_same_time_counts_once():
    memory = Memory(limit_bytes=100)
    memory.recall("key", lambda: memory.recall("key", lambda: numbers(60)))
    assert memory.taken_bytes == 60
    memory.recall("other", lambda: numbers(40))
    assert memory.taken_bytes == 100


def test_an_error_is_not_remembered():
    memory = Memory()

    def fail():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        memory.recall("key", fail)
    assert memory.recall("key", lambda: numbers(3))["numbers"].numel() == 3
