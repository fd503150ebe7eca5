"""ComfyUI's side of things: folders and weights here; memory and progress are re-exported.

Nodes import this module only.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui

from ..urst_core.errors import URSTError, WeightsError
from ..urst_core.weights.manifest import WeightsEntry, entry_named, find_entry, read_manifest
from ..urst_core.weights.store import WeightsStore
from ..urst_core.weights.verified import file_state
from .memory import (
    device_of,
    image_bytes,
    image_kind,
    run_areas,
    settings_for,
    style_areas,
    working_memory,
)
from .progress import (
    NodeProgress,
    download_listener,
    encoding_listener,
    existing_preview,
    fill_preview,
    progress_listener,
    stages_of,
)

__all__ = [
    "BUILT_IN",
    "NodeProgress",
    "device_of",
    "download_listener",
    "encoding_listener",
    "existing_preview",
    "fill_preview",
    "image_bytes",
    "image_kind",
    "page_output",
    "progress_listener",
    "quiet_libvips",
    "register_model_folder",
    "run_areas",
    "settings_for",
    "stages_of",
    "style_areas",
    "weights_choices",
    "weights_folders",
    "weights_of",
    "weights_state",
    "working_memory",
]

MODEL_FOLDER = "urst"
"""Folder of weights below models/, and the key in extra_model_paths.yaml."""

BUILT_IN = "built-in"
"""Choice of the weights that come with the pack; a list of files alone could be empty."""


def register_model_folder() -> None:
    """Register models/urst with ComfyUI; folders from extra_model_paths.yaml are kept."""
    folder_paths.add_model_folder_path(
        MODEL_FOLDER, os.path.join(folder_paths.models_dir, MODEL_FOLDER)
    )


def quiet_libvips() -> None:
    """Keep libvips' many messages about its threads out of ComfyUI's log."""
    logging.getLogger("pyvips").setLevel(logging.WARNING)


def weights_choices() -> list[str]:
    """Weights to choose from: the built-in ones, then names on the hub, then files.

    Does not access the network. Without a usable manifest, only files are offered.
    """
    names = folder_paths.get_filename_list(MODEL_FOLDER)
    files = sorted(name for name in names if name.endswith(".safetensors"))
    return [BUILT_IN, *(e.name for e in _manifest() if e.home is not None), *files]


def weights_of(choice: str) -> Path | str | None:
    """The engine's argument for a choice: a file, a name in the manifest, or None for built-in.

    Raises:
        WeightsError: the file is missing.
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
    """models/urst, and the folders that extra_model_paths.yaml adds."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]


def weights_state(choice: str) -> str:
    """A text that changes when the weights do; a first download does not change it."""
    found = weights_of(choice)
    if isinstance(found, str):
        return WeightsStore(weights_folders()).state_text(find_entry(found, _manifest()))
    return BUILT_IN if found is None else file_state(found)


def _manifest() -> tuple[WeightsEntry, ...]:
    try:
        return read_manifest()
    except URSTError as error:
        logging.warning("URST: %s", error)
        return ()


def page_output(image: torch.Tensor, node: type[io.ComfyNode], paths: Sequence[Path]) -> dict:
    """UI output of a finished node: previews, as temporary files, and paths of the results.

    Args:
        image: previews, an IMAGE.
        node: the class that ComfyUI executes.
        paths: of the results; sent as text, so that pages do not fetch them.
    """
    return ui.PreviewImage(image, cls=node).as_dict() | {"text": [str(path) for path in paths]}
