"""urst_core.method.windows: windows from elsewhere, and the preview."""

from __future__ import annotations

import pytest
import torch

from urst_core.errors import DeviceError, ShapeError
from urst_core.method.run import Run
from urst_core.method.windows import stylize_windows, stylized_thumbnail
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

SETTINGS = Settings(thumbnail_size=64, style_size=64, device="cpu")


def picture(height, width, *, seed):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0]


@pytest.fixture(scope="module")
def backbone():
    return load_backbone()


@pytest.fixture(scope="module")
def content():
    return TensorSource(picture(120, 200, seed=1))


@pytest.fixture(scope="module")
def stats(backbone, content):
    return Run.of(content, backbone, SETTINGS).measure([TensorSource(picture(64, 64, seed=2))])


@pytest.fixture
def windows():
    return [TensorSource(picture(96, 128, seed=seed)) for seed in (3, 4, 5)]


def canvases_for(windows):
    return [TensorCanvas(window.size, dtype=torch.float32) for window in windows]


def whole_pass(backbone, stats, pixels):
    with torch.inference_mode():
        network = backbone.bake(stats).prepared(torch.device("cpu"))
        return network(pixels.unsqueeze(0))[0].clamp(0, 1)


def test_each_window_is_one_pass_over_it(backbone, stats, windows):
    canvases = canvases_for(windows)
    stylize_windows(windows, canvases, backbone, stats, SETTINGS)
    for window, canvas in zip(windows, canvases):
        expected = whole_pass(backbone, stats, window.pixels)
        torch.testing.assert_close(canvas.pixels, expected, rtol=0, atol=1e-5)


def test_progress_counts_all_windows(backbone, stats, windows):
    told = []
    stylize_windows(windows, canvases_for(windows), backbone, stats, SETTINGS, listener=told.append)
    told = [progress for progress in told if progress.core is not None]
    area = 96 * 128
    assert [(p.pixels_done, p.pixels_total) for p in told] == [
        (area, 3 * area),
        (2 * area, 3 * area),
        (3 * area, 3 * area),
    ]
    assert [(p.tiles_done, p.tiles_total) for p in told] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
def test_a_window_too_large_for_the_memory_is_halved(backbone, stats, monkeypatch):
    windows = [TensorSource(picture(96, 192, seed=seed)) for seed in (3, 4, 5)]
    canvases, told = canvases_for(windows), []
    limit_memory(monkeypatch, largest=96 * 184)
    stylize_windows(windows, canvases, backbone, stats, SETTINGS, listener=told.append)
    monkeypatch.undo()
    assert len(told) > len(windows)
    assert told[-1].pixels_done == told[-1].pixels_total
    assert told[-1].tiles_done == told[-1].tiles_total
    for window, canvas in zip(windows, canvases):
        expected = whole_pass(backbone, stats, window.pixels)
        torch.testing.assert_close(canvas.pixels, expected, rtol=0, atol=1e-5)


def test_too_little_memory_is_an_error_with_a_remedy(backbone, stats, windows, monkeypatch):
    limit_memory(monkeypatch, largest=0)
    with pytest.raises(DeviceError, match=r"cpu has too little free memory.*use another device"):
        stylize_windows(windows, canvases_for(windows), backbone, stats, SETTINGS)


def limit_memory(monkeypatch, *, largest):
    forward = TileNetwork.forward

    def limited(network, window, **options):
        if window.shape[-2] * window.shape[-1] > largest:
            raise torch.OutOfMemoryError("out of memory")
        return forward(network, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", limited)


def test_windows_that_do_not_fit_are_refused(backbone, stats, windows):
    odd = [TensorSource(picture(98, 128, seed=3))]
    with pytest.raises(ShapeError, match=r"98 x 128 px are not multiples of MicroAST's stride 4"):
        stylize_windows(odd, canvases_for(odd), backbone, stats, SETTINGS)
    tiny = [TensorSource(picture(4, 128, seed=3))]
    with pytest.raises(ShapeError, match=r"too small for MicroAST; cut them to at least 8"):
        stylize_windows(tiny, canvases_for(tiny), backbone, stats, SETTINGS)
    with pytest.raises(ShapeError, match="3 windows with 2 canvases; give one canvas for"):
        stylize_windows(windows, canvases_for(windows)[:2], backbone, stats, SETTINGS)


def test_the_preview_is_the_thumbnail_and_never_large(backbone, stats, content):
    preview = stylized_thumbnail(content, backbone, stats, Settings(device="cpu", thumbnail_size=0))
    assert preview.shape == (3, 120, 200)
    expected = whole_pass(backbone, stats, content.pixels)
    torch.testing.assert_close(preview, expected, rtol=0, atol=1e-5)
    small = stylized_thumbnail(content, backbone, stats, SETTINGS, longest_side=50)
    assert small.shape == (3, 30, 50)
