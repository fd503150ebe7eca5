"""Wording of errors for nodes, which have inputs in place of the engine's settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..urst_core.errors import Command, Install, Reworded, URSTError

PACK = Path(__file__).resolve().parents[1]

WORDS: dict[tuple[str, object], str] = {
    ("overwrite", True): "switch overwrite on",
    ("any_size", True): "convert it to a TIFF in tiles",
    ("if_interrupted", "resume"): "switch resume on",
    ("if_interrupted", "restart"): "switch resume off to discard it",
    ("weights", None): "put a safetensors file into models/urst and choose it",
}
"""Remedies that take more words than an input and its value."""

PYTHON = f'"{sys.executable}"' if " " in sys.executable else sys.executable
"""ComfyUI's own Python; in quotes only where needed: PowerShell does not run a quoted name."""

PIP = f"{PYTHON} -m pip"
"""The plain name is another Python's, or nothing in the portable build."""


@contextmanager
def naming_inputs() -> Iterator[None]:
    """Reword errors raised in the block to name inputs: ``set tile_size to 512``."""
    try:
        yield
    except URSTError as error:
        raise type(error)(error.worded(_words)) from error


def _words(remedy: Reworded) -> str:
    if isinstance(remedy, Install):
        return remedy.with_pip(PIP)
    if isinstance(remedy, Command):
        if remedy.line.startswith("urst weights convert"):
            return (
                "put the published files into a folder of models/urst, and convert them with the "
                "node Convert Weights"
            )
        # ComfyUI does not install the command, but its Python runs the package from this folder.
        line = f"{PYTHON} -m urst_core{remedy.line.removeprefix('urst')}"
        return f"{remedy.how} '{line}' in the folder {PACK}"
    words = WORDS.get((remedy.setting, remedy.value))
    if words is not None:
        return words
    if remedy.value is None:
        return f"{remedy.how} {remedy.setting}"
    return f"set {remedy.setting} to {remedy.value}"
