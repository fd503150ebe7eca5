"""List of the results in a folder, so that a job of many pictures resumes.

Each line is JSON and its CRC-32: the name of a result, and everything that determines it::

    {"result": "lake_monet.jpg", "identity": {"content": "SHA-256 …", …}} #5d3f1a20

A line is written before its result appears, and a result appears when it is complete, so those that
are listed and exist are finished. Damaged and incomplete lines are ignored.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import OutputError
from ..identity import Identity

LIST_NAME = ".urst-results"


class ResultList:
    """The list of one folder; it is read at once, and its file is created with the first result.

    Args:
        folder: folder of the results; it need not exist.

    Raises:
        OutputError: the list cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LIST_NAME
        self._identities: dict[str, Identity] = dict(_read(self._path))

    def __contains__(self, output: Path) -> bool:
        return self._name(output) in self._identities

    def identity(self, output: Path) -> Identity | None:
        """Everything that determined a result; None if it is not in the list."""
        return self._identities.get(self._name(output))

    def add(self, output: Path, identity: Identity) -> None:
        """Add a result that is about to appear, or that is complete.

        Raises:
            OutputError: the disk is full or failing.
        """
        name = self._name(output)
        self._identities[name] = identity
        text = json.dumps({"result": name, "identity": identity})
        # After a line break, since the line before may be incomplete.
        line = f"\n{text} #{zlib.crc32(text.encode()):08x}\n".encode()
        # A link in place of the file is not followed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            number = os.open(self._path, flags, 0o644)
            with os.fdopen(number, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(number)
        except OSError as error:
            raise OutputError(
                f"list {self._path} of results cannot be written to ({error})",
                "free disk space",
                "choose another folder",
            ) from error

    def _name(self, output: Path) -> str:
        return output.relative_to(self._folder).as_posix()


def _read(path: Path) -> Iterable[tuple[str, Identity]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"list {path} of results cannot be read ({error})", "remove it"
        ) from error
    for line in lines:
        text, _, checksum = line.rpartition(b" #")
        if checksum == b"%08x" % zlib.crc32(text):
            entry = json.loads(text)
            yield entry["result"], entry["identity"]
