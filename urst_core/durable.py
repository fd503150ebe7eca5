"""Files that a crash leaves whole, and what is inside them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .errors import ImageError, OutputError

HASH_BYTES = 1 << 20
"""How much of a file is read at a time, to be hashed."""


SHA_256 = "SHA-256 "


def save_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one.

    Raises:
        OutputError: the disk is full or failing.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        flushed(partial).replace(path)
    except OSError as error:
        raise OutputError(f"writing {path} failed ({error}); free disk space") from error


def flushed(path: Path) -> Path:
    """The path, once the file's bytes are on the disk.

    Raises:
        OSError: the disk is full or failing.
    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    return path


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
