"""What ComfyUI decides for us: folders, devices, memory, progress and cancel."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import comfy.utils
import folder_paths
import torch
from comfy import model_management
from comfy_api.latest import io, ui
from PIL import Image

from ..urst_core.backbone import Traits
from ..urst_core.canvas import Source, from_unit, thumbnail_size_of
from ..urst_core.device import largest_tile
from ..urst_core.encode import EncodingListener
from ..urst_core.errors import URSTError, WeightsError
from ..urst_core.geometry import Size
from ..urst_core.hub import DownloadListener, DownloadProgress
from ..urst_core.manifest import WeightsEntry, entry_named, find_entry, read_manifest
from ..urst_core.preview import Preview
from ..urst_core.settings import Settings
from ..urst_core.tiling import Listener, Progress
from ..urst_core.verified import file_state
from ..urst_core.weights_store import WeightsStore
from .sockets import LoadedBackbone

MODEL_FOLDER = "urst"
"""The folder below models/ that weights are looked for in; the key in extra_model_paths.yaml."""

SECONDS_BETWEEN_PREVIEWS = 1.0

LONGEST_LIVE_PREVIEW = 1024
"""The longest side, in px, of what is shown while a node runs."""

BUILT_IN = "built-in"
"""Stands for the weights inside the pack; a list of files alone could be empty."""


def register_model_folder() -> None:
    """Tell ComfyUI of models/urst; folders that extra_model_paths.yaml adds stay."""
    folder_paths.add_model_folder_path(
        MODEL_FOLDER, os.path.join(folder_paths.models_dir, MODEL_FOLDER)
    )


def quiet_libvips() -> None:
    """Keep what libvips tells of its threads, line after line, out of ComfyUI's log."""
    logging.getLogger("pyvips").setLevel(logging.WARNING)


def weights_choices() -> list[str]:
    """The weights a user can choose: built in, then on the hub by name, then files by name.

    Asks no network. A manifest that cannot be used leaves files to choose from.
    """
    names = folder_paths.get_filename_list(MODEL_FOLDER)
    files = sorted(name for name in names if name.endswith(".safetensors"))
    return [BUILT_IN, *(e.name for e in _manifest() if e.home is not None), *files]


def weights_of(choice: str) -> Path | str | None:
    """What the engine loads for a choice: a file, a name in the manifest, None for built-in ones.

    Raises:
        WeightsError: the file is not there.
    """
    if choice == BUILT_IN:
        return None
    if entry_named(choice, _manifest()) is not None:
        return choice
    path = folder_paths.get_full_path(MODEL_FOLDER, choice)
    if path is None:
        raise WeightsError(
            f"weights {choice!r} are not in the folder models/{MODEL_FOLDER}; "
            f"put the file there, or choose {BUILT_IN!r}"
        )
    return Path(path)


def weights_folders() -> list[Path]:
    """models/urst, and what extra_model_paths.yaml adds."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]


def weights_state(choice: str) -> str:
    """Differs when the file of a choice does; what is downloaded first is no difference."""
    found = weights_of(choice)
    if isinstance(found, str):
        return WeightsStore(weights_folders()).state_text(find_entry(found, _manifest()))
    return BUILT_IN if found is None else file_state(found)


def download_listener() -> DownloadListener:
    """A listener that moves the node's progress bar, and ends the download when the user cancels.

    What ComfyUI raises for a cancel passes through the engine as it is.
    """
    bar: comfy.utils.ProgressBar | None = None

    def tell(progress: DownloadProgress) -> None:
        nonlocal bar
        bar = bar or comfy.utils.ProgressBar(progress.bytes_total)
        bar.update_absolute(progress.bytes_done, progress.bytes_total)

    return tell


def _manifest() -> tuple[WeightsEntry, ...]:
    try:
        return read_manifest()
    except URSTError as error:
        logging.warning("URST: %s", error)
        return ()


def device_of(choice: str) -> torch.device:
    """The device for a choice: ComfyUI's own for ``auto``, else the CPU.

    The engine computes on CUDA (and ROCm, which torch calls so), Apple's GPUs and CPUs. Other
    devices of ComfyUI (DirectML, XPU, NPU) fall back to the CPU.
    """
    if choice != "auto":
        return torch.device(choice)
    device = model_management.get_torch_device()
    if device.type in ("cuda", "mps", "cpu"):
        return device
    logging.warning("URST: device %s is not supported; computing on the CPU", device)
    return torch.device("cpu")


def settings_for(loaded: LoadedBackbone) -> Settings:
    """The engine's settings that come with a loaded backbone; the rest are defaults."""
    return Settings(precision=loaded.precision, device=str(device_of(loaded.device)))


