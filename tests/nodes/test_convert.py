"""Conversion from IMAGE to the engine and back."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def convert(part):
    return part("nodes.convert")


def test_a_picture_keeps_its_pixels_and_is_not_copied(convert):
    image = torch.rand(1, 5, 7, 3)
    [source] = convert.sources_of(image)
    assert (source.size, source.channels, source.dtype) == ((5, 7), 3, torch.float32)
    assert source.pixels.data_ptr() == image.data_ptr()
    assert torch.equal(source.pixels[2], image[0, :, :, 2])


def test_gray_becomes_rgb(convert):
    image = torch.rand(1, 5, 7, 1)
    [source] = convert.sources_of(image)
    assert source.channels == 3
    assert all(torch.equal(channel, image[0, :, :, 0]) for channel in source.pixels)


def test_alpha_stays(convert):
    image = torch.rand(2, 5, 7, 4)
    sources = convert.sources_of(image)
    assert [source.channels for source in sources] == [4, 4]
    assert torch.equal(sources[1].pixels[3], image[1, :, :, 3])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type_is_read_as_float32(convert, dtype):
    image = torch.rand(1, 4, 4, 3).to(dtype)
    [source] = convert.sources_of(image)
    assert source.dtype == torch.float32
    assert torch.equal(source.pixels, image[0].permute(2, 0, 1).float())


def test_invalid_images_are_refused(convert, errors):
    with pytest.raises(errors.ShapeError, match=r"\(1, 4, 4, 2\).*1, 3 or 4 channels"):
        convert.sources_of(torch.rand(1, 4, 4, 2))
    with pytest.raises(errors.ShapeError, match="not empty"):
        convert.sources_of(torch.rand(0, 4, 4, 3))
    with pytest.raises(errors.ImageError, match=r"uint8 values; pass floating-point"):
        convert.sources_of(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))


def test_a_batch_is_refused_where_one_picture_is_meant(convert, errors):
    with pytest.raises(errors.ShapeError, match=r"Tile Image takes one picture, not a batch of 3"):
        convert.single_source_of(torch.rand(3, 4, 4, 3), node="Tile Image")


def test_results_become_images(convert):
    pixels = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    image = convert.image_of(pixels, torch.device("cpu"))
    assert image.shape == (2, 5, 7, 3)
    assert image.dtype == torch.float32
    assert image.is_contiguous()


def test_a_blank_image_is_filled_through_its_canvases(convert, part):
    rectangle = part("urst_core.geometry").Rectangle(1, 2, 3, 6)
    sources = convert.sources_of(torch.rand(2, 5, 7, 4))
    image, canvases = convert.blank_image(sources, torch.device("cpu"))
    pixels = torch.rand(4, 2, 4)
    canvases[1].write(rectangle, pixels)
    assert image.shape == (2, 5, 7, 4)
    assert torch.equal(image[1, 1:3, 2:6].permute(2, 0, 1), pixels)
    assert image[0].count_nonzero() == 0
    assert image.sum() == pytest.approx(float(pixels.sum()), rel=1e-5)


def test_shares_of_styles(convert, backbone):
    first, second = torch.rand(2, 4, 4, 3), torch.rand(1, 8, 8, 3)
    assert convert.mixture_of(first, None, 0.3, "", None, backbone)[1] == [0.5, 0.5]
    styles, weights = convert.mixture_of(first, second, 0.25, "", None, backbone)
    assert [style.size for style in styles] == [(4, 4), (4, 4), (8, 8)]
    assert weights == [0.375, 0.375, 0.25]
    assert convert.mixture_of(None, second, 0.25, "", None, backbone)[1] == [1.0]


def test_named_styles(convert, backbone):
    assert convert.mixture_of(None, None, 0.5, " 3, 12,", None, backbone) == (
        ["3", "12"],
        [1.0, 1.0],
    )
    assert convert.mixture_of(None, None, 0.5, "", None, backbone) == ([], [])
