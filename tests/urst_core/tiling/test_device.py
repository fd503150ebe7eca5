"""Devices, precisions, and the tile size that fits in memory."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urst_core.backbones import DEFAULT_BACKBONE, all_backbones, find_backbone
from urst_core.backbones.adain import AdaIN
from urst_core.errors import DeviceError
from urst_core.geometry import Rectangle, cut, round_up, windows_area
from urst_core.tiling import tile_size as tile_size_module
from urst_core.tiling.device import (
    PRECISIONS,
    check_host_memory,
    explained_out_of_memory,
    find_device,
    find_precision,
    free_bytes,
    is_out_of_memory,
)
from urst_core.tiling.tile_size import (
    LARGEST_TILE,
    MEMORY_SHARE,
    TOLERANCE,
    choose_tile_size,
)

CPU = torch.device("cpu")
TRAITS = [network.traits for network in all_backbones()]


def machine(monkeypatch, *, cuda: int, mps: bool) -> None:
    """Let torch see so many CUDA devices and, or not, an Apple GPU."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(0, False, "cpu"), (0, True, "mps"), (1, False, "cuda"), (2, True, "cuda")],
)
def test_auto_takes_the_fastest_there_is(monkeypatch, cuda, mps, expected):
    machine(monkeypatch, cuda=cuda, mps=mps)
    assert find_device() == find_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_names_of_devices(monkeypatch, name):
    machine(monkeypatch, cuda=2, mps=True)
    assert find_device(name) == torch.device(name)


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "CPU", " cpu", "cpu:", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "mps:0"],
)
@pytest.mark.parametrize("cuda", [0, 2])
def test_unknown_devices(monkeypatch, name, cuda):
    machine(monkeypatch, cuda=cuda, mps=True)
    with pytest.raises(DeviceError) as caught:
        find_device(name)
    assert str(caught.value) == f"device {name!r} is unknown; use auto, cpu, cuda, cuda:N or mps"


@pytest.mark.parametrize(
    ("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:99", 0), ("cuda:2", 2), ("cuda:99", 8)]
)
def test_absent_cuda_device(monkeypatch, name, count):
    machine(monkeypatch, cuda=count, mps=False)
    with pytest.raises(DeviceError) as caught:
        find_device(name)
    assert str(caught.value) == (
        f"device {name!r} is not available: torch sees {count} CUDA devices; use auto or cpu"
    )


def test_absent_apple_gpu(monkeypatch):
    machine(monkeypatch, cuda=0, mps=False)
    with pytest.raises(DeviceError) as caught:
        find_device("mps")
    assert str(caught.value) == (
        "device 'mps' is not available: torch sees no Apple GPU; use auto or cpu"
    )


# Precision


@pytest.mark.parametrize("traits", TRAITS, ids=lambda traits: traits.name)
def test_precisions(traits):
    assert find_precision("auto", traits) is None
    assert find_precision("fp32", traits) == torch.float32
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        if dtype in traits.half_precision:
            assert find_precision(name, traits) == dtype
        else:
            with pytest.raises(DeviceError, match=f"{traits.title} does not work in {name}"):
                find_precision(name, traits)


@pytest.mark.parametrize("name", ["fp8", "FP16", "float16", "", "int8"])
def test_unknown_precision(name):
    with pytest.raises(DeviceError) as caught:
        find_precision(name, AdaIN.traits)
    assert str(caught.value) == f"precision {name!r} is unknown; use auto, fp32, fp16, bf16"


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_precision_that_the_backbone_does_not_support(name):
    traits = dataclasses.replace(AdaIN.traits, half_precision=())
    assert find_precision("fp32", traits) == torch.float32
    with pytest.raises(DeviceError) as caught:
        find_precision(name, traits)
    assert str(caught.value) == f"AdaIN does not work in {name}; use fp32 or auto"


# Memory


def test_free_memory_of_the_machine():
    assert 1e6 < free_bytes(CPU) < 1e15


