"""Files that a crash leaves whole, and whose bytes are checked when they are read again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import ImageError

HASH_BYTES = 1 << 20
"""How much of a file is read at a time, to be hashed."""

SHA_256 = "SHA-256 "

HEADER = "urst"
"""The one entry of a safetensors header of ours: of several, the library changes the order."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash, or a loss of power, leaves the old one or the new one.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; nothing is left behind, and
            an older file stays as it was.
    """
    partial = partial_path(path)
    try:
        # An older process of this number may have left one; a link in its place is not followed.
        partial.unlink(missing_ok=True)
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        publish(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink()


def partial_path(path: Path) -> Path:
    """A hidden name beside a file, for its unfinished self; the process's own."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def flush_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk, so that its name does not survive without them.

    Raises:
        OSError: the disk is full or failing.
    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def publish(partial: Path, path: Path) -> None:
    """Give a flushed file its name, in place of an older one, so that a loss of power keeps it.

    Raises:
        OSError: it cannot be renamed.
    """
    partial.replace(path)
    if os.name == "posix":
        # The name is in the folder. Some network file systems cannot flush one.
        with suppress(OSError):
            number = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, with its name before it; about a second for each GB.

    Of a folder (a Zarr store) it is that of all names and files in it.

    Raises:
        ImageError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for part in files:
            if part != path:
                digest.update(
                    f"{part.relative_to(path).as_posix()} {part.stat().st_size};".encode()
                )
            with part.open("rb") as file:
                while chunk := file.read(HASH_BYTES):
                    digest.update(chunk)
    except OSError as error:
        raise ImageError(f"picture {path} cannot be read ({error}); check the path") from error
    return SHA_256 + digest.hexdigest()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values with a digest of them.

    Raises:
        OSError: as in :func:`write_whole`.
    """
    write_whole(path, json.dumps({**values, "sha256": _digest(values)}, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """What :func:`write_json` wrote.

    Raises:
        OSError, ValueError: the file cannot be read, or is not as it was written.
    """
    return _checked(path.read_bytes())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a safetensors file with facts and a digest of everything in its header.

    The same tensors and facts always give the same bytes.

    Raises:
        OSError: as in :func:`write_whole`.
    """
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {**facts, "sha256": _digest(facts, stored)}
    write_whole(path, save(stored, {HEADER: json.dumps(header, sort_keys=True)}))


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors that :func:`write_tensors` wrote, on the CPU.

    Raises:
        OSError, ValueError: the file cannot be read, or is not as it was written.
    """
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            # Cloned, or they would stay mapped from the file, which could then not be replaced on
            # Windows.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if header is None:
        raise ValueError("without the header that urst writes")
    return _checked(header, tensors), tensors


def check_tensors(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Refuse tensors of a file that has a digest and changed since; others are let pass.

    Args:
        tensors: all of the file.
        header: of the file.

    Raises:
        ValueError: a bit of them changed after they were written.
    """
    if '"sha256"' in header.get(HEADER, ""):
        _checked(header[HEADER], tensors)


def _checked(text: str | bytes, tensors: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    values: Any = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("not what urst writes")
    facts: dict[str, Any] = {**values}
    if facts.pop("sha256", None) != _digest(facts, tensors):
        raise ValueError("changed after it was written")
    return facts


def _digest(facts: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted((tensors or {}).items()):
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
