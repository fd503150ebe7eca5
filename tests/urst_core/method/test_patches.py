"""Tiles as a batch: cutting and joining are inverse at every valid scale."""

from __future__ import annotations

import pytest
import torch
from examples import picture, stored_picture
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from urst_core.errors import SettingsError, ShapeError
from urst_core.method.patches import Layout, cut_windows, join_windows, plan_layout
from urst_core.pictures.source import TensorSource


@st.composite
def layouts(draw, *, least_halo: int = 0, multiple: int = 1):
    """Layouts of small pictures; tile size, halo and stride are multiples of ``multiple``."""
    stride = draw(st.sampled_from([1, 2, 4, 8])) * multiple
    return plan_layout(
        (draw(st.integers(1, 70)), draw(st.integers(1, 70))),
        tile_size=stride * draw(st.integers(1, 12)),
        halo=stride * draw(st.integers(least_halo, 5)),
        stride=stride,
        minimum=draw(st.sampled_from([1, 16])),
    )


def content_of(layout: Layout) -> Tensor:
    return picture(layout.image, seed=sum(layout.image))


def enlarged(image: Tensor, numerator: int, denominator: int) -> Tensor:
    """(..., H, W) by nearest neighbor, a last partial pixel dropped."""
    indices = [
        torch.arange(length * numerator // denominator) * denominator // numerator
        for length in image.shape[-2:]
    ]
    return image[..., indices[0], :][..., indices[1]]


@given(layout=layouts())
def test_cut_then_join_is_the_identity(layout):
    content = content_of(layout)
    windows = cut_windows(TensorSource(content), layout)
    assert windows.shape == (len(layout.tiles), 3, *layout.window)
    assert torch.equal(join_windows(windows, layout), content)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (700, 3), (333, 217), (64, 64)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
def test_cut_then_join_is_the_identity_for_every_type(size, dtype):
    content = picture(size).to(dtype) if dtype.is_floating_point else stored_picture(size, dtype)
    layout = plan_layout(size, tile_size=96, halo=32, stride=8, minimum=16)
    windows = cut_windows(TensorSource(content), layout)
    assert windows.dtype == dtype
    assert torch.equal(join_windows(windows, layout), content)


def test_alpha_goes_with_the_colors():
    content = picture((50, 40), channels=4)
    layout = plan_layout((50, 40), tile_size=16, halo=8, stride=4)
    assert torch.equal(join_windows(cut_windows(TensorSource(content), layout), layout), content)


def test_windows_by_hand():
    """6 x 4 px in tiles of 4 with a halo of 2 at stride 2: two windows, the second moved up."""
    content = torch.arange(72.0).reshape(3, 6, 4)
    layout = plan_layout((6, 4), tile_size=4, halo=2, stride=2)
    assert layout.window == (6, 4)
    assert [tile.core.top for tile in layout.tiles] == [0, 4]
    assert torch.equal(cut_windows(TensorSource(content), layout), torch.stack([content, content]))


@given(layout=layouts(), scale=st.sampled_from([2, 3]))
def test_whole_scales(layout, scale):
    content = content_of(layout)
    windows = enlarged(cut_windows(TensorSource(content), layout), scale, 1)
    assert torch.equal(join_windows(windows, layout), enlarged(content, scale, 1))


@given(layout=layouts(multiple=2))
def test_half_the_size(layout):
    content = content_of(layout)
    windows = cut_windows(TensorSource(content), layout)[..., ::2, ::2]
    joined = join_windows(windows, layout)
    height, width = layout.image
    assert joined.shape == (3, height // 2, width // 2)
    assert torch.equal(joined, content[:, : height // 2 * 2 : 2, : width // 2 * 2 : 2])


@given(layout=layouts(multiple=2))
def test_one_and_a_half_times_the_size(layout):
    content = content_of(layout)
    windows = enlarged(cut_windows(TensorSource(content), layout), 3, 2)
    assert torch.equal(join_windows(windows, layout), enlarged(content, 3, 2))


def test_another_scale_for_each_axis():
    content = picture((30, 44))
    layout = plan_layout((30, 44), tile_size=8, halo=4, stride=4)
    windows = cut_windows(TensorSource(content), layout).repeat_interleave(2, dim=-2)
    windows = windows.repeat_interleave(3, dim=-1)
    expected = content.repeat_interleave(2, dim=-2).repeat_interleave(3, dim=-1)
    assert torch.equal(join_windows(windows, layout), expected)


@pytest.mark.parametrize(
    ("window", "scale", "multiple"),
    [
        ((10, 10), "0.5 x 0.5", 2),
        ((30, 30), "1.5 x 1.5", 2),
        ((20, 25), "1 x 1.25", 4),
        ((30, 25), "1.5 x 1.25", 4),
        ((21, 20), "1.05 x 1", 20),
    ],
)
@pytest.mark.parametrize("feather", [0, 3])
def test_scale_that_puts_edges_between_pixels(window, scale, multiple, feather):
    layout = plan_layout((40, 40), tile_size=10, halo=5, stride=5)
    assert layout.window == (20, 20)
    with pytest.raises(ShapeError) as caught:
        join_windows(torch.zeros(16, 3, *window), layout, feather=feather)
    assert str(caught.value) == (
        f"windows scaled by {scale} put tile edges between pixels; use a whole scale, "
        f"or a stride, a tile size and a halo that are multiples of {multiple}, "
        "or the layout that these windows were cut by"
    )
    finer = plan_layout((40, 40), tile_size=20, halo=20, stride=20)
    scaled = tuple(edge * length // 20 for edge, length in zip(window, finer.window))
    joined = join_windows(torch.zeros(4, 3, *scaled), finer, feather=feather)
    assert joined.shape[1:] == tuple(2 * length for length in window)


# Feathered


@pytest.mark.slow
@given(layout=layouts(least_halo=1), data=st.data(), scale=st.sampled_from([1, 2]))
def test_feathering_equal_windows_does_not_change_them(layout, data, scale):
    feather = data.draw(st.integers(0, layout.overlap))
    content = content_of(layout)
    windows = enlarged(cut_windows(TensorSource(content), layout), scale, 1)
    joined = join_windows(windows, layout, feather=feather)
    assert joined.shape == (3, *(length * scale for length in layout.image))
    assert float((joined - enlarged(content, scale, 1)).abs().max()) <= 1e-6


@given(layout=layouts(least_halo=1), data=st.data())
def test_feathering_one_color_gives_that_color(layout, data):
    feather = data.draw(st.integers(0, layout.overlap))
    windows = torch.full((len(layout.tiles), 3, *layout.window), 0.37)
    joined = join_windows(windows, layout, feather=feather)
    assert float((joined - 0.37).abs().max()) <= 1e-6


def test_a_step_between_two_windows_becomes_a_ramp():
    layout = plan_layout((8, 32), tile_size=16, halo=8, stride=8)
    windows = torch.stack([torch.zeros(3, 8, 32), torch.ones(3, 8, 32)])
    ramp = [0.125, 0.375, 0.625, 0.875]
    joined = join_windows(windows, layout, feather=2)
    assert torch.allclose(joined, torch.tensor([0.0] * 14 + ramp + [1.0] * 14).expand(3, 8, 32))
    hard = join_windows(windows, layout)
    assert torch.equal(hard, torch.tensor([0.0] * 16 + [1.0] * 16).expand(3, 8, 32))
    # Twice the size, and the transition is twice as wide.
    doubled = join_windows(enlarged(windows, 2, 1), layout, feather=2)
    row = doubled[0, 0]
    assert bool((row[:28] == 0).all())
    assert bool((row[36:] == 1).all())
    assert torch.allclose(row[28:36], (torch.arange(8) + 0.5) / 8)
    # And from top to bottom as from left to right.
    upright = plan_layout((32, 8), tile_size=16, halo=8, stride=8)
    turned = join_windows(enlarged(windows, 2, 1).transpose(2, 3), upright, feather=2)
    assert torch.equal(turned, doubled.transpose(1, 2))


@given(
    feather=st.integers(1, 24),
    height=st.integers(1, 40),
    width=st.integers(33, 90),
    tile_size=st.sampled_from([8, 16, 24, 32]),
)
def test_steps_between_many_windows_stay_monotone(feather, height, width, tile_size):
    """Windows that get brighter from left to right join to a picture that does."""
    layout = plan_layout((height, width), tile_size=tile_size, halo=24, stride=8)
    windows = torch.stack(
        [torch.full((3, *layout.window), tile.core.left / 100) for tile in layout.tiles]
    )
    joined = join_windows(windows, layout, feather=min(feather, layout.overlap))
    assert float(joined.diff(dim=2).min()) >= -1e-6
    assert float(joined[:, :, 0].max()) <= float(joined[:, :, -1].min())


@pytest.mark.parametrize("feather", [-1, 9, 100])
def test_feather_beyond_the_halo(feather):
    layout = plan_layout((64, 64), tile_size=16, halo=8, stride=8)
    windows = cut_windows(TensorSource(content_of(layout)), layout)
    with pytest.raises(SettingsError) as caught:
        join_windows(windows, layout, feather=feather)
    assert str(caught.value) == (
        f"feather {feather} does not fit a halo of 8 px; use 0 to 8, or cut with a larger halo"
    )
    assert join_windows(windows, layout, feather=8).shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("image", "tile_size", "halo", "overlap"),
    [
        ((64, 64), 16, 8, 8),
        ((8, 200), 4, 8, 8),  # cores smaller than the halo
        ((200, 8), 4, 8, 8),
        ((8, 196), 64, 40, 40),  # a last core of 4 px
        ((8, 72), 64, 40, 72),  # each window is the whole frame
        ((40, 40), 40, 8, 0),  # one tile
    ],
)
def test_overlap_is_the_halo_wherever_a_window_ends_inside_the_frame(
    image, tile_size, halo, overlap
):
    layout = plan_layout(image, tile_size=tile_size, halo=halo, stride=4)
    assert layout.overlap == overlap
    content = content_of(layout)
    windows = cut_windows(TensorSource(content), layout)
    joined = join_windows(windows, layout, feather=overlap)
    assert float((joined - content).abs().max()) <= 1e-6


def test_feather_without_a_halo_even_where_the_last_window_moved_inward():
    layout = plan_layout((20, 20), tile_size=8, halo=0, stride=4)
    assert layout.overlap == 0
    with pytest.raises(SettingsError, match="feather 2 does not fit a halo of 0 px; use 0 to 0"):
        join_windows(torch.zeros(9, 3, 8, 8), layout, feather=2)


def test_one_tile_needs_no_feather():
    layout = plan_layout((20, 20), tile_size=32, halo=8, stride=4)
    content = content_of(layout)
    windows = cut_windows(TensorSource(content), layout)
    assert layout.overlap == 0
    assert torch.equal(join_windows(windows, layout, feather=5), content)


# Refused


@pytest.mark.parametrize("count", [0, 3, 5])
def test_missing_windows(count):
    layout = plan_layout((20, 30), tile_size=16, halo=4, stride=4)
    with pytest.raises(ShapeError) as caught:
        join_windows(torch.zeros(count, 3, *layout.window), layout)
    assert str(caught.value) == (
        f"{count} windows do not fill a layout of 4 tiles; "
        "pass every tile of this picture, in order"
    )


def test_layout_of_another_picture():
    layout = plan_layout((20, 30), tile_size=16, halo=4, stride=4)
    with pytest.raises(ShapeError) as caught:
        cut_windows(TensorSource(picture((30, 20))), layout)
    assert str(caught.value) == (
        "picture of (30, 20) does not fit a layout for (20, 30) (height, width); "
        "plan the layout for this picture"
    )


@pytest.mark.parametrize(("halo", "remedy"), [(4, 8), (61, 64), (-8, 0), (-3, 0)])
def test_halo_off_the_stride(halo, remedy):
    with pytest.raises(SettingsError) as caught:
        plan_layout((64, 64), tile_size=16, halo=halo, stride=8, name="AdaIN")
    assert str(caught.value) == (f"halo {halo} is not a multiple of AdaIN's stride 8; use {remedy}")


@pytest.mark.parametrize(
    ("tile_size", "remedy"), [(20, "16 or 24"), (7, "8 or more"), (0, "8 or more")]
)
def test_tile_size_off_the_stride(tile_size, remedy):
    with pytest.raises(SettingsError) as caught:
        plan_layout((64, 64), tile_size=tile_size, halo=8, stride=8)
    assert str(caught.value) == (
        f"tile size {tile_size} is not a positive multiple of tile's stride 8; use {remedy}"
    )


@pytest.mark.parametrize("stride", [0, -4])
def test_stride_that_is_not_positive(stride):
    with pytest.raises(SettingsError) as caught:
        plan_layout((64, 64), tile_size=16, halo=8, stride=stride)
    assert str(caught.value) == f"stride {stride} is not positive; use 1 or more"


def test_empty_image():
    with pytest.raises(ShapeError, match="image of 0 x 64 px is empty; give at least 1 x 1"):
        plan_layout((0, 64), tile_size=16, halo=8, stride=8)
