"""What a file run was asked for and what it chose, so that only the same run goes on with it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ImageError, OutputError
from ..geometry import Size

RECORD_FORMAT = 1
"""Raised when the work folder's files change their meaning."""

HASH_BYTES = 1 << 20
"""How much of a file is read at a time, to be hashed."""

SHA_256 = "SHA-256 "

Fingerprint = Mapping[str, str]
"""Everything that pixels follow from, by names that a user knows."""


@dataclass(frozen=True)
class RunRecord:
    """A run's fingerprint, and what it chose where it was free to.

    Attributes:
        fingerprint: what must be the same to go on.
        frame: height and width, in px, of what is tiled.
        statistics_tile_size: edge of cores, in px, while statistics are measured.
        threads: of the CPU; sums are rounded differently in another number of parts.
        tile_size: edge of cores while tiles are stylized; None before that.
        precision: that tiles are computed in; None before that.
        overwrite: whether a file of the result's name may be replaced.
    """

    fingerprint: Fingerprint
    frame: Size
    statistics_tile_size: int
    threads: int = 1
    tile_size: int | None = None
    precision: str | None = None
    overwrite: bool = False

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all.

        Raises:
            OutputError: the disk is full or failing.
        """
        save_whole(path, json.dumps({"format": RECORD_FORMAT, **asdict(self)}, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> RunRecord | None:
        """Read a record; None where there is none.

        Raises:
            OutputError: the file is no record, or another version's.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text())
            if values.pop("format") != RECORD_FORMAT:
                raise ValueError("of another version of urst")
            return cls(**values)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"{path} is not readable as the record of a run ({error}); start anew (--restart)"
            ) from error

    def check_same(self, fingerprint: Fingerprint) -> None:
        """Refuse to go on with something else.

        Raises:
            OutputError: names all that differs.
        """
        changes = [
            f"{name} {_shown(self.fingerprint, name)}, not {_shown(fingerprint, name)}"
            for name in {**self.fingerprint, **fingerprint}
            if self.fingerprint.get(name) != fingerprint.get(name)
        ]
        if changes:
            raise OutputError(
                f"the interrupted run cannot go on, it had: {'; '.join(changes)}; "
                "give it what it had, or start anew (--restart)"
            )


def _shown(fingerprint: Fingerprint, name: str) -> str:
    """A value, of a hash as much as tells two apart."""
    value = fingerprint.get(name, "none")
    return value[: len(SHA_256) + 12] if value.startswith(SHA_256) else value


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
