from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urst_core.errors import SettingsError, ShapeError
from urst_core.geometry import (
    Rectangle,
    check_tile_size,
    cut,
    equal_tiles,
    frame_size,
    round_up,
    tile_around,
    windows_area,
)

strides = st.sampled_from([1, 2, 4, 8])
sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def test_cut_literal():
    assert list(cut(Rectangle(0, 0, 5, 7), 4)) == [
        Rectangle(0, 0, 4, 4),
        Rectangle(0, 4, 4, 7),
        Rectangle(4, 0, 5, 4),
        Rectangle(4, 4, 5, 7),
    ]


def test_window_is_clipped_at_the_border_and_grown_inside():
    tile = tile_around(Rectangle(8, 0, 16, 8), 4, (24, 24))
    assert tile.window == Rectangle(4, 0, 20, 12)
    assert tile.core_in_window == Rectangle(4, 0, 12, 8)
    assert tile.touches_border((24, 24))
    assert not tile_around(Rectangle(8, 8, 16, 16), 4, (24, 24)).touches_border((24, 24))


def test_equal_tiles_move_inward_and_keep_their_outer_edge_on_the_border():
    windows = [tile.window for tile in equal_tiles((20, 8), edge=8, halo=4)]
    assert windows == [Rectangle(0, 0, 16, 8), Rectangle(4, 0, 20, 8), Rectangle(4, 0, 20, 8)]


@given(size=sizes, stride=strides, strides_per_edge=st.integers(1, 40))
def test_cores_cover_every_pixel_once(size, stride, strides_per_edge):
    frame = frame_size(size, stride=stride)
    covered = torch.zeros(frame, dtype=torch.int32)
    for core in cut(Rectangle.of_size(frame), strides_per_edge * stride):
        covered[core.slices] += 1
    assert bool((covered == 1).all())


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 4097), (333, 517), (8, 8)])
def test_cores_cover_every_pixel_once_for_odd_and_panoramic_sizes(size):
    frame = frame_size(size, stride=8, minimum=16)
    covered = torch.zeros(frame, dtype=torch.int32)
    for core in cut(Rectangle.of_size(frame), 64):
        covered[core.slices] += 1
    assert bool((covered == 1).all())


@given(
    size=sizes,
    stride=strides,
    strides_per_edge=st.integers(1, 20),
    strides_per_halo=st.integers(0, 9),
)
def test_windows_are_aligned_and_contain_core_and_halo(
    size, stride, strides_per_edge, strides_per_halo
):
    frame = frame_size(size, stride=stride)
    whole = Rectangle.of_size(frame)
    edge, halo = strides_per_edge * stride, strides_per_halo * stride
    clipped = [tile_around(core, halo, frame) for core in cut(whole, edge)]
    equal = equal_tiles(frame, edge=edge, halo=halo)
    assert [tile.core for tile in clipped] == [tile.core for tile in equal]
    assert len({tile.window.size for tile in equal}) == 1
    assert windows_area(frame, edge, halo) == sum(tile.window.area for tile in clipped)
    for tile in clipped + equal:
        assert whole.contains(tile.window)
        assert tile.window.contains(tile.core.grown(halo).clipped(frame))
        corners = (tile.window.top, tile.window.left, tile.core.top, tile.core.left)
        assert not any(corner % stride for corner in corners)


@given(size=sizes, stride=strides, minimum=st.integers(1, 40))
def test_frame_is_the_smallest_of_whole_strides(size, stride, minimum):
    frame = frame_size(size, stride=stride, minimum=minimum)
    for length, framed in zip(size, frame):
        assert framed == round_up(max(length, minimum), stride)
        assert framed >= length
        assert framed >= minimum
        assert framed % stride == 0
        assert framed - stride < max(length, minimum)


@pytest.mark.parametrize(
    ("tile_size", "choices"), [(164, "160 or 168"), (3, "8 or more"), (0, "8 or more")]
)
def test_tile_size_off_the_stride(tile_size, choices):
    with pytest.raises(SettingsError) as caught:
        check_tile_size(tile_size, stride=8, name="AdaIN")
    assert str(caught.value) == (
        f"tile size {tile_size} is not a positive multiple of AdaIN's stride 8; use {choices}"
    )


def test_empty_image():
    with pytest.raises(ShapeError, match="image of 0 x 5 px is empty; give at least 1 x 1"):
        frame_size((0, 5), stride=4)


def test_scaling_to_feature_maps():
    assert Rectangle(8, 0, 16, 24).scaled(1, 8) == Rectangle(1, 0, 2, 3)
    assert Rectangle(8, 0, 16, 24).scaled(2, 1) == Rectangle(16, 0, 32, 48)
    with pytest.raises(ShapeError, match="is between pixels of maps 1 / 8 the size"):
        Rectangle(4, 0, 16, 24).scaled(1, 8)
