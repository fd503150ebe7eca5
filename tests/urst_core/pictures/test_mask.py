"""Masks: the feather, and that nothing changes outside."""

from __future__ import annotations

import math

import pytest
import torch
from examples import picture, stored_picture
from hypothesis import given, settings
from hypothesis import strategies as st

from urst_core.errors import ImageError, SettingsError, ShapeError
from urst_core.geometry import Rectangle, cut
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.mask import Mask, PictureMask, TensorMask, blend, blend_in_place
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

SIZE = (128, 192)
STYLE = TensorSource(picture((64, 64), seed=3))
SETTINGS = Settings(strokes="fine", thumbnail_size=64, style_size=64, tile_size=64, device="cpu")


def disk(size, *, radius, center=None):
    """1 inside a circle, 0 outside, (H, W)."""
    row, column = center or (size[0] / 2, size[1] / 2)
    rows = torch.arange(size[0])[:, None] - row
    columns = torch.arange(size[1])[None] - column
    return ((rows.square() + columns.square()) < radius**2).float()


def coverage(values, feather, rectangle=None):
    mask = Mask(TensorMask(values), feather)
    return mask.coverage(rectangle or Rectangle.of_size(tuple(values.shape)))


def by_definition(values, feather):
    """The formula of the module's docstring, pixel against pixel."""
    height, width = values.shape
    result = torch.empty(height, width, dtype=torch.float64)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    for row in range(height):
        for column in range(width):
            distances = (rows - row).square() + (columns - column).square()
            least = (values.double().square() + distances / feather**2).min()
            result[row, column] = math.sqrt(least)
    return result


def stylized(microast, content, mask=None):
    canvas = TensorCanvas(content.size, channels=content.channels, dtype=content.dtype)
    stylize(content, [STYLE], canvas, microast, SETTINGS, mask=mask)
    return canvas.pixels


