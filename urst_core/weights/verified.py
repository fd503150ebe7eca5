"""Verification of files, measured once and remembered.

A record beside the cache has the measured value, and the file's size and time at that moment; it is
valid only while both are unchanged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..durable import write_whole
from ..errors import WeightsError

CHUNK_BYTES = 1 << 20

Measure = Callable[[Path], str]
"""What identifies a file's content: its SHA-256, or the fingerprint of the weights in it."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        WeightsError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise WeightsError(
            f"weights file {path} cannot be read ({error}); check its permissions and the disk"
        ) from error
    return digest.hexdigest()


def file_state(path: Path) -> str:
    """What differs once a file was changed or replaced: its path, time of change and size."""
    size_bytes, changed_ns = _state(path)
    return f"{path}:{changed_ns}:{size_bytes}"


class Records:
    """Measurements of files, one small file each.

    Args:
        folder: folder of the records, made with the first one. None remembers nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def measured(self, path: Path, measure: Measure = sha256_of) -> str:
        """The remembered value of a file; if there is none, it is measured and remembered.

        Raises:
            WeightsError: the file cannot be read.
        """
        state = _state(path)
        record = self._read(path)
        if record is not None and record["state"] == state:
            return record["measured"]
        measured = measure(path)
        self._write(path, state, measured)
        return measured

    def contradict(self, path: Path, expected: str) -> bool:
        """Whether a file changed since it was measured, or was something else then already.

        False where it was never measured.
        """
        record = self._read(path)
        if record is None:
            return False
        return record["measured"] != expected or record["state"] != _state(path)

    def forget(self, path: Path) -> None:
        """Have a file measured again."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._place(self._folder, path).unlink()

    def _read(self, path: Path) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        try:
            record = json.loads(self._place(self._folder, path).read_text(encoding="utf-8"))
            return {"state": list(record["state"]), "measured": str(record["measured"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, path: Path, state: list[int], measured: str) -> None:
        """A record that cannot be written costs the next start some time, nothing else."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            record = self._place(self._folder, path)
            record.parent.mkdir(parents=True, exist_ok=True)
            content = {"path": str(path.resolve()), "state": state, "measured": measured}
            write_whole(record, json.dumps(content).encode())

    @staticmethod
    def _place(folder: Path, path: Path) -> Path:
        return folder / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()}.json"


def _state(path: Path) -> list[int]:
    """Size in bytes and time of change in ns, of the file itself where it is a link.

    Raises:
        WeightsError: it is gone.
    """
    try:
        status = path.resolve().stat()
    except OSError as error:
        raise WeightsError(f"weights file {path} cannot be read ({error}); get it again") from error
    return [status.st_size, status.st_mtime_ns]