@contextmanager
def working_memory(loaded: LoadedBackbone, *areas: Size) -> Generator[None, None, None]:
    """Have ComfyUI unload models for the work of the block, and give all back after it.

    Args:
        loaded: backbone that will compute.
        areas: heights and widths that go through the network, one at a time; the largest counts.
    """
    traits = loaded.backbone.traits
    pixels = max(height * width for height, width in areas)
    model_management.free_memory(pixels * traits.bytes_per_pixel, device_of(loaded.device))
    try:
        yield
    finally:
        model_management.soft_empty_cache()


def window_size(traits: Traits, edge: int, frame: Size) -> Size:
    """The largest window of cores with that edge."""
    longest = edge + 2 * traits.halo
    return min(longest, frame[0]), min(longest, frame[1])


def style_areas(styles: Sequence[Source | str], style_size: int) -> list[Size]:
    """Heights and widths of the style pictures as they will be encoded."""
    return [thumbnail_size_of(s.size, style_size) for s in styles if not isinstance(s, str)]


def run_areas(
    loaded: LoadedBackbone, size: Size, styles: Sequence[Source | str], settings: Settings
) -> list[Size]:
    """Heights and widths that go through the network when a whole picture is stylized."""
    edge = settings.tile_size or largest_tile(device_of(loaded.device), loaded.backbone.traits)
    return [
        window_size(loaded.backbone.traits, edge, size),
        thumbnail_size_of(size, settings.thumbnail_size),
        *style_areas(styles, settings.style_size),
    ]


def progress_listener(*, picture: int = 0, pictures: int = 1) -> Listener:
    """A listener that moves the node's progress bar, and ends the run when the user cancels.

    Args:
        picture: which of several pictures the run is for, from 0.
        pictures: how many there are.
    """
    bar = comfy.utils.ProgressBar(1)

    def tell(progress: Progress) -> None:
        # Pixels, not tiles: their total stays the same where tiles have to be halved.
        done = picture * progress.pixels_total + progress.pixels_done
        bar.update_absolute(done, pictures * progress.pixels_total)

    return tell


def encoding_listener(listener: Listener, size: Size) -> EncodingListener:
    """Passes an encoding's progress on to a listener of tiles; each percent once."""
    area = size[0] * size[1]
    last = -1

    def tell(share: float) -> None:
        nonlocal last
        # libvips speaks up for every few rows.
        if int(100 * share) > last:
            last = int(100 * share)
            listener(Progress("encoding", 0, 0, round(share * area), area))

    return tell


def preview_listener(preview: Preview) -> Listener:
    """As :func:`progress_listener`, and shows the picture as it fills, once a second."""
    bar = comfy.utils.ProgressBar(1)
    last = -SECONDS_BETWEEN_PREVIEWS

    def tell(progress: Progress) -> None:
        nonlocal last
        shown = None
        if progress.core is not None and progress.pixels is not None:
            preview.add(progress.core, progress.pixels)
            if time.monotonic() - last >= SECONDS_BETWEEN_PREVIEWS:
                last = time.monotonic()
                shown = ("JPEG", _pillow_image(preview), LONGEST_LIVE_PREVIEW)
        bar.update_absolute(progress.pixels_done, progress.pixels_total, shown)

    return tell


def _pillow_image(preview: Preview) -> Image.Image:
    """A copy: ComfyUI encodes it later, in another thread."""
    pixels = from_unit(preview.pixels, torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def page_output(image: torch.Tensor, node: type[io.ComfyNode], paths: Sequence[Path]) -> dict:
    """What a page is told when a node is done: pictures, as temporary files, and where results are.

    Args:
        image: small pictures, an IMAGE.
        node: the node's class as ComfyUI calls it.
        paths: of the results; only texts, so that no page fetches them.
    """
    return ui.PreviewImage(image, cls=node).as_dict() | {"text": [str(path) for path in paths]}
