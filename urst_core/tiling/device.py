"""Devices: finding one, its free memory, and what to do when that was not enough."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import psutil
import torch

from ..errors import DeviceError
from ..geometry import Size, round_up, windows_area
from ..networks.network import Traits

PRECISIONS: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

LARGEST_TILE = 2048
"""Beyond this edge a tile gains nothing: the halo is a few percent, the kernels are busy."""

LARGEST_WHOLE_TILE_ON_CPU = 512
"""The same on a CPU, where a backbone does not work in bands: larger tiles leave the caches, and
the C library returns their memory after every layer, which costs more than a wider halo."""

MEMORY_SHARE = 0.5
"""Share of the free memory that one tile pass may take."""


def find_device(name: str = "auto") -> torch.device:
    """The device called ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        DeviceError: the name is unknown, or the machine has no such device.
    """
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    kind, colon, index = name.partition(":")
    is_index = index.isascii() and index.isdigit()
    if kind not in ("cpu", "cuda", "mps") or (colon and not (kind == "cuda" and is_index)):
        raise DeviceError(f"device {name!r} is unknown; use auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count()
    if kind == "cuda" and int(index or 0) >= count:
        raise DeviceError(
            f"device {name!r} is not there: torch sees {count} CUDA devices; use auto or cpu"
        )
    if kind == "mps" and not has_mps:
        raise DeviceError("device 'mps' is not there: torch sees no Apple GPU; use auto or cpu")
    return torch.device(kind, int(index)) if index else torch.device(kind)


@contextmanager
def cpu_threads(count: int) -> Generator[None, None, None]:
    """So many threads for PyTorch's work on the CPU, within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_precision(name: str, traits: Traits) -> torch.dtype | None:
    """The type called ``fp32``, ``fp16`` or ``bf16``; None for ``auto``.

    Raises:
        DeviceError: the name is unknown, or the backbone does not hold in that precision.
    """
    if name == "auto":
        return None
    if name not in PRECISIONS:
        raise DeviceError(f"precision {name!r} is unknown; use auto, {', '.join(PRECISIONS)}")
    dtype = PRECISIONS[name]
    if dtype != torch.float32 and dtype not in traits.half_precision:
        raise DeviceError(f"{traits.title} does not hold in {name}; use fp32 or auto")
    return dtype


def free_bytes(device: torch.device) -> int:
    """Memory of the device that can be had now, in bytes."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has too little memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in words or "not enough memory" in words or "can't allocate memory" in words
    )


def release_memory(device: torch.device) -> None:
    """Hand cached blocks back, so that the next, smaller attempt finds them."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def explained_out_of_memory(
    device: torch.device, what: str, remedy: str
) -> Generator[None, None, None]:
    """Turn an out-of-memory error of the block into one that says what to do.

    Raises:
        DeviceError: the block ran out of memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"{device} has too little free memory for {what}; use {remedy} or another device"
        ) from error


def largest_tile(device: torch.device, traits: Traits) -> int:
    """The edge beyond which a backbone's cores gain nothing on a device, in px."""
    is_whole_on_cpu = device.type == "cpu" and not traits.in_bands
    return LARGEST_WHOLE_TILE_ON_CPU if is_whole_on_cpu else LARGEST_TILE


def has_fast_bfloat16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 in its hardware."""
    # Of torch 2.9 or later; earlier ones do not tell.
    ask = getattr(torch.cpu, "get_capabilities", None)
    features = {} if ask is None else dict(ask())
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def choose_tile_size(
    frame: Size,
    traits: Traits,
    dtype: torch.dtype,
    device: torch.device,
    *,
    available_bytes: int | None = None,
) -> int:
    """The edge of cores that fits the memory and reads the fewest pixels twice.

    Args:
        frame: height and width of the padded image.
        traits: of the backbone.
        dtype: that the tile network computes in.
        device: where it computes.
        available_bytes: memory to plan with; the device's free memory when not given.

    Returns:
        A multiple of the stride; the smallest possible where memory is short.
    """
    if available_bytes is None:
        available_bytes = free_bytes(device)
    bytes_per_pixel = traits.bytes_per_pixel * dtype.itemsize / 4
    # A device that is overcommitted reports less than nothing.
    window = math.isqrt(max(0, int(available_bytes * MEMORY_SHARE / bytes_per_pixel)))
    step = math.lcm(traits.stride, 32)
    most = min(largest_tile(device, traits), (window - 2 * traits.halo) // step * step)
    most = max(step, min(most, round_up(max(frame), step)))
    least = max(step, round_up(most // 2, step))
    return min(
        range(most, least - 1, -step), key=lambda edge: windows_area(frame, edge, traits.halo)
    )
