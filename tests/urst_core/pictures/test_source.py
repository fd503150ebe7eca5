"""Sources, canvases, thumbnails: rectangles in, rectangles out."""

from __future__ import annotations

import pytest
import torch
from examples import picture, save_picture, stored_picture
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from urst_core.errors import ImageError, SettingsError, ShapeError
from urst_core.formats.open import ImageFile
from urst_core.geometry import Rectangle
from urst_core.pictures import thumbnail as thumbnail_module
from urst_core.pictures.padding import read_window
from urst_core.pictures.source import TensorCanvas, TensorSource, from_unit, to_unit
from urst_core.pictures.thumbnail import make_thumbnail, thumbnail_size_of

CPU = torch.device("cpu")
DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize(("dtype", "full_scale"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_every_stored_value_survives(dtype, full_scale):
    values = torch.arange(full_scale + 1, dtype=torch.int32).to(dtype)
    unit = to_unit(values)
    assert unit.dtype == torch.float32
    assert (float(unit[0]), float(unit[-1])) == (0.0, 1.0)
    assert bool((unit.diff() > 0).all())
    assert torch.equal(from_unit(unit, dtype), values)


def test_floating_pixels_are_taken_as_they_are():
    values = torch.tensor([0.0, 0.25, 1.0])
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert torch.equal(to_unit(values.to(dtype)), values)
        assert torch.equal(from_unit(values, dtype), values.to(dtype))


def test_what_leaves_the_range_is_clamped_and_the_rest_rounded_to_nearest():
    values = torch.tensor([-0.5, float("-inf"), 0.4 / 255, 0.6 / 255, 1.5, float("inf")])
    assert from_unit(values, torch.uint8).tolist() == [0, 0, 0, 1, 255, 255]
    assert from_unit(values, torch.float32)[[0, 1, 4, 5]].tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [3, 4])
def test_cut_and_written_by_rectangles_it_is_the_same_picture(dtype, channels):
    pixels = picture((23, 31), channels=channels)
    pixels = from_unit(pixels, dtype)
    source = TensorSource(pixels)
    assert (source.size, source.channels, source.dtype) == ((23, 31), channels, dtype)
    target = TensorCanvas(source.size, channels=channels, dtype=dtype)
    for top in (16, 8, 0):
        for left in (0, 20, 10, 30):
            rectangle = Rectangle(top, left, top + 8, left + 10).clipped(source.size)
            target.write(rectangle, source.read(rectangle))
    assert torch.equal(target.pixels, pixels)


@pytest.mark.parametrize(
    "shape", [(2, 4, 4), (5, 4, 4), (4, 4), (1, 3, 4, 4), (3, 0, 4), (3, 4, 0)]
)
def test_tensor_of_another_shape(shape):
    with pytest.raises(ShapeError) as caught:
        TensorSource(torch.zeros(shape))
    assert str(caught.value) == (
        f"picture of shape {shape} cannot be read; pass (3 or 4, height, width), not empty"
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bool])
def test_tensor_of_another_type(dtype):
    with pytest.raises(ImageError) as caught:
        TensorSource(torch.zeros(3, 4, 4, dtype=dtype))
    assert str(caught.value) == (
        f"picture of {dtype} values cannot be read; pass uint8, uint16, or floating ones of 0 to 1"
    )


# Windows


