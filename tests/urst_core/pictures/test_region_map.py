"""Region maps: colors, masks and grays; tiles equal the whole; what cannot be used is refused."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.errors import ImageError, SettingsError
from urst_core.geometry import Rectangle, cut
from urst_core.pictures.derived_regions import FilledRegions, ScaledRegions
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.region_map import (
    ColorMap,
    ColorRegions,
    GrayRegions,
    MaskRegions,
)
from urst_core.pictures.source import TensorSource, from_unit

SIZE = (41, 67)
WHOLE = Rectangle.of_size(SIZE)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def color_map(dtype=torch.uint8):
    """Red on the left, blue on the right, a white block between, and a black corner."""
    pixels = torch.zeros(3, *SIZE)
    pixels[0, :, :30] = 1.0
    pixels[2, :, 30:] = 1.0
    pixels[:, 10:30, 20:44] = 1.0
    pixels[:, 30:, 50:] = 0.0
    return TensorSource(from_unit(pixels, dtype))


def masks(feather=0):
    left, middle = torch.zeros(SIZE), torch.zeros(SIZE)
    left[:, :40] = 1.0
    middle[5:30, 30:50] = 0.75
    return MaskRegions([Mask(TensorMask(left), feather), Mask(TensorMask(middle), feather)])


MAPS = {
    "colors": ColorRegions.of(color_map(), [RED, BLUE, WHITE]),
    "feathered colors": ColorRegions.of(color_map(), [RED, BLUE, WHITE], feather=13),
    "masks": masks(),
    "feathered masks": masks(feather=9),
    "gray": GrayRegions(TensorMask(picture(SIZE)[0]), 5),
    "filled": FilledRegions.of(ColorRegions.of(color_map(), [RED, BLUE, WHITE], feather=13)),
    "scaled": ScaledRegions(masks(feather=4), [0.5, 1.0]),
}
by_kind = pytest.mark.parametrize("kind", MAPS)


@by_kind
@pytest.mark.parametrize("shrunk", [None, (20, 33), (7, 11), (1, 1)])
def test_tiles_equal_the_whole_bit_for_bit(kind, shrunk):
    regions = MAPS[kind] if shrunk is None else MAPS[kind].shrunk(shrunk)
    size = shrunk or SIZE
    assert regions.size == size
    whole = regions.read(Rectangle.of_size(size))
    assert whole.shape == (regions.count, *size)
    for tile in cut(Rectangle.of_size(size), 8):
        assert torch.equal(regions.read(tile), whole[(..., *tile.slices)])


@by_kind
def test_shares_are_shares(kind):
    shares = MAPS[kind].read(WHOLE)
    assert float(shares.min()) >= 0.0
    assert float(shares.sum(0).max()) <= 1.0 + 1e-6


def test_colors_without_a_feather_are_whole():
    shares = MAPS["colors"].read(WHOLE)
    assert set(shares.unique().tolist()) == {0.0, 1.0}
    assert shares[:, 0, 0].tolist() == [1, 0, 0]
    assert shares[:, 0, 60].tolist() == [0, 1, 0]
    assert shares[:, 20, 30].tolist() == [0, 0, 1]
    assert shares[:, 40, 60].tolist() == [0, 0, 0]


def test_a_feather_cross_fades_both_ways_and_sums_to_one():
    shares = MAPS["feathered colors"].read(WHOLE)
    total = shares.sum(0)
    # The black corner fades, too, and nothing else is missing.
    assert float((total[:23] - 1.0).abs().max()) <= 1e-6
    assert float(total[40, 66]) == 0.0
    row = shares[0, 0, 20:40]
    assert bool((row[1:] <= row[:-1]).all())
    assert float(row[9] + row[10]) == pytest.approx(1.0, abs=1e-6)
    assert int(((row > 0) & (row < 1)).sum()) == 12


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32])
def test_deeper_maps_are_the_same(dtype):
    deeper = ColorRegions.of(color_map(dtype), [RED, BLUE, WHITE])
    assert torch.equal(deeper.read(WHOLE), MAPS["colors"].read(WHOLE))


def test_transparent_pixels_belong_to_no_region_and_black_may():
    pixels = torch.cat([color_map().pixels, torch.full((1, *SIZE), 255, dtype=torch.uint8)])
    pixels[3, :, :10] = 0
    shares = ColorRegions.of(TensorSource(pixels), [RED, BLUE, WHITE]).read(WHOLE)
    assert float(shares[:, :, :10].max()) == 0.0
    shares = ColorRegions.of(color_map(), [RED, BLUE, WHITE, (0, 0, 0)]).read(WHOLE)
    assert bool((shares.sum(0) == 1.0).all())
    assert float(shares[3, 40, 60]) == 1.0


def test_the_last_mask_is_on_top_and_gaps_are_content():
    shares = MAPS["masks"].read(WHOLE)
    assert shares[:, 10, 35].tolist() == [0.25, 0.75]
    assert shares[:, 10, 10].tolist() == [1.0, 0.0]
    assert shares[:, 10, 45].tolist() == [0.0, 0.75]
    assert shares[:, 40, 60].tolist() == [0.0, 0.0]


def test_grays_take_the_two_nearest_styles():
    values = torch.tensor([[0.0, 0.25, 0.5, 0.9, 1.0]])
    shares = GrayRegions(TensorMask(values), 3).read(Rectangle(0, 0, 1, 5))[:, 0].T
    assert shares.tolist() == [
        [1.0, 0.0, 0.0],
        [0.5, 0.5, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, pytest.approx(0.2, abs=1e-6), pytest.approx(0.8, abs=1e-6)],
        [0.0, 0.0, 1.0],
    ]


def test_a_gap_is_filled_with_the_region_around_it():
    shares = MAPS["filled"].read(WHOLE)
    assert float((shares.sum(0) - 1.0).abs().max()) <= 1e-6
    assert float(shares[1, 40, 66]) == pytest.approx(1.0)
    unfilled = MAPS["feathered colors"].read(WHOLE)
    assert float((shares[:, :20] - unfilled[:, :20]).abs().max()) <= 1e-6
    nothing = FilledRegions.of(masks().shrunk(SIZE))
    assert float((nothing.read(WHOLE).sum(0) - 1.0).abs().max()) <= 1e-6


def test_a_map_without_any_region_is_filled_in_equal_parts():
    empty = MaskRegions([Mask(TensorMask(torch.zeros(SIZE)))] * 2)
    assert bool((FilledRegions.of(empty).read(WHOLE) == 0.5).all())


@pytest.mark.parametrize(
    ("colors", "feather", "message"),
    [
        ([], 0, "0 regions cannot be painted; use 1 to 32"),
        ([(n, 0, 0) for n in range(33)], 0, "33 regions cannot be painted; use 1 to 32"),
        ([RED, BLUE, RED], 0, "region #ff0000 is listed twice; list it once"),
        ([RED], -1, "region feather -1 is out of range; use 0 to 1024 px"),
        ([RED], 1025, "region feather 1025 is out of range; use 0 to 1024 px"),
    ],
)
def test_settings_that_are_refused(colors, feather, message):
    with pytest.raises(SettingsError) as caught:
        ColorRegions.of(color_map(), colors, feather)
    assert str(caught.value) == message


def test_a_color_without_a_region_is_refused_where_it_is():
    for read in (ColorRegions.of(color_map(), [RED, BLUE]).read, lambda _: unused().check_used()):
        with pytest.raises(ImageError) as caught:
            read(WHOLE)
        assert str(caught.value) == (
            "pixel at row 10, column 20 of the region map is #ffffff, which is not the color of a "
            "region; give it a style, or paint it black, to keep the content, or draw the map "
            "without smooth edges, and save it as PNG"
        )


def unused():
    return ColorMap(color_map(), [RED, BLUE])


def test_a_region_without_pixels_is_refused():
    ColorMap(color_map(), [RED, BLUE, WHITE]).check_used()
    with pytest.raises(SettingsError) as caught:
        ColorMap(color_map(), [RED, BLUE, WHITE, (0, 128, 0)]).check_used()
    assert str(caught.value) == (
        "no pixel of the region map is #008000; check the color, or leave that region out"
    )
