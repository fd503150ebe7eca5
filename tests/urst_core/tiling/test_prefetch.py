"""Concurrent steps: order, limits, errors, and that all threads end."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

import pytest
import torch
from examples import picture

from urst_core.geometry import Rectangle, Tile
from urst_core.method.run import Run
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.device import cpu_threads
from urst_core.tiling.prefetch import AHEAD, BEHIND, Overlap
from urst_core.tiling.settings import Settings
from urst_core.tiling.stylize_tile import TileStylizer

TILES = [Tile(Rectangle(0, i, 1, i + 1), Rectangle(0, i, 1, i + 1)) for i in range(12)]


class Steps:
    """Work that notes what happens, and can be slow or fail at a step of a tile."""

    def __init__(self, *, slow="", failing=None, error=None):
        self.slow, self.failing, self.error = slow, failing, error
        self.happened, self.threads, self.gradients = [], {}, set()
        self.read_not_computed = self.computed_not_written = 0
        self.most = [0, 0]

    def _do(self, step, tile):
        self.threads[step] = threading.current_thread().name
        self.gradients.add(torch.is_inference_mode_enabled())
        if step == self.slow:
            time.sleep(0.005)
        self.happened.append((step, tile.core.left))
        if self.failing == (step, tile.core.left):
            raise self.error

    def read(self, tile):
        self._do("read", tile)
        self.read_not_computed += 1
        self.most[0] = max(self.most[0], self.read_not_computed)
        return tile.core.left

    def compute(self, tile, window):
        assert window == tile.core.left
        self.read_not_computed -= 1
        self._do("compute", tile)
        self.computed_not_written += 1
        self.most[1] = max(self.most[1], self.computed_not_written)
        return -window

    def write(self, tile, result):
        assert result == -tile.core.left
        self._do("write", tile)
        self.computed_not_written -= 1
        return torch.tensor(tile.core.left)


class CountedThreads(Steps):
    """Steps that note the number of threads which PyTorch would use."""

    def _do(self, step, tile):
        super()._do(step, tile)
        torch.ones(1 << 17).add_(1)
        self.counts.setdefault(step, set()).add(torch.get_num_threads())

    def __init__(self):
        super().__init__()
        self.counts = {}


def run(work, listener=lambda *_: None, *, on_cpu=True):
    pending = list(TILES)
    with Overlap(work, on_cpu=on_cpu) as overlap:
        while pending or overlap.is_computing:
            while pending and overlap.has_room:
                overlap.read(pending.pop(0))
            overlap.compute()
            is_last = not (pending or overlap.is_computing)
            for tile, pixels in overlap.finished(wait_for_all=is_last):
                listener(tile, pixels)


def threads() -> list[str]:
    """The engine's threads but those that compute blocks, which stay."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("urst-") and "blocks" not in name]


@pytest.mark.parametrize("slow", ["", "read", "compute", "write"])
def test_every_step_in_order_and_a_bounded_number_at_once(slow):
    work, finished = Steps(slow=slow), []
    run(work, lambda tile, pixels: finished.append((tile.core.left, int(pixels))))
    assert finished == [(i, i) for i in range(12)]
    for step in ("read", "compute", "write"):
        assert [i for name, i in work.happened if name == step] == list(range(12))
    assert work.most[0] <= AHEAD + 1  # one more in the hand that computes
    assert work.most[1] <= BEHIND + 1
    assert len(set(work.threads.values())) == 3
    assert work.threads["compute"] == threading.current_thread().name
    assert work.gradients == {True}
    assert threads() == []


class Waiting(Steps):
    """A tile is computed when those after it have been read."""

    def __init__(self, tiles_ahead):
        super().__init__()
        self.tiles_ahead = tiles_ahead
        self.were_read = [threading.Event() for _ in TILES]

    def read(self, tile):
        window = super().read(tile)
        self.were_read[window].set()
        return window

    def compute(self, tile, window):
        for event in self.were_read[window : window + 1 + self.tiles_ahead]:
            assert event.wait(60)
        return super().compute(tile, window)


def test_the_next_tile_is_read_while_one_is_computed():
    work = Waiting(tiles_ahead=AHEAD - 1)
    run(work)
    assert work.happened.index(("read", 1)) < work.happened.index(("compute", 0))
    assert work.happened.index(("compute", 5)) > work.happened.index(("read", 6))


