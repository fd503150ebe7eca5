"""Pictures at another size: any window gives the same pixels; nothing is shifted."""

from __future__ import annotations

import pytest
import torch
from examples import picture, stored_picture

from urst_core.geometry import Rectangle
from urst_core.pictures import source as sources
from urst_core.pictures.resized import Resized
from urst_core.pictures.source import TensorSource

PART = Rectangle(2, 3, 32, 45)


@pytest.mark.parametrize("size", [(77, 101), (11, 17), (30, 42)], ids=["up", "down", "same"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float64])
def test_windows_equal_the_whole(monkeypatch, size, dtype):
    whole_size = (40, 50)
    pixels = picture(whole_size, channels=4).to(dtype)
    if not dtype.is_floating_point:
        pixels = stored_picture(whole_size, dtype, channels=4)
    resized = Resized(TensorSource(pixels), PART, size)
    whole = resized.read(Rectangle.of_size(size))
    monkeypatch.setattr(sources, "BAND_PIXELS", 5 * size[1])
    for rectangle in (Rectangle(0, 0, 1, 1), Rectangle(3, 5, 11, 17), Rectangle.of_size(size)):
        window = resized.read(rectangle)
        assert torch.equal(window, whole[(..., *rectangle.slices)])
        assert window.dtype == dtype


def test_a_picture_of_floats_is_the_same_in_any_window_and_back_again():
    source = Resized(TensorSource(picture((50, 70))), Rectangle.of_size((50, 70)), (131, 187))
    whole = source.read(Rectangle(0, 0, 131, 187))
    assert whole.shape == (3, 131, 187)
    for window in (Rectangle(0, 0, 40, 50), Rectangle(33, 60, 131, 187)):
        assert torch.equal(source.read(window), whole[(..., *window.slices)])
    smaller = Resized(source, Rectangle.of_size(source.size), (50, 70))
    back = smaller.read(Rectangle(0, 0, 50, 70))
    assert float((back - picture((50, 70))).square().mean().sqrt()) < 0.1


def test_the_size_of_the_part_changes_nothing():
    pixels = stored_picture((40, 50))
    resized = Resized(TensorSource(pixels), PART, PART.size)
    assert torch.equal(resized.read(Rectangle.of_size(PART.size)), pixels[(..., *PART.slices)])


def test_a_ramp_stays_a_ramp():
    """Cubic resampling is exact for straight lines; so no pixel is shifted."""
    ramp = (torch.arange(60, dtype=torch.float64) / 100).expand(3, 20, 60).contiguous()
    resized = Resized(TensorSource(ramp), Rectangle(0, 10, 20, 50), (50, 100))
    centers = 10 + (torch.arange(100, dtype=torch.float64) + 0.5) * 0.4 - 0.5
    inner = resized.read(Rectangle(0, 0, 50, 100))[:, :, 10:-10]
    assert float((inner - centers[10:-10] / 100).abs().max()) < 1e-12
