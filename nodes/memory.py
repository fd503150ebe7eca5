"""ComfyUI's devices and memory: requested before the work, and fully released after it.

Networks stay on the CPU. A copy does the work and is deleted afterwards, so ComfyUI has nothing to
offload or unload.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

import torch
from comfy import model_management

from ..urst_core.geometry import largest_window
from ..urst_core.pictures.thumbnail import thumbnail_size_of
from ..urst_core.tiling.settings import Settings
from ..urst_core.tiling.tile_size import LARGEST_TILE

if TYPE_CHECKING:
    from ..urst_core.geometry import Size
    from ..urst_core.networks.style import AnyStyle
    from .sockets import LoadedBackbone


def device_of(choice: str) -> torch.device:
    """The device for a choice: ComfyUI's own for ``auto``, else the CPU.

    The engine runs on CUDA (and ROCm, which torch also calls cuda), Apple GPUs and CPUs. On
    ComfyUI's other devices (DirectML, XPU, NPU) it falls back to the CPU.
    """
    if choice != "auto":
        return torch.device(choice)
    device = model_management.get_torch_device()
    if device.type in ("cuda", "mps", "cpu"):
        return device
    logging.warning("URST: device %s is not supported; computing on the CPU", device)
    return torch.device("cpu")


def settings_for(loaded: LoadedBackbone) -> Settings:
    """The engine's settings with a loaded backbone's precision and device, otherwise defaults."""
    return Settings(precision=loaded.precision, device=str(device_of(loaded.device)))


def image_kind() -> tuple[torch.device, torch.dtype]:
    """Device and type that ComfyUI wants for IMAGEs; older versions always use float32."""
    wanted = getattr(model_management, "intermediate_dtype", None)
    return model_management.intermediate_device(), wanted() if wanted else torch.float32


def image_bytes(*shape: int) -> int:
    """Size of an IMAGE of that shape, in bytes."""
    return math.prod(shape) * image_kind()[1].itemsize


@contextmanager
def working_memory(
    loaded: LoadedBackbone, *areas: Size, result_bytes: int = 0
) -> Generator[None, None, None]:
    """Have ComfyUI unload models to make room for the block, and release everything after it.

    Also after an error or a cancel: ComfyUI keeps the error for a while, so the local variables
    of its traceback are cleared first.

    Args:
        loaded: backbone that will run.
        areas: heights and widths that go through the network, one at a time; the largest counts.
        result_bytes: size of the IMAGEs that the block creates.
    """
    device = device_of(loaded.device)
    pixels = max(height * width for height, width in areas)
    needed = pixels * loaded.backbone.traits.bytes_per_pixel + weights_bytes(loaded)
    if image_kind()[0].type == device.type:
        needed += result_bytes
    model_management.free_memory(needed, device)
    try:
        yield
    except BaseException as error:
        _let_go(error)
        raise
    finally:
        model_management.soft_empty_cache()


def weights_bytes(loaded: LoadedBackbone) -> int:
    """Size of a copy of the network, in bytes."""
    network = loaded.backbone.network
    return sum(tensor.nbytes for tensor in chain(network.parameters(), network.buffers()))


def _let_go(error: BaseException) -> None:
    """Clear the finished stack frames of an error and of the errors that led to it."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            traceback.clear_frames(current.__traceback__)
            pending += [current.__cause__, current.__context__]


def style_areas(styles: Sequence[AnyStyle], style_size: int) -> list[Size]:
    """Heights and widths at which the style pictures are encoded."""
    from ..urst_core.networks.style import pictures_among

    return [thumbnail_size_of(each.size, style_size) for each in pictures_among(styles)]


def run_areas(
    loaded: LoadedBackbone, size: Size, styles: Sequence[AnyStyle], settings: Settings
) -> list[Size]:
    """Heights and widths that go through the network when a whole picture is stylized."""
    from ..urst_core.method.strokes import level_margins

    edge, traits = settings.tile_size or LARGEST_TILE, loaded.backbone.traits
    margin = max(level_margins(size, settings, traits.stride))
    return [
        largest_window(size, edge, traits.halo + margin),
        thumbnail_size_of(size, settings.thumbnail_size),
        *style_areas(styles, settings.style_size),
    ]