@pytest.mark.parametrize("step", ["", "read", "compute", "write"])
def test_one_tile_needs_no_threads(step):
    work, finished = Steps(failing=(step, 0), error=MemoryError("too little")), []
    raised = pytest.raises(MemoryError, match="too little") if step else nullcontext()
    with raised, Overlap(work, in_threads=False) as overlap:
        overlap.read(TILES[0])
        overlap.compute()
        finished = [int(pixels) for _, pixels in overlap.finished(wait_for_all=True)]
    assert finished == ([] if step else [0])
    assert set(work.threads.values()) == {threading.current_thread().name}
    assert work.gradients == {True}


def test_a_picture_of_one_tile_starts_no_thread(microast, monkeypatch):
    content = TensorSource(picture((64, 64)))
    settings = Settings(strokes="fine", thumbnail_size=64, style_size=64, tile_size=64)
    stats = Run.of(content, microast, settings).measure([content])

    def no_thread(thread):
        raise AssertionError(thread.name)

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    run = Run.of(content, microast, settings)
    network = run.network(stats)
    run.stylize(network, TensorCanvas((64, 64), dtype=content.dtype))
    small = Run.of(content, microast, Settings(tile_size=32))
    with pytest.raises(AssertionError, match="urst-read"):
        small.stylize(network, TensorCanvas((64, 64), dtype=content.dtype))


@pytest.mark.parametrize("step", ["read", "compute", "write"])
@pytest.mark.parametrize("error", [ValueError("a defect"), KeyboardInterrupt(), MemoryError()])
def test_an_error_in_any_step_is_raised_and_ends_the_threads(step, error):
    work = Steps(failing=(step, 4), error=error)
    with pytest.raises(type(error)) as caught:
        run(work)
    assert caught.value is error
    assert threads() == []
    assert max(i for _, i in work.happened) <= 4 + AHEAD + BEHIND
    # What was computed is not lost.
    computed = [i for name, i in work.happened if name == "compute" and (name, i) != work.failing]
    assert [i for name, i in work.happened if name == "write"] == computed


def test_a_listener_that_cancels_stops_the_threads():
    class Cancelled(BaseException):
        pass

    def cancel(tile, _):
        if tile.core.left == 3:
            raise Cancelled

    work = Steps(slow="read")
    with pytest.raises(Cancelled):
        run(work, cancel)
    assert threads() == []
    before = list(work.happened)
    time.sleep(0.03)
    assert work.happened == before


def test_tiles_that_are_taken_back_are_forgotten():
    work = Steps()
    with Overlap(work) as overlap:
        overlap.read(TILES[0])
        overlap.read(TILES[1])
        assert overlap.take_back() == TILES[:2]
        assert not overlap.is_computing
        assert len(overlap) == 0
        overlap.read(TILES[2])
        overlap.compute()
        assert [tile for tile, _ in overlap.finished(wait_for_all=True)] == [TILES[2]]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_overlapped_equals_one_step_after_the_other(microast, dtype, channels):
    pixels = picture((40, 136), channels=channels)
    if dtype != torch.float32:
        pixels = (pixels * torch.iinfo(dtype).max).round().int().to(dtype)
    content = TensorSource(pixels)
    settings = Settings(strokes="fine", thumbnail_size=64, tile_size=32, device="cpu")
    stats = Run.of(content, microast, settings).measure([TensorSource(picture((64, 64), seed=3))])
    overlapped = TensorCanvas(content.size, channels=channels, dtype=dtype)
    run = Run.of(content, microast, settings)
    run.stylize(run.network(stats), overlapped)

    cpu = torch.device("cpu")
    plain = TensorCanvas(content.size, channels=channels, dtype=dtype)
    network = run.network(stats)
    tiles = run.tiles(torch.float32)
    work = TileStylizer(network, content, plain, tiles.frame, cpu, halo=tiles.halo)
    with torch.inference_mode():
        for core in tiles.cores_to_do():
            tile = Tile(core, core.grown(microast.traits.halo).clipped(tiles.frame))
            work.write(tile, work.compute(tile, work.read(tile)))
    assert torch.equal(overlapped.pixels, plain.pixels)


@pytest.mark.parametrize(("on_cpu", "of_io"), [(True, 1), (False, 3)])
def test_only_the_device_that_computes_has_several_threads(on_cpu, of_io):
    in_new_thread = []
    with cpu_threads(3):
        work = CountedThreads()
        run(work, on_cpu=on_cpu)
        thread = threading.Thread(target=lambda: in_new_thread.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert work.counts == {"read": {of_io}, "compute": {3}, "write": {of_io}}
    assert in_new_thread == [3]
