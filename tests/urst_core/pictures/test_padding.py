"""Windows beyond the picture repeat its last row and column."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.errors import ImageError
from urst_core.geometry import Rectangle
from urst_core.pictures.padding import read_window
from urst_core.pictures.source import TensorSource, from_unit, to_unit
from urst_core.pictures.thumbnail import make_thumbnail

CPU = torch.device("cpu")
DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64]


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
    assert read.dtype == expected.dtype
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
    message = "pixel at row 33, column 21 is NaN or infinite; pictures have values from 0 to 1"
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
