"""The pack's own photograph, paintings and video: inputs with which a template runs at once."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

import folder_paths

FOLDER = Path(__file__).resolve().parents[1] / "sample_pictures"


def offer_sample_pictures() -> None:
    """Copy them into ComfyUI's input folder, where Load Image and others find them.

    Existing files stay as they are, whatever they are. A folder that cannot be written to is
    logged: everything else works without the pictures.
    """
    folder = Path(folder_paths.get_input_directory())
    if not folder.is_dir():
        return
    try:
        for sample in sorted(FOLDER.glob("urst_*")):
            _copy(sample, folder / sample.name)
    except OSError as error:
        logging.warning("URST: the sample pictures cannot be copied to %s (%s)", folder, error)


def _copy(sample: Path, target: Path) -> None:
    if os.path.lexists(target):
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copyfile(sample, partial)
        os.replace(partial, target)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
