"""urst_core.pictures.source: whole pictures, band by band."""

from __future__ import annotations

import pytest
import torch
from examples import stored_picture

from urst_core.errors import DeviceError
from urst_core.pictures import source as module
from urst_core.pictures.source import TensorCanvas, TensorSource, bands, read_bands
from urst_core.tiling.device import check_host_memory


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 900), (900, 1), (100, 64)])
def test_bands_are_whole_rows_and_hold_every_pixel_once(monkeypatch, size):
    monkeypatch.setattr(module, "BAND_PIXELS", 640)
    covered = torch.zeros(size, dtype=torch.int32)
    for band in bands(size):
        assert (band.left, band.right) == (0, size[1])
        assert band.area <= max(640, size[1])
        covered[band.slices] += 1
    assert bool((covered == 1).all())


def test_a_picture_is_read_whole_and_the_listener_told_after_each_band(monkeypatch):
    monkeypatch.setattr(module, "BAND_PIXELS", 640)
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
    monkeypatch.setattr(module, "BAND_PIXELS", 640)
    source, seen = TensorSource(stored_picture((50, 64))), []

    def cancel(progress):
        if progress.tiles_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seen.extend(band for band, _ in read_bands(source, "copying", cancel))
    assert len(seen) == 2


def test_what_does_not_fit_into_memory_is_refused_in_time():
    check_host_memory(1000, "a picture", remedy="make it smaller")
    with pytest.raises(
        DeviceError,
        match=r"a picture needs 1000000\.00 GB of memory, .* GB are free; close other programs, "
        "or make it smaller",
    ):
        check_host_memory(10**15, "a picture", remedy="make it smaller")