def test_a_straight_edge_by_hand():
    values = torch.zeros(3, 11)
    values[:, 4:] = 1.0
    expected = [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert coverage(values, 4).tolist() == [expected] * 3


@pytest.mark.parametrize("feather", [0, 1])
def test_without_a_feather_the_mask_is_as_it_was(feather):
    values = torch.rand(9, 7)
    assert torch.equal(coverage(values, feather), values)


def test_a_corner_fades_by_its_distance():
    values = torch.ones(12, 12)
    values[0, 0] = 0.0
    faded = coverage(values, 10)
    assert faded[3, 4] == 0.5
    assert faded[6, 8] == 1.0
    assert faded[0, 0] == 0.0


@given(seed=st.integers(0, 99), feather=st.integers(2, 12), is_soft=st.booleans())
@settings(max_examples=12)
def test_feather_matches_its_definition(seed, feather, is_soft):
    values = torch.rand(13, 17, generator=torch.Generator().manual_seed(seed))
    values = values if is_soft else (values > 0.05).float()
    expected = by_definition(values, feather)
    torch.testing.assert_close(coverage(values, feather).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("feather", [3, 8, 40])
@pytest.mark.parametrize("is_soft", [False, True])
def test_tiles_are_feathered_as_the_whole_is_bit_for_bit(feather, is_soft):
    values = disk((70, 90), radius=25)
    if is_soft:
        values = values * picture((70, 90), channels=1)[0]
    whole = coverage(values, feather)
    for core in cut(Rectangle.of_size((70, 90)), 16):
        assert torch.equal(coverage(values, feather, core), whole[core.slices])


def test_feather_neither_fades_at_the_border_nor_leaks_outside():
    assert torch.equal(coverage(torch.ones(20, 30), 8), torch.ones(20, 30))
    values = disk((60, 60), radius=20)
    faded = coverage(values, 12)
    assert torch.equal(faded > 0, values > 0)
    assert 0 < int((faded == 1).sum()) < int((values == 1).sum())


def test_values_beyond_the_range_count_as_its_ends():
    assert coverage(torch.tensor([[-0.5, 0.25, 1.5, math.inf]]), 0).tolist() == [[0, 0.25, 1, 1]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_masks_of_any_floating_type(dtype):
    values = torch.tensor([[0.0, 0.5, 1.0]], dtype=dtype)
    assert coverage(values, 0).tolist() == [[0, 0.5, 1]]
    assert coverage(values, 0).dtype == torch.float32


def test_a_picture_as_a_mask():
    pixels = torch.tensor([[[0, 255, 51]], [[0, 255, 0]], [[0, 255, 102]]])
    mask = PictureMask(TensorSource(pixels.to(torch.uint8)))
    assert mask.size == (1, 3)
    values = mask.read(Rectangle(0, 0, 1, 3))
    torch.testing.assert_close(values, torch.tensor([[0, 1, 0.2]]))
    assert values[0, 1] == 1.0


def test_what_is_transparent_in_a_mask_stays_as_it_is():
    """As if the mask were flattened onto black; white and opaque is 1 exactly."""
    white = [[255, 255, 255, 51]]
    pixels = torch.tensor([white, white, white, [[255, 0, 51, 255]]], dtype=torch.uint8)
    values = PictureMask(TensorSource(pixels)).read(Rectangle(0, 0, 1, 4))
    torch.testing.assert_close(values, torch.tensor([[1, 0, 0.2, 0.2]]))
    assert values[0, :2].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (torch.ones(2, 3, 4), ShapeError, r"\(2, 3, 4\) cannot be read; pass \(height, width\)"),
        (torch.ones(0, 4), ShapeError, "not empty"),
        (torch.ones(3, 4, dtype=torch.uint8), ImageError, "uint8 values .* pass floating ones"),
    ],
)
def test_invalid_masks_are_refused(values, error, message):
    with pytest.raises(error, match=message):
        TensorMask(values)


def test_a_mask_with_a_hole_of_nan():
    values = torch.ones(8, 8)
    values[5, 6] = float("nan")
    with pytest.raises(ImageError, match="mask value at row 5, column 6 is NaN"):
        coverage(values, 0, Rectangle(4, 4, 8, 8))


@pytest.mark.parametrize("feather", [-1, 257])
def test_feathers_out_of_range(feather):
    with pytest.raises(SettingsError, match=f"feather {feather} is out of range; use 0 to 256 px"):
        Mask(TensorMask(torch.ones(4, 4)), feather)


def test_a_mask_of_another_size(microast):
    content = TensorSource(picture((64, 96)))
    canvas = TensorCanvas(content.size, dtype=torch.float32)
    mask = Mask(TensorMask(torch.ones(64, 64)))
    message = r"mask of 64 x 64 px .* a picture of 64 x 96 px; resize the mask to 64 x 96 px"
    with pytest.raises(ShapeError, match=message):
        stylize(content, [STYLE], canvas, microast, SETTINGS, mask=mask)
    with pytest.raises(ShapeError, match=message):
        Run.of(content, microast, SETTINGS, mask=mask)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("feather", [0, 20])
def test_outside_is_the_content_and_inside_the_stylized_picture_bit_for_bit(
    microast, dtype, feather
):
    pixels = picture(SIZE, channels=4)
    if dtype is torch.float32:
        # Not all pictures stay in 0..1, and outside the mask they are nobody's business.
        pixels = pixels * 1.2 - 0.1
    else:
        pixels = stored_picture(SIZE, dtype, channels=4)
    content = TensorSource(pixels)
    mask = Mask(TensorMask(disk(SIZE, radius=45)), feather)
    everywhere, inside = stylized(microast, content), stylized(microast, content, mask)
    shares = mask.coverage(Rectangle.of_size(SIZE))
    for share, expected in ((0.0, pixels), (1.0, everywhere)):
        where = (shares == share).expand(4, -1, -1)
        assert int(where.sum()) > 0
        assert torch.equal(inside[where].int(), expected[where].int())
        assert torch.equal(inside[where].float(), expected[where].float())
    assert torch.equal(inside[3].float(), pixels[3].float())
    if feather:
        between = ((shares > 0) & (shares < 1)).expand(3, -1, -1)
        low = torch.minimum(pixels[:3].float(), everywhere[:3].float())[between]
        high = torch.maximum(pixels[:3].float(), everywhere[:3].float())[between]
        mixed = inside[:3].float()[between]
        assert bool(((mixed >= low - 1e-6) & (mixed <= high + 1e-6)).all())


def test_only_tiles_that_the_mask_touches_are_computed(microast, monkeypatch):
    content = TensorSource(picture(SIZE))
    values = torch.zeros(SIZE)
    values[70:80, 100:110] = 1.0
    computed = []
    forward = TileNetwork.forward

    def counted(network, window, **options):
        computed.append(tuple(window.shape))
        return forward(network, window, **options)

    stats = stylize(content, [STYLE], TensorCanvas(SIZE, dtype=torch.float32), microast, SETTINGS)
    monkeypatch.setattr(TileNetwork, "forward", counted)
    told = []
    canvas = TensorCanvas(SIZE, dtype=torch.float32)
    run = Run.of(content, microast, SETTINGS, mask=Mask(TensorMask(values)), listener=told.append)
    run.stylize(run.network(stats), canvas)
    assert len(computed) == 1
    assert told[-1].tiles_done == told[-1].tiles_total == 6
    assert told[-1].pixels_done == told[-1].pixels_total
    assert torch.equal(canvas.pixels[:, :64], content.pixels[:, :64])


def test_tiles_of_any_size_give_one_picture(microast):
    content = TensorSource(picture(SIZE))
    mask = Mask(TensorMask(disk(SIZE, radius=50)), 30)
    pictures = []
    for edge in (64, 1024):
        canvas = TensorCanvas(SIZE, dtype=torch.float32)
        settings = Settings(
            strokes="fine", thumbnail_size=64, style_size=64, tile_size=edge, device="cpu"
        )
        stylize(content, [STYLE], canvas, microast, settings, mask=mask)
        pictures.append(canvas.pixels)
    torch.testing.assert_close(pictures[0], pictures[1], rtol=0, atol=1e-5)


def test_two_styles_side_by_side(microast):
    """The second pass keeps the first one's pixels, bit for bit."""
    content = TensorSource(picture(SIZE))
    left = torch.zeros(SIZE)
    left[:, :90] = 1.0
    first = stylized(microast, content, Mask(TensorMask(left), 16))
    canvas = TensorCanvas(SIZE, dtype=torch.float32)
    other = TensorSource(picture((64, 64), seed=8))
    right = Mask(TensorMask(1.0 - left), 16)
    stylize(TensorSource(first), [other], canvas, microast, SETTINGS, mask=right)
    assert torch.equal(canvas.pixels[:, :, :90], first[:, :, :90])
    assert not torch.equal(canvas.pixels[:, :, 120:], first[:, :, 120:])


def test_blending_a_finished_picture_changes_no_input(monkeypatch):
    monkeypatch.setattr("urst_core.pictures.source.BAND_PIXELS", 5 * 40)
    content, result = picture((33, 40)), picture((33, 40), seed=5)
    values = disk((33, 40), radius=12)
    mask = Mask(TensorMask(values), 6)
    before = content.clone(), values.clone()
    expected = blend(content, result, mask.coverage(Rectangle.of_size((33, 40))))
    blend_in_place(result, TensorSource(content), mask)
    assert torch.equal(result, expected)
    assert torch.equal(content, before[0])
    assert torch.equal(values, before[1])