@pytest.mark.parametrize(
    "window",
    [
        Rectangle(0, 0, 5, 7),
        Rectangle(0, 0, 8, 8),
        Rectangle(2, 3, 4, 6),
        Rectangle(4, 4, 8, 12),
        Rectangle(4, 0, 12, 4),
        Rectangle(0, 8, 4, 16),  # nothing but padding
        Rectangle(8, 8, 16, 16),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_window_beyond_the_image_repeats_the_last_row_and_column(window, dtype):
    pixels = from_unit(picture((5, 7), channels=4), dtype)
    rows = torch.arange(window.top, window.bottom).clamp(max=4)
    columns = torch.arange(window.left, window.right).clamp(max=6)
    expected = to_unit(pixels)[:3, rows][:, :, columns].unsqueeze(0)
    read = read_window(TensorSource(pixels), window, CPU)
    assert read.dtype == torch.float32
    assert torch.equal(read, expected)


def test_a_window_of_one_pixel():
    pixels = picture((1, 1))
    read = read_window(TensorSource(pixels), Rectangle(0, 0, 8, 8), CPU)
    assert torch.equal(read, pixels.unsqueeze(0).expand(1, 3, 8, 8))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite(value):
    pixels = picture((40, 50))
    pixels[2, 33, 21] = value
    pixels[0, 38, 40] = value
    source = TensorSource(pixels)
    message = "pixel at row 33, column 21 is NaN or infinite; pictures hold values from 0 to 1"
    for read in (
        lambda: read_window(source, Rectangle(32, 20, 48, 56), CPU),
        lambda: make_thumbnail(source, 10),
        lambda: make_thumbnail(source, 0),
    ):
        with pytest.raises(ImageError) as caught:
            read()
        assert str(caught.value) == message
    clean = read_window(source, Rectangle(0, 0, 32, 48), CPU)
    assert bool(clean.isfinite().all())


def test_alpha_is_nobodys_business():
    pixels = picture((8, 8), channels=4)
    pixels[3] = float("nan")
    assert torch.equal(read_window(TensorSource(pixels), Rectangle(0, 0, 8, 8), CPU)[0], pixels[:3])


# Thumbnails


@pytest.mark.parametrize(
    ("image", "longest_side", "expected"),
    [
        ((4000, 6000), 1024, (683, 1024)),
        ((6000, 4000), 1024, (1024, 683)),
        ((300, 200), 1024, (300, 200)),
        ((300, 200), 300, (300, 200)),
        ((300, 200), 0, (300, 200)),
        ((1, 5000), 100, (1, 100)),
        ((5000, 3), 100, (100, 1)),
    ],
)
def test_thumbnail_size(image, longest_side, expected):
    assert thumbnail_size_of(image, longest_side) == expected


@given(
    image=st.tuples(st.integers(1, 10**5), st.integers(1, 10**5)),
    longest_side=st.integers(0, 4096),
)
def test_thumbnail_keeps_the_aspect_and_never_enlarges(image, longest_side):
    rows, columns = thumbnail_size_of(image, longest_side)
    assert 1 <= rows <= image[0]
    assert 1 <= columns <= image[1]
    if longest_side == 0 or longest_side >= max(image):
        assert (rows, columns) == image
    else:
        assert max(rows, columns) == longest_side
        scale = longest_side / max(image)
        assert abs(rows - max(1.0, image[0] * scale)) <= 0.5
        assert abs(columns - max(1.0, image[1] * scale)) <= 0.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("longest_side", [0, 50, 131])
def test_a_file_and_a_tensor_give_the_same_thumbnail(tmp_path, dtype, ending, longest_side):
    pixels = stored_picture((131, 94), dtype)
    path = save_picture(tmp_path / f"content{ending}", pixels)
    from_file = make_thumbnail(ImageFile(path), longest_side)
    assert torch.equal(from_file, make_thumbnail(TensorSource(pixels), longest_side))


@pytest.mark.parametrize("size", [(211, 150), (150, 211), (2, 300), (300, 1)])
@pytest.mark.parametrize("band_pixels", [1, 3000, 12_000])
def test_bands_do_not_show(monkeypatch, size, band_pixels):
    source = TensorSource(picture(size))
    whole = make_thumbnail(source, 47)
    reads = []
    read = TensorSource.read
    monkeypatch.setattr(
        TensorSource,
        "read",
        lambda self, rectangle: (reads.append(rectangle), read(self, rectangle))[1],
    )
    monkeypatch.setattr(thumbnail_module, "BAND_PIXELS", band_pixels)
    shares = []
    banded = make_thumbnail(source, 47, tell=shares.append)
    assert torch.allclose(banded, whole, rtol=0, atol=1e-6)
    assert len(shares) == (len(reads) if len(reads) > 1 else 0)
    assert shares == sorted(shares)
    assert shares[-1:] in ([], [1.0])
    if size[0] > 100 and size[1] > 100:
        assert len(reads) > 1
        assert max(r.area for r in reads) < size[0] * size[1]


@pytest.mark.parametrize("size", [(211, 150), (97, 300), (48, 48), (5, 200)])
@pytest.mark.parametrize("longest_side", [47, 16])
def test_thumbnail_is_antialiased(size, longest_side):
    pixels = picture(size)
    thumbnail = make_thumbnail(TensorSource(pixels), longest_side)
    expected = F.interpolate(
        pixels.unsqueeze(0), size=thumbnail.shape[2:], mode="bilinear", antialias=True
    )
    assert thumbnail.shape[2:] == thumbnail_size_of(size, longest_side)
    assert float((thumbnail - expected).abs().max()) <= 1e-5


def test_thumbnail_sees_every_pixel():
    """One bright pixel among 10,000 is not lost, wherever it is."""
    for row in (0, 50, 99):
        pixels = torch.zeros(3, 100, 100)
        pixels[:, row, 37] = 1.0
        thumbnail = make_thumbnail(TensorSource(pixels), 10)
        assert float(thumbnail.sum()) > 0.003


def test_thumbnail_of_one_color_is_that_color():
    pixels = torch.full((3, 77, 91), 200, dtype=torch.uint8)
    thumbnail = make_thumbnail(TensorSource(pixels), 20)
    assert torch.allclose(thumbnail, torch.tensor(200 / 255), rtol=0, atol=1e-6)


def test_alpha_does_not_enter_the_thumbnail():
    pixels = picture((60, 80), channels=4)
    assert torch.equal(
        make_thumbnail(TensorSource(pixels), 20), make_thumbnail(TensorSource(pixels[:3]), 20)
    )


def test_negative_thumbnail():
    with pytest.raises(SettingsError) as caught:
        make_thumbnail(TensorSource(picture((8, 8))), -1)
    assert str(caught.value) == "size -1 is negative; use 0 to keep the picture's own"
