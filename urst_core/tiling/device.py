"""Devices: finding one, its free memory, and errors when that is not enough."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TYPE_CHECKING

import psutil
import torch

from ..errors import DeviceError, URSTError

if TYPE_CHECKING:
    from ..networks.network import Traits

PRECISIONS: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


OUT_OF_MEMORY = (
    *("out of memory", "not enough memory", "can't allocate memory"),
    *("alloc_failed", "allocation_failed"),  # cuBLAS, cuDNN: for their workspaces
)
"""Words in lower case in the messages of errors that do not have a type of their own."""


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
            f"device {name!r} is not available: torch sees {count} CUDA devices; use auto or cpu"
        )
    if kind == "mps" and not has_mps:
        raise DeviceError("device 'mps' is not available: torch sees no Apple GPU; use auto or cpu")
    return torch.device(kind, int(index)) if index else torch.device(kind)


@contextmanager
def cpu_threads(count: int) -> Generator[None, None, None]:
    """Set the number of threads that PyTorch uses on the CPU, within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def io_thread(name: str, *, on_cpu: bool) -> ThreadPoolExecutor:
    """A thread that prepares or stores pictures while the device computes.

    Operations of PyTorch in another thread start helpers of their own. GNU OpenMP then has more
    threads than there are cores, and lets the idle ones of the computing thread sleep instead of
    wait: the tiles of MicroAST took 15% longer on two cores. So this thread has no helpers if the
    CPU computes.

    Args:
        name: of the thread.
        on_cpu: whether the CPU computes.
    """
    return single_threads(1, name) if on_cpu else ThreadPoolExecutor(1, name)


def single_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads in which PyTorch's operations on a CPU have no helpers.

    Args:
        count: of threads.
        name: of the threads.
    """
    before, all_started = torch.get_num_threads(), Barrier(count)

    def start(_: int) -> None:
        # The initializer also sets the number that new threads begin with, for which PyTorch asks
        # at the first operation; so there is one in each before the number is set back.
        torch.get_num_threads()
        all_started.wait()

    executor = ThreadPoolExecutor(count, name, initializer=torch.set_num_threads, initargs=(1,))
    list(executor.map(start, range(count)))
    torch.set_num_threads(before)
    return executor


def find_precision(name: str, traits: Traits) -> torch.dtype | None:
    """The type called ``fp32``, ``fp16`` or ``bf16``; None for ``auto``.

    Raises:
        DeviceError: the name is unknown, or the backbone does not work in that precision.
    """
    if name == "auto":
        return None
    if name not in PRECISIONS:
        raise DeviceError(f"precision {name!r} is unknown; use auto, {', '.join(PRECISIONS)}")
    dtype = PRECISIONS[name]
    if dtype != torch.float32 and dtype not in traits.half_precision:
        raise DeviceError(f"{traits.title} does not work in {name}; use fp32 or auto")
    return dtype


def free_bytes(device: torch.device) -> int:
    """Free memory on the device, in bytes."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device, or the machine, ran out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, URSTError) or not isinstance(error, RuntimeError):
        return False
    words = str(error).lower()
    return any(each in words for each in OUT_OF_MEMORY)


def release_memory(device: torch.device) -> None:
    """Free cached blocks, so that the next, smaller attempt can use their memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def wait_for(device: torch.device) -> None:
    """Wait until the device has done everything that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def explained_out_of_memory(
    device: torch.device, what: str, remedy: str
) -> Generator[None, None, None]:
    """Turn an out-of-memory error of the block into one with a remedy.

    Args:
        device: where the block computes.
        what: what the memory was needed for.
        remedy: words that follow "use".

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


def has_fast_bfloat16(device: torch.device | None = None) -> bool:
    """Whether a CPU (this machine's, if None) or an NVIDIA GPU multiplies bfloat16 in hardware."""
    if device is not None and device.type == "cuda":
        # Since Ampere; cuDNN has no convolution for it on older ones.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Only torch 2.9 and later can tell.
    ask = getattr(torch.cpu, "get_capabilities", None)
    features = {} if ask is None else dict(ask())
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def check_host_memory(needed_bytes: int, what: str, *, remedy: str) -> None:
    """Refuse work that needs more memory than is free, before the system kills the process.

    Args:
        needed_bytes: the largest amount that will be in use at once.
        what: the subject of the message.
        remedy: an alternative to closing other programs.

    Raises:
        DeviceError: less memory is free.
    """
    free = free_bytes(torch.device("cpu"))
    if needed_bytes > free:
        raise DeviceError(
            f"{what} needs {needed_bytes / 1e9:.2f} GB of memory, {free / 1e9:.2f} GB are free; "
            f"close other programs, or {remedy}"
        )
