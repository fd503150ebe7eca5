"""ComfyUI's side of things: folders and weights here; memory and progress are re-exported.

Nodes import this module only.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import folder_paths
import torch
from PIL import Image

from ..urst_core.errors import StatsError, URSTError, WeightsError
from ..urst_core.pictures.source import from_unit
from ..urst_core.weights.header import styles_in
from ..urst_core.weights.manifest import WeightsEntry, entry_named, find_entry, read_manifest
from . import folders
from .folders import STYLE_ENDING
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
    "published_choices",
    "published_files",
    "quiet_libvips",
    "register_model_folder",
    "run_areas",
    "settings_for",
    "stages_of",
    "style_areas",
    "style_banks",
    "style_choices",
    "style_file",
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

BROWSER_ENDINGS = (".png", ".jpg", ".webp")
"""Of results that every browser shows; AVIF is left out for Pillow, which may not read its size."""

PREVIEW_QUALITY = 90


PUBLISHED_ENDINGS = (  # of weights as their authors publish them
    *(".bin", ".ckpt", ".model", ".pt", ".pth", ".pth.tar", ".safetensors", ".t7"),
)


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
    return [BUILT_IN, *(e.name for e in _manifest() if e.home is not None), *_weights_files()]


def _weights_files() -> list[str]:
    names = folder_paths.get_filename_list(MODEL_FOLDER)
    return sorted(n for n in names if n.endswith(".safetensors") and not n.endswith(STYLE_ENDING))


def style_banks() -> dict[str, tuple[str, ...]]:
    """Of :func:`weights_choices`, those with several built-in styles, and the names of these.

    The manifest has them, otherwise headers of files: no tensor is loaded, nothing is hashed or
    requested.
    """
    manifest = _manifest()
    banks = {entry.name: entry.styles for entry in manifest if entry.home is not None}
    by_file = {entry.file_name: entry.styles for entry in manifest}
    for name in _weights_files():
        path = folder_paths.get_full_path(MODEL_FOLDER, name)
        numbers = () if path is None else styles_in(Path(path))
        named = by_file.get(os.path.basename(name), ())
        # A file that only has the name of another has another number of styles, if any.
        banks[name] = named if len(named) == len(numbers) else numbers
    return {choice: styles for choice, styles in banks.items() if len(styles) > 1}


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


def style_choices() -> list[str]:
    """Files of styles in models/urst, which are not weights."""
    names = folder_paths.get_filename_list(MODEL_FOLDER)
    return sorted(name for name in names if name.endswith(STYLE_ENDING))


def style_file(choice: str) -> Path:
    """The path of a choice.

    Raises:
        StatsError: the file is missing.
    """
    path = folder_paths.get_full_path(MODEL_FOLDER, choice)
    if path is None:
        raise StatsError(f"style {choice!r} is not in the folder models/{MODEL_FOLDER}")
    return Path(path)


def published_choices() -> list[str]:
    """Files in models/urst that may be published weights, and folders of them."""
    names = [name.replace(os.sep, "/") for name in folder_paths.get_filename_list(MODEL_FOLDER)]
    files = [name for name in names if name.lower().endswith(PUBLISHED_ENDINGS)]
    folders = {f"{parent}/" for name in files if (parent := os.path.dirname(name))}
    return [*sorted(folders), *sorted(files)]


def published_files(choice: str) -> list[Path]:
    """The files of one of :func:`published_choices`.

    Raises:
        WeightsError: they are missing.
    """
    if choice.endswith("/"):
        inside = [c for c in published_choices() if os.path.dirname(c) + "/" == choice]
        names = [name for name in inside if not name.endswith("/")]
    else:
        names = [choice]
    paths = [folder_paths.get_full_path(MODEL_FOLDER, name) for name in names]
    found = [Path(path) for path in paths if path is not None]
    if not found:
        raise WeightsError(
            f"{choice!r} is not in the folder models/{MODEL_FOLDER}; put the published files there"
        )
    return found


def weights_folders() -> list[Path]:
    """models/urst, and the folders that extra_model_paths.yaml adds."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]


def weights_state(choice: str) -> str:
    """A text that changes when the weights do; a first download does not change it."""
    from ..urst_core.weights.store import WeightsStore
    from ..urst_core.weights.verified import file_state

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


def page_output(image: torch.Tensor, paths: Sequence[Path] = ()) -> dict[str, Any]:
    """UI output of a finished node: pictures for the page, and the results themselves.

    The page shows ``images``: the results where a browser can show them and they are no larger than
    a preview, else previews, as temporary JPEG files. ``files`` names all results, for scripts and
    remote users: ``/view`` serves them.

    Args:
        image: previews, an IMAGE.
        paths: of the results, in ComfyUI's output folder.
    """
    files = [folders.view_of(path) for path in paths]
    shown = [
        file if file and _is_shown(path, preview) else _temporary_jpeg(preview)
        for preview, path, file in zip_longest(image, paths, files)
    ]
    names = [f"{file['subfolder']}/{file['filename']}".removeprefix("/") for file in files]
    return {"images": shown, "animated": (False,), "files": files, "text": names}


def _is_shown(path: Path, preview: torch.Tensor) -> bool:
    """Whether the page can show a result itself, at the size of its preview."""
    if path.suffix not in BROWSER_ENDINGS:
        return False
    with suppress(OSError), Image.open(path) as stored:
        return stored.size == (preview.shape[1], preview.shape[0])
    return False


def _temporary_jpeg(picture: torch.Tensor) -> dict[str, str]:
    """Save (H, W, C), 0..1, as the page shows it: over a slow link a PNG would take long."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    name = f"urst_{secrets.token_hex(8)}.jpg"
    stored = from_unit(picture[..., :3], torch.uint8).contiguous().numpy()
    Image.fromarray(stored).save(folder / name, quality=PREVIEW_QUALITY)
    return {"filename": name, "subfolder": "", "type": "temp"}
