"""Batches: positions of patches, dependence on inputs, prefetching."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from examples import save_picture
from training_examples import EDGE, IMAGE_SIZE, open_batches

from urst_core.geometry import Rectangle
from urst_core.method.brushwork import STRONGEST
from urst_core.training.batches import Batch, Prefetched


def same(first: Batch, second: Batch) -> bool:
    return (
        first.place == second.place
        and torch.equal(first.thumbnails, second.thumbnails)
        and torch.equal(first.patches, second.patches)
        and torch.equal(first.styles, second.styles)
    )


# The place of a patch


def test_patch_of_a_thumbnail_by_hand():
    """A thumbnail whose values are its columns, enlarged: 0, .25, .75, 1.25, … px."""
    columns = torch.arange(8.0).expand(1, 3, 8, 8)
    nothing = torch.zeros(1, 3, 8, 8)
    batch = Batch(nothing, nothing, Rectangle(top=4, left=5, bottom=12, right=13), 2, None)
    patch = batch.patch_of(columns)
    assert patch.shape == (1, 3, 8, 8)
    expected = torch.tensor([2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25, 5.75])
    assert torch.allclose(patch, expected.expand(1, 3, 8, 8))
    expected = torch.tensor([1.75, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5.25])
    assert torch.allclose(batch.patch_of(columns.mT), expected[:, None].expand(1, 3, 8, 8))


@pytest.mark.slow
def test_patch_of_the_thumbnail_matches_the_cut_patch(tmp_path):
    """In a picture whose red is its column and whose green is its row, at many places."""
    ramp = torch.arange(64, dtype=torch.uint8) * 4
    pixels = torch.stack(
        [ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.full((64, 64), 7)]
    )
    for name in ("content", "style"):
        (tmp_path / name).mkdir()
        save_picture(tmp_path / name / "ramp.png", pixels.to(torch.uint8))
    places = set()
    batches = open_batches(tmp_path)
    for step in range(20):
        batch = batches.at(step)
        places.add(batch.place)
        assert batch.place.size == (EDGE, EDGE)
        assert Rectangle.of_size((IMAGE_SIZE, IMAGE_SIZE)).contains(batch.place)
        # The thumbnail stands for its own stylized version. Near the border of the picture the
        # antialiasing filter is cut off.
        enlarged = batch.patch_of(batch.thumbnails)
        inner = (..., slice(3, -3), slice(3, -3))
        difference = (enlarged - batch.patches).abs()
        assert float(difference[inner].max()) < 0.01
        steps = batch.patches.diff(dim=-1)[:, 0].abs()
        assert float(steps.mean()) > 0.015  # what a shift by one pixel would make
    assert len(places) > 15


def test_shapes_and_range(pictures):
    batches = open_batches(pictures)
    batch = batches.at(0)
    assert batch.thumbnails.shape == batch.patches.shape == batch.styles.shape == (2, 3, EDGE, EDGE)
    assert batch.thumbnails.dtype == torch.float32
    for tensor in (batch.thumbnails, batch.patches, batch.styles):
        assert 0 <= float(tensor.min()) < float(tensor.max()) <= 1


def test_on_a_device(pictures):
    batch = open_batches(pictures).at(3)
    moved = batch.to(torch.device("cpu"))
    assert same(batch, moved)
    assert moved.patches.is_contiguous(memory_format=torch.channels_last)
    without = Batch(batch.thumbnails, batch.patches, batch.place, batch.scale, None)
    assert without.to(torch.device("cpu")).styles is None


@pytest.mark.slow
def test_brushwork(pictures):
    """Every other thumbnail gets noise of its own; what losses compare with stays."""
    plain = open_batches(pictures, size=4).at(3)
    assert plain.given is plain.thumbnails
    batches = dataclasses.replace(open_batches(pictures, size=4), brushwork=1.0)
    batch = batches.at(3)
    assert same(dataclasses.replace(batch, brushed=None), plain)
    difference = batch.given - batch.thumbnails
    assert not difference[1::2].any()
    deviations = difference[::2].flatten(1).std(dim=1)
    assert bool((deviations > 0).all())
    assert float(deviations.max()) <= 1.5 * STRONGEST
    assert not torch.equal(difference[0], difference[2])
    assert torch.equal(batches.at(3).given, batch.given)
    assert not torch.equal(batches.at(4).given - batches.at(4).thumbnails, difference)
    assert torch.equal(batch.to(torch.device("cpu")).given, batch.given)


@pytest.mark.slow
def test_style_crops_come_again(pictures):
    """Two pictures of three crops each: six crops, the same in every run and of every seed."""
    seen: dict[str, torch.Tensor] = {}
    for seed in (0, 1):
        batches = dataclasses.replace(open_batches(pictures, seed=seed), style_crops=3)
        for step in range(15):
            batch = batches.at(step)
            assert len(batch.style_names) == len(batch.styles)
            for name, pixels in zip(batch.style_names, batch.styles):
                assert torch.equal(seen.setdefault(name, pixels), pixels)
    count = len(open_batches(pictures).styles.sizes)
    assert len(seen) == 3 * count
    crops = list(seen.values())
    different = {tuple(pixels.flatten().tolist()) for pixels in crops}
    assert len(different) == len(crops)
    moved = batch.to(torch.device("cpu"))
    assert moved.style_names == batch.style_names


def test_style_crops_leave_contents_alone(pictures):
    plain = open_batches(pictures).at(2)
    assert plain.style_names is None
    kept = dataclasses.replace(open_batches(pictures), style_crops=3).at(2)
    assert torch.equal(kept.thumbnails, plain.thumbnails)


# What a batch depends on


def test_steps_and_seeds_differ(pictures):
    batch = open_batches(pictures).at(3)
    assert same(batch, open_batches(pictures).at(3))
    assert not same(batch, open_batches(pictures).at(4))
    assert not same(batch, open_batches(pictures, seed=1).at(3))


def test_not_on_the_steps_before(pictures):
    batches = open_batches(pictures)
    for step in (0, 1, 2):
        batches.at(step)
    assert same(batches.at(7), open_batches(pictures).at(7))


def test_not_on_the_global_generators(pictures):
    torch.manual_seed(1)
    first = open_batches(pictures).at(0)
    torch.manual_seed(2)
    assert same(first, open_batches(pictures).at(0))
    state = torch.get_rng_state()
    open_batches(pictures).at(0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_not_on_whether_files_are_kept_in_memory(pictures):
    on_disk, in_memory = open_batches(pictures), open_batches(pictures, keep_in_memory=True)
    assert len(in_memory.contents.encoded) == 4
    for step in range(5):
        assert same(on_disk.at(step), in_memory.at(step))


@pytest.mark.slow
def test_batches_do_not_depend_on_path_or_order_of_files(pictures, tmp_path):
    """Files written in reverse order lie in another order on most disks."""
    for name in ("content", "style"):
        (tmp_path / name).mkdir()
        for path in sorted((pictures / name).iterdir(), reverse=True):
            shutil.copy(path, tmp_path / name / path.name)
    first, second = open_batches(pictures), open_batches(tmp_path)
    assert first.description() == second.description()
    for step in range(5):
        assert same(first.at(step), second.at(step))


def test_not_on_the_order_in_which_the_system_lists_a_folder(pictures, monkeypatch):
    listed = Path.rglob
    expected = [open_batches(pictures).at(step) for step in range(3)]
    monkeypatch.setattr(
        Path, "rglob", lambda self, pattern: sorted(listed(self, pattern), reverse=True)
    )
    assert all(same(open_batches(pictures).at(step), expected[step]) for step in range(3))


def test_without_styles(pictures):
    batches = open_batches(pictures)
    without = type(batches)(batches.contents, None, 2, IMAGE_SIZE, EDGE, 0)
    assert without.at(0).styles is None
    assert torch.equal(without.at(0).patches, batches.at(0).patches)
    assert list(without.description()) == ["content pictures"]


def test_description_differs_for_other_pictures(pictures, tmp_path):
    before = open_batches(pictures).description()
    assert list(before) == ["content pictures", "style pictures"]
    assert before["content pictures"].startswith("4 (")
    shutil.copytree(pictures, tmp_path, dirs_exist_ok=True)
    (tmp_path / "content" / "picture0.png").rename(tmp_path / "content" / "other.png")
    after = open_batches(tmp_path).description()
    assert after["content pictures"] != before["content pictures"]
    assert after["style pictures"] == before["style pictures"]


# Prefetching


@pytest.mark.slow
@pytest.mark.parametrize("first_step", [0, 5])
def test_prefetching_does_not_change_batches(pictures, first_step):
    batches = open_batches(pictures)
    with Prefetched(batches, first_step) as prefetched:
        for step in range(first_step, first_step + 4):
            assert same(prefetched.take(), batches.at(step))


def test_prefetching_hands_errors_on_in_their_turn(pictures):
    batches = open_batches(pictures)

    class Failing:
        def at(self, step):
            if step == 2:
                raise OSError("the disk is gone")
            return batches.at(step)

    with Prefetched(Failing(), 0) as prefetched:
        assert same(prefetched.take(), batches.at(0))
        assert same(prefetched.take(), batches.at(1))
        with pytest.raises(OSError, match="the disk is gone"):
            prefetched.take()
