"""Tiles in batches: the same pixels, sizes that fit, and a choice by time and by equal bits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture

from urst_core.method.run import Run
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.batch_size import LARGEST_BATCH, choose_batch, largest_batch, trial_on
from urst_core.tiling.loop import TileLoop
from urst_core.tiling.settings import Settings
from urst_core.tiling.tile_size import LARGEST_TILE, MEMORY_SHARE

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PLENTY = 2**40

SIZE = (16, 192)
"""A row of 12 tiles of 16 px; the windows of the inner ones are equal."""


@pytest.fixture(scope="module")
def baked(microast):
    small = picture((48, 64))[None]
    return microast.bake(microast.collect(small, microast.encode_style([small])))


@pytest.fixture(scope="module")
def run(microast):
    settings = Settings(tile_size=16, strokes="fine", device="cpu")
    return Run.of(TensorSource(picture(SIZE).double()), microast, settings)


@pytest.fixture
def windows(monkeypatch):
    """How many windows each call of a network got."""
    counted, forward = [], TileNetwork.forward

    def counting(network, window, **options):
        counted.append(len(window))
        return forward(network, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", counting)
    return counted


@pytest.fixture(scope="module")
def alone(run, baked):
    """The picture of tiles that are computed one by one."""
    return stylized(run, baked, 1)


def stylized(run, baked, batch):
    canvas = TensorCanvas(SIZE, dtype=torch.float64)
    tiles = replace(run.tiles(torch.float64), batch=batch)
    tiles.run("tiles", run.work(baked.prepared(CPU, torch.float64), canvas))
    return canvas.pixels


def masked(run):
    """The last tiles are kept, one is mixed."""
    mask = torch.ones(SIZE)
    mask[:, 144:] = 0.0
    mask[:, 100:110] = 0.5
    return replace(run, mask=Mask(TensorMask(mask)))


def test_batches_have_the_same_pixels_in_float64(run, baked, windows, alone):
    together = stylized(run, baked, 8)
    assert 1 < max(windows) <= 8
    assert sum(windows) == 12
    assert float((together - alone).abs().max()) <= 1e-9


def test_tiles_of_a_batch_that_are_kept_are_not_computed(run, baked, windows, alone):
    together = stylized(masked(run), baked, 2)
    content = run.content.pixels
    assert max(windows) == 2
    assert sum(windows) == 9
    assert float((together - alone)[..., :100].abs().max()) <= 1e-9
    mixed = slice(100, 110)
    halves = (alone.clamp(0, 1) + content)[..., mixed] / 2
    assert float((together[..., mixed] - halves).abs().max()) <= 1e-9
    assert torch.equal(together[..., 144:], content[..., 144:])


def test_out_of_memory_halves_the_batch_before_the_tile(run, baked, windows, alone, monkeypatch):
    counting = TileNetwork.forward

    def limited(network, window, **options):
        if len(window) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return counting(network, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", limited)
    assert float((stylized(run, baked, 8) - alone).abs().max()) <= 1e-9
    assert max(windows) == 2
    assert sum(windows) == 12  # as many as there are tiles: none was cut


def loop(traits, *, edge=128, size=(4096, 4096), device=CUDA):
    return TileLoop(size, edge, traits, device)


def largest(traits, edge=128, size=(4096, 4096), device=CUDA, available=PLENTY):
    return largest_batch(
        size, edge, traits.halo, traits, torch.float32, device, available_bytes=available
    )


def test_the_largest_batch(microast):
    traits = microast.traits
    assert largest(traits) == LARGEST_BATCH
    assert largest(traits, device=CPU) == 1
    assert largest(traits, edge=LARGEST_TILE) == 1  # a single one keeps a GPU busy
    assert largest(traits, size=(1280, 1536)) == 2  # 120 tiles
    assert largest(traits, size=(1280, 1408)) == 1
    window_bytes = (128 + 2 * traits.halo) ** 2 * traits.bytes_per_pixel
    for windows, batch in ((5, 4), (3.5, 2), (1, 1), (0, 1), (-1, 1)):
        assert largest(traits, available=int(windows * window_bytes / MEMORY_SHARE) + 1) == batch


def trial_of(seconds, *, different_from=99):
    """A trial that takes so many seconds for a batch, and sums in another order from some on."""

    def trial(count):
        taken = seconds[count]
        if isinstance(taken, Exception):
            raise taken
        return torch.tensor(float(count >= different_from)), taken

    return trial


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(
    ("seconds", "different_from", "chosen"),
    [
        ({1: 1.0, 2: 1.1, 4: 1.2, 8: 1.3}, 99, 8),
        ({1: 1.0, 2: 1.1, 4: 2.15}, 99, 2),
        ({1: 1.0, 2: 2.0}, 99, 1),
        ({1: 1.0, 2: 1.1, 4: 1.2}, 4, 2),
        ({1: 1.0, 2: 1.1, 4: OUT_OF_MEMORY}, 99, 2),
    ],
    ids=["all faster", "no gain", "no gain at all", "other bits", "out of memory"],
)
def test_the_fastest_batch_of_equal_bits_is_chosen(
    baked, microast, monkeypatch, seconds, different_from, chosen
):
    monkeypatch.setattr("urst_core.tiling.batch_size.free_bytes", lambda _: PLENTY)
    monkeypatch.setattr("urst_core.tiling.batch_size.release_memory", lambda _: None)
    trial = trial_of(seconds, different_from=different_from)
    assert choose_batch(baked, loop(microast.traits), trial=trial) == chosen


def test_other_errors_of_a_trial_are_raised(baked, microast, monkeypatch):
    monkeypatch.setattr("urst_core.tiling.batch_size.free_bytes", lambda _: PLENTY)
    trial = trial_of({1: 1.0, 2: RuntimeError("a defect")})
    with pytest.raises(RuntimeError, match="a defect"):
        choose_batch(baked, loop(microast.traits), trial=trial)


def test_trials_take_at_most_a_tenth_of_a_run(baked, microast, monkeypatch):
    monkeypatch.setattr("urst_core.tiling.batch_size.free_bytes", lambda _: PLENTY)
    computed = []

    def trial(count):
        computed.append(3 * count)  # once to choose kernels, twice to measure
        return torch.zeros(()), 1.0

    for size, batch in (((1280, 1536), 2), ((1920, 2048), 4), ((2560, 3072), 8)):
        computed.clear()
        tiles = loop(microast.traits, size=size)
        assert choose_batch(baked, tiles, trial=trial) == batch
        assert sum(computed) <= len(tiles.cores_to_do()) / 10


def test_a_trial_computes_windows_of_the_tile_size(baked, microast, windows):
    traits = replace(microast.traits, layers=microast.traits.layers[:2])
    tiles = loop(traits, edge=16, device=CPU)
    network = baked.prepared(CPU, torch.float64)
    trial = trial_on(network, tiles, rounds=1)
    (alone, seconds), (together, _) = trial(1), trial(2)
    assert alone.shape == (3, *[16 + 2 * traits.halo] * 2)
    assert float((together - alone).abs().max()) <= 1e-9
    assert seconds > 0
    assert windows == [1, 1, 2, 2]