def test_free_memory_of_gpus(monkeypatch):
    """What torch has reserved and does not use can be had too."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (5_000, 9_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 3_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 1_000)
    assert free_bytes(torch.device("cuda")) == 7_000
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 9_000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2_000)
    assert free_bytes(torch.device("mps")) == 7_000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("Given groups=1, weight of size [64, 3, 3, 3]"), False),
        (ValueError("out of memory"), False),
        (OSError("not enough memory"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_that_mean_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_out_of_memory_is_explained(error):
    with (
        pytest.raises(DeviceError) as caught,
        explained_out_of_memory(CPU, "the thumbnail", "a smaller one"),
    ):
        raise error
    assert str(caught.value) == (
        "cpu has too little free memory for the thumbnail; use a smaller one or another device"
    )
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [RuntimeError("a defect"), ValueError("out of memory")])
def test_other_errors_are_not_explained_away(error):
    with (
        pytest.raises(type(error)) as caught,
        explained_out_of_memory(CPU, "the thumbnail", "a smaller one"),
    ):
        raise error
    assert caught.value is error


# Tile size

frames = st.tuples(st.integers(1, 1500), st.integers(1, 1500)).map(
    lambda strides: (strides[0] * 8, strides[1] * 8)
)


devices = st.sampled_from([CPU, torch.device("cuda"), torch.device("mps")])


@given(
    frame=frames,
    traits=st.sampled_from(TRAITS),
    dtype=st.sampled_from(list(PRECISIONS.values())),
    device=devices,
    available=st.integers(-(2**36), 2**40),
)
def test_tile_size_fits(frame, traits, dtype, device, available):
    edge = choose_tile_size(frame, traits, dtype, device, available_bytes=available)
    smallest = math.lcm(traits.stride, 32)
    assert edge % traits.stride == 0
    assert smallest <= edge <= LARGEST_TILE
    # Never larger than needed: one step less would not cover the frame.
    assert edge == smallest or edge - smallest < max(frame)
    window = edge + 2 * traits.halo
    if edge > smallest:
        taken = window * window * traits.bytes_per_pixel * dtype.itemsize / 4
        assert taken <= available * MEMORY_SHARE


@pytest.mark.parametrize("traits", TRAITS, ids=lambda traits: traits.name)
@pytest.mark.parametrize("available", [-(10**12), -5, 0, 1, 10**6])
def test_short_memory_gives_the_smallest_tile(traits, available):
    edge = choose_tile_size((4000, 6000), traits, torch.float32, CPU, available_bytes=available)
    assert edge == math.lcm(traits.stride, 32)


@pytest.mark.parametrize("device", [CPU, torch.device("cuda")], ids=str)
@pytest.mark.parametrize("traits", TRAITS, ids=lambda traits: traits.name)
def test_plenty_of_memory(traits, device):
    def chosen(frame):
        return choose_tile_size(frame, traits, torch.float32, device, available_bytes=2**42)

    step, largest = math.lcm(traits.stride, 32), LARGEST_TILE
    assert chosen((8, 8)) == step
    assert chosen((16, 200)) == round_up(200, step)
    assert chosen((500, 500)) == round_up(500, step)
    assert largest // 2 <= chosen((30_000, 40_000)) <= largest


@pytest.mark.parametrize("device", [CPU, torch.device("cuda")], ids=str)
def test_halo_of_the_default_backbone_is_cheap(device):
    traits = find_backbone(DEFAULT_BACKBONE).traits
    for frame in ((4096, 4096), (6000, 9000), (20_000, 20_000)):
        edge = choose_tile_size(frame, traits, torch.float32, device, available_bytes=2**34)
        assert windows_area(frame, edge, traits.halo) <= 1.12 * frame[0] * frame[1]


def test_half_precision_takes_larger_tiles():
    edges = [
        choose_tile_size(
            (9000, 9000),
            AdaIN.traits,
            dtype,
            torch.device("cuda"),
            available_bytes=2 * AdaIN.traits.bytes_per_pixel * 900**2,
        )
        for dtype in (torch.float32, torch.float16)
    ]
    assert edges[1] > edges[0]


@pytest.mark.slow
@given(
    frame=frames,
    traits=st.sampled_from(TRAITS),
    device=devices,
    available=st.integers(10**8, 10**11),
)
def test_tile_size_reads_no_more_than_the_largest_that_fits(frame, traits, device, available):
    edge = choose_tile_size(frame, traits, torch.float32, device, available_bytes=available)
    step = math.lcm(traits.stride, 32)
    fitting = [
        larger
        for larger in range(edge, LARGEST_TILE + 1, step)
        if (larger + 2 * traits.halo) ** 2 * traits.bytes_per_pixel <= available * MEMORY_SHARE
        and larger - step < max(frame)
    ]
    if fitting:
        areas = [windows_area(frame, size, traits.halo) for size in (edge, fitting[-1])]
        assert areas[0] <= TOLERANCE * areas[1]


@pytest.mark.parametrize(
    ("frame", "margin", "edge"),
    [((3000, 4500), 0, 1504), ((4152, 6024), 44, 2016), ((5000, 5000), 44, 1696)],
)
def test_of_tiles_that_read_as_much_the_smallest_are_chosen(frame, margin, edge):
    traits = find_backbone(DEFAULT_BACKBONE).traits
    chosen = choose_tile_size(
        frame, traits, torch.float32, CPU, available_bytes=2**42, margin=margin
    )
    assert chosen == edge
    # One step less would take more tiles.
    step = math.lcm(traits.stride, 32)
    assert len(list(cut(Rectangle.of_size(frame), edge))) < len(
        list(cut(Rectangle.of_size(frame), edge - step))
    )


def test_tile_size_asks_the_device(monkeypatch):
    asked = []
    monkeypatch.setattr(tile_size_module, "free_bytes", lambda device: asked.append(device) or 0)
    assert choose_tile_size((4000, 4000), AdaIN.traits, torch.float32, CPU) == 32
    assert asked == [CPU]


def test_work_that_does_not_fit_in_memory_is_refused_early():
    check_host_memory(1000, "a picture", remedy="make it smaller")
    with pytest.raises(
        DeviceError,
        match=r"a picture needs 1000000\.00 GB of memory, .* GB are free; close other programs, "
        "or make it smaller",
    ):
        check_host_memory(10**15, "a picture", remedy="make it smaller")
