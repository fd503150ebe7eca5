"""What a file run was asked for and what it chose, so that only the same run goes on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..durable import SHA_256, save_whole
from ..errors import Change, OutputError
from ..geometry import Size

RECORD_FORMAT = 1
"""Raised when the work folder's files change their meaning."""


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
                f"{path} is not readable as the record of a run ({error})",
                Change("if_interrupted", "restart"),
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
                f"the interrupted run cannot be resumed, it had: {'; '.join(changes)}",
                "give it what it had",
                Change("if_interrupted", "restart"),
            )


def _shown(fingerprint: Fingerprint, name: str) -> str:
    """A value, of a hash as much as tells two apart."""
    value = fingerprint.get(name, "none")
    return value[: len(SHA_256) + 12] if value.startswith(SHA_256) else value
