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
)
from urst_core.networks.reach import (
    BilinearUpsampling,
    Convolution,
    NearestUpsampling,
    Pooling,
    halo_of,
    influence_radius,
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
def test_windows_are_aligned_inside_the_frame_and_hold_core_and_halo(
    size, stride, strides_per_edge, strides_per_halo
):
    frame = frame_size(size, stride=stride)
    whole = Rectangle.of_size(frame)
    edge, halo = strides_per_edge * stride, strides_per_halo * stride
    clipped = [tile_around(core, halo, frame) for core in cut(whole, edge)]
    equal = equal_tiles(frame, edge=edge, halo=halo)
    assert [tile.core for tile in clipped] == [tile.core for tile in equal]
    assert len({tile.window.size for tile in equal}) == 1
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


@given(st.lists(st.sampled_from(["conv3", "conv9", "down", "pool"]), max_size=6))
def test_influence_of_layers_equals_that_of_real_ones(names):
    """Perturb each input of a real one-dimensional chain and see which aligned block changes."""
    kinds = {
        "conv3": (Convolution(3), 1),
        "conv9": (Convolution(9), 1),
        "down": (Convolution(3, stride=2), 2),
        "pool": (Pooling(), 2),
    }
    layers = [kinds[name][0] for name in names]
    stride = 1
    for name in names:
        stride *= kinds[name][1]
    layers += [BilinearUpsampling() if i % 2 else NearestUpsampling() for i in range(9)][
        : stride.bit_length() - 1
    ]
    block = 1024 // stride // 2 * stride
    reached = torch.zeros(1024, dtype=torch.bool)
    reached[block : block + stride] = True
    for layer in reversed(layers):
        reached = _inputs(layer, reached)
    positions = reached.nonzero().flatten()
    radius = max(block - int(positions[0]), int(positions[-1]) - (block + stride - 1))
    assert influence_radius(layers, stride=stride) == radius
    assert halo_of(layers, stride=stride) == round_up(radius, stride)


def _inputs(layer, outputs):
    """Which inputs the outputs depend on, by the definition of each layer, element by element."""
    match layer:
        case Convolution(kernel, stride):
            length, sources = (
                len(outputs) * stride,
                lambda i: range(i * stride - kernel // 2, i * stride + kernel // 2 + 1),
            )
        case Pooling(factor):
            length, sources = len(outputs) * factor, lambda i: range(i * factor, (i + 1) * factor)
        case NearestUpsampling(factor):
            length, sources = len(outputs) // factor, lambda i: (i // factor,)
        case BilinearUpsampling():
            length, sources = (
                len(outputs) // 2,
                lambda i: (i // 2 - 1, i // 2) if i % 2 == 0 else (i // 2, i // 2 + 1),
            )
    inputs = torch.zeros(length, dtype=torch.bool)
    for index in outputs.nonzero().flatten().tolist():
        for source in sources(index):
            if 0 <= source < length:
                inputs[source] = True
    return inputs


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
    with pytest.raises(ShapeError, match="lies between pixels of maps 1 / 8 the size"):
        Rectangle(4, 0, 16, 24).scaled(1, 8)
