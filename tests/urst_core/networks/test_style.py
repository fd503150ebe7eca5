"""Style codes and thumbnail statistics: blended, saved, loaded, bound to their backbone."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
import torch
from damage import flip_bit
from examples import picture, random_backbone
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from urst_core.backbones.microast import MicroAST
from urst_core.choices import check_strength
from urst_core.durable import write_tensors
from urst_core.errors import SettingsError, StatsError
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.style import StyleCode, blend


@pytest.fixture(scope="module")
def stats(microast):
    code = microast.encode_style([picture((48, 56), seed=3).unsqueeze(0)])
    return microast.collect(picture((64, 72)).unsqueeze(0), code, strength=0.7)


def rewritten(stats, path, *, tensors=None, header=None):
    """The statistics' file with some of its tensors or header replaced; None takes one out.

    With a digest that is right, as that of another version may be.
    """
    stats.save(path)
    stored = {**load_file(path), **(tensors or {})}
    facts = {
        "format": "urst-stats-2",
        "backbone": stats.backbone,
        "fingerprint": stats.fingerprint,
        "strength": 0.7,
        **(header or {}),
    }
    write_tensors(
        path,
        {name: value for name, value in stored.items() if value is not None},
        {name: value for name, value in facts.items() if value is not None},
    )
    return path


# Files


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microast", "adain"])
@pytest.mark.parametrize("strength", [0.0, 0.1, 1 / 3, 1.0])
def test_saved_and_loaded_they_are_the_same(tmp_path, random_backbones, name, strength):
    backbone = random_backbones[name]
    code = backbone.encode_style([picture((48, 56), seed=3).unsqueeze(0)])
    stats = backbone.collect(picture((64, 72)).unsqueeze(0), code, strength=strength)
    path = tmp_path / "stats.safetensors"
    stats.save(path)
    loaded = FrozenStats.load(path)
    assert (loaded.backbone, loaded.fingerprint) == (name, backbone.fingerprint)
    assert loaded.strength == strength
    assert loaded.code.tensors.keys() == stats.code.tensors.keys()
    for key, value in stats.code.tensors.items():
        assert torch.equal(loaded.code.tensors[key], value)
    assert loaded.sites.keys() == stats.sites.keys()
    for key, site in stats.sites.items():
        assert torch.equal(loaded.sites[key].mean, site.mean)
        assert torch.equal(loaded.sites[key].std, site.std)
    assert path.stat().st_size < 50_000
    window = picture((32, 40)).unsqueeze(0)
    with torch.inference_mode():
        assert torch.equal(backbone.bake(loaded)(window), backbone.bake(stats)(window))


def test_statistics_are_frozen(stats):
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.strength = 0.5


def test_missing_file(tmp_path):
    path = tmp_path / "absent.safetensors"
    with pytest.raises(StatsError) as caught:
        FrozenStats.load(path)
    assert str(caught.value).startswith(f"{path} cannot be read as statistics (")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file(tmp_path, stats, share):
    path = tmp_path / "stats.safetensors"
    stats.save(path)
    encoded = path.read_bytes()
    path.write_bytes(encoded[: int(len(encoded) * share)])
    with pytest.raises(StatsError) as caught:
        FrozenStats.load(path)
    assert str(caught.value).startswith(f"{path} cannot be read as statistics (")


def test_garbage(tmp_path):
    path = tmp_path / "stats.safetensors"
    path.write_bytes(b"no statistics at all" * 9)
    with pytest.raises(StatsError) as caught:
        FrozenStats.load(path)
    assert str(caught.value).startswith(f"{path} cannot be read as statistics (")


@pytest.mark.parametrize(
    ("facts", "shown"), [({}, "'no name'"), ({"format": "urst-x-0"}, "'urst-x-0'")]
)
def test_other_files_of_ours(tmp_path, facts, shown):
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"weight": torch.zeros(3)}, facts)
    with pytest.raises(StatsError) as caught:
        FrozenStats.load(path)
    assert str(caught.value) == (
        f"{path} has the format {shown}, not 'urst-stats-2'; measure the statistics again "
        "with this version"
    )


@pytest.mark.parametrize("header", [None, {"format": "urst-stats-1"}])
def test_files_of_others(tmp_path, header):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(3)}, path, header)
    with pytest.raises(StatsError) as caught:
        FrozenStats.load(path)
    assert str(caught.value) == (
        f"{path} cannot be read as statistics (without the header that urst writes); "
        "measure them again"
    )


def test_a_flipped_bit_is_noticed(tmp_path, stats):
    path = tmp_path / "stats.safetensors"
    stats.save(path)
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(20):
        path.write_bytes(whole)
        flip_bit(path, chance)
        with pytest.raises(StatsError, match=r"cannot be read as statistics \("):
            FrozenStats.load(path)


def test_the_same_statistics_give_the_same_bytes(tmp_path, stats):
    contents = set()
    for number in range(4):
        stats.save(tmp_path / str(number))
        contents.add((tmp_path / str(number)).read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"header": {"backbone": None}}, "KeyError('backbone')"),
        ({"header": {"fingerprint": None}}, "KeyError('fingerprint')"),
        ({"header": {"strength": None}}, "KeyError('strength')"),
        ({"header": {"strength": "strong"}}, "could not convert string to float: 'strong'"),
        ({"tensors": {"site.dec1.mean": None}}, "tensors ['std'] are not statistics of a site"),
    ],
    ids=["backbone", "fingerprint", "strength", "strength-word", "site"],
)
def test_damaged_file(tmp_path, stats, change, reason):
    path = rewritten(stats, tmp_path / "stats.safetensors", **change)
    with pytest.raises(StatsError) as caught:
        FrozenStats.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (")
    assert reason in message
    assert message.endswith("); measure the statistics again")


def test_an_unchanged_rewritten_file_loads(tmp_path, stats):
    path = rewritten(stats, tmp_path / "stats.safetensors")
    assert FrozenStats.load(path).strength == 0.7


# Bound to a backbone


@pytest.mark.slow
def test_statistics_of_another_backbone(random_backbones, stats):
    with pytest.raises(StatsError) as caught:
        random_backbones["adain"].bake(stats)
    assert str(caught.value) == (
        "statistics of backbone 'microast' do not fit 'adain'; measure them with 'adain'"
    )


def test_statistics_of_other_weights(microast, stats):
    other = random_backbone(MicroAST, seed=5)
    with pytest.raises(StatsError) as caught:
        other.bake(stats)
    assert str(caught.value) == (
        f"statistics of weights {microast.fingerprint[:12]} do not fit weights "
        f"{other.fingerprint[:12]}; measure them with the same weights"
    )
    assert microast.bake(stats)(picture((8, 8)).unsqueeze(0)).shape == (1, 3, 8, 8)


# Strength and mixtures


@pytest.mark.parametrize(
    ("strength", "share"), [(0.0, 1.0), (0.25, 0.5625), (0.5, 0.25), (1.0, 0.0)]
)
def test_share_of_the_content(microast, stats, strength, share):
    assert microast.content_share(strength) == share
    network = microast.bake(dataclasses.replace(stats, strength=strength))
    full = microast.bake(dataclasses.replace(stats, strength=1.0))
    window = picture((16, 24)).unsqueeze(0)
    with torch.inference_mode():
        expected = full(window).lerp(window, share)
        assert torch.allclose(network(window), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("strength", [-0.001, 1.001, math.nan, math.inf, -math.inf, 70])
def test_strength_out_of_range(microast, strength):
    message = f"strength {strength} is out of range; use 0 to 1"
    with pytest.raises(SettingsError) as caught:
        check_strength(strength)
    assert str(caught.value) == message
    image = picture((16, 16)).unsqueeze(0)
    with pytest.raises(SettingsError) as caught:
        microast.collect(image, microast.encode_style([image]), strength=strength)
    assert str(caught.value) == message


@pytest.mark.parametrize("strength", [0, 0.0, 0.5, 1, 1.0])
def test_strength_in_range(strength):
    assert check_strength(strength) is None


def code(*values: float) -> StyleCode:
    return StyleCode({"mean": torch.tensor(values), "std": torch.tensor(values) + 1})


def test_blend_by_hand():
    mixed = blend([code(0.0, 4.0), code(8.0, 0.0)], [3, 1])
    assert torch.equal(mixed.tensors["mean"], torch.tensor([2.0, 3.0]))
    assert torch.equal(mixed.tensors["std"], torch.tensor([3.0, 4.0]))


@given(
    values=st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=5),
    scale=st.floats(0.01, 100),
    data=st.data(),
)
def test_blend_is_a_weighted_mean_for_any_scale_of_weights(values, scale, data):
    weights = data.draw(st.lists(st.floats(0.01, 5), min_size=len(values), max_size=len(values)))
    codes = [code(value) for value in values]
    mean = float(blend(codes, weights).tensors["mean"])
    assert min(values) - 1e-4 <= mean <= max(values) + 1e-4
    scaled = float(blend(codes, [weight * scale for weight in weights]).tensors["mean"])
    assert mean == pytest.approx(scaled, abs=1e-4)


def test_blend_changes_none_of_its_codes():
    first, second = code(1.0, 2.0), code(3.0, 4.0)
    blend([first, second], [1, 1])
    assert first.tensors["mean"].tolist() == [1.0, 2.0]
    assert second.tensors["mean"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize(("styles", "weights"), [(0, []), (0, [1.0]), (2, [1.0]), (1, [0.5, 0.5])])
def test_as_many_weights_as_styles(styles, weights):
    with pytest.raises(SettingsError) as caught:
        blend([code(1.0)] * styles, weights)
    assert str(caught.value) == (
        f"{styles} styles with {len(weights)} weights; give one weight for each style"
    )


@pytest.mark.parametrize(
    "weights", [[0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0], [-1.0, -1.0]]
)
def test_weights_that_cannot_be_blended(weights):
    with pytest.raises(SettingsError) as caught:
        blend([code(1.0), code(2.0)], weights)
    assert str(caught.value) == (
        f"style weights {weights} cannot be used; use values >= 0, at least one above 0"
    )
