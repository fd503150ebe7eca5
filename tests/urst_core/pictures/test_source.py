"""Sources and canvases: rectangles in, rectangles out; whole pictures in bands."""

from __future__ import annotations

import pytest
import torch
from examples import picture, stored_picture

from urst_core.errors import ImageError, ShapeError
from urst_core.geometry import Rectangle
from urst_core.pictures import source as source_module
from urst_core.pictures.source import (
    TensorCanvas,
    TensorSource,
    bands,
    from_unit,
    read_bands,
    to_unit,
)

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


def test_values_are_clamped_and_rounded_to_nearest():
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


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 900), (900, 1), (100, 64)])
def test_bands_are_whole_rows_and_cover_every_pixel_once(monkeypatch, size):
    monkeypatch.setattr(source_module, "BAND_PIXELS", 640)
    covered = torch.zeros(size, dtype=torch.int32)
    for band in bands(size):
        assert (band.left, band.right) == (0, size[1])
        assert band.area <= max(640, size[1])
        covered[band.slices] += 1
    assert bool((covered == 1).all())


def test_listener_is_called_after_each_band(monkeypatch):
    monkeypatch.setattr(source_module, "BAND_PIXELS", 640)
    source = TensorSource(stored_picture((50, 64), seed=3))
    canvas, told = TensorCanvas(source.size), []
    for band, pixels in read_bands(source, "copying", told.append):
        assert len(told) == 1 + band.top // 10
        canvas.write(band, pixels)
    assert torch.equal(canvas.pixels, source.pixels)
    assert [(p.tiles_done, p.tiles_total) for p in told] == [(n, 5) for n in range(6)]
    assert [p.pixels_done for p in told] == [640 * n for n in range(6)]
    assert {(p.stage, p.pixels_total) for p in told} == {("copying", 3200)}


def test_a_listener_ends_the_reading(monkeypatch):
    monkeypatch.setattr(source_module, "BAND_PIXELS", 640)
    source, seen = TensorSource(stored_picture((50, 64))), []

    def cancel(progress):
        if progress.tiles_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seen.extend(band for band, _ in read_bands(source, "copying", cancel))
    assert len(seen) == 2


def test_a_canvas_of_other_integers_is_refused():
    canvas, area = TensorCanvas((2, 3)), Rectangle(0, 0, 1, 3)
    for dtype in (torch.uint16, torch.float32):
        message = rf"pixels of {dtype} do not fit a canvas of torch.uint8; make the canvas with the"
        with pytest.raises(ImageError, match=message):
            canvas.write(area, torch.ones(3, 1, 3).to(dtype))
    assert not canvas.pixels.any()
    wide = TensorCanvas((2, 3), dtype=torch.float64)
    wide.write(area, torch.ones(3, 1, 3))
    assert float(wide.pixels.sum()) == 9.0
