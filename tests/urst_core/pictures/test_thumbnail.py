"""Thumbnails: their size, their bands, and that every pixel counts."""

from __future__ import annotations

import pytest
import torch
from examples import picture, save_picture, stored_picture
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from urst_core.errors import SettingsError
from urst_core.formats.open import ImageFile
from urst_core.pictures import thumbnail as thumbnail_module
from urst_core.pictures.source import TensorSource
from urst_core.pictures.thumbnail import make_thumbnail, thumbnail_size_of


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


@pytest.mark.parametrize("longest_side", [0, 20])
def test_thumbnail_of_a_float64_picture_is_float32(longest_side):
    pixels = picture((60, 80))
    thumbnail = make_thumbnail(TensorSource(pixels.double()), longest_side)
    assert thumbnail.dtype == torch.float32
    assert torch.equal(thumbnail, make_thumbnail(TensorSource(pixels), longest_side))
