"""Seams: windows match their neighbors only in the right order."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.method.patches import cut_windows, join_windows, plan_layout
from urst_core.method.run import Run
from urst_core.method.seams import worst_seam
from urst_core.method.windows import stylize_windows
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

SIZE = (100, 140)


def cut(*, halo=8, tile_size=48):
    layout = plan_layout(SIZE, tile_size=tile_size, halo=halo, stride=4)
    return cut_windows(TensorSource(picture(SIZE, seed=1)), layout), layout


@pytest.mark.parametrize(("times", "step"), [(1, 1), (2, 1), (3, 2), (1, 2), (1, 4)])
def test_windows_in_order_agree_and_two_that_are_swapped_do_not(times, step):
    windows, layout = cut()
    windows = windows.repeat_interleave(times, dim=-1).repeat_interleave(times, dim=-2)
    windows = windows[..., ::step, ::step]
    assert join_windows(windows, layout).shape[-1] == SIZE[1] * times // step
    assert worst_seam(windows, layout).difference == 0.0
    order = [0, 4, 2, 3, 1, *range(5, len(windows))]
    worst = worst_seam(windows[order], layout)
    assert worst.difference > 0.1
    assert {worst.first, worst.second} & {1, 4}


def test_the_seam_that_differs_is_named():
    windows, layout = cut()
    columns = len({tile.core.left for tile in layout.tiles})
    brighter = windows.clone()
    # Only the part of its upper neighbor that the last window contains.
    tile = layout.tiles[-1]
    brighter[-1, :, : tile.core.top - tile.window.top] += 0.25
    last = len(windows) - 1
    worst = worst_seam(brighter, layout)
    assert (worst.first, worst.second) == (last - columns, last)
    assert worst.difference == pytest.approx(0.125)


def test_seams_are_unknown_without_overlap():
    windows, layout = cut(halo=0)
    assert worst_seam(windows, layout) is None
    windows, layout = cut(tile_size=256)
    assert worst_seam(windows, layout) is None


@pytest.mark.slow
def test_stylized_windows_agree(microast):
    size = (64, 320)
    content = TensorSource(picture(size, seed=1))
    traits = microast.traits
    layout = plan_layout(size, tile_size=48, halo=traits.halo, stride=traits.stride)
    settings = Settings(thumbnail_size=64, style_size=64, device="cpu")
    stats = Run.of(content, microast, settings).measure([TensorSource(picture((64, 64), seed=3))])
    windows = [TensorSource(window) for window in cut_windows(content, layout)]
    canvases = [TensorCanvas(window.size, dtype=torch.float32) for window in windows]
    stylize_windows(windows, canvases, microast, stats, settings)
    stylized = torch.stack([canvas.pixels for canvas in canvases])
    assert worst_seam(stylized, layout).difference < 0.01
    assert worst_seam(stylized.flip(0), layout).difference > 0.1
