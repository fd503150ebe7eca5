"""What a file run was asked for and what it chose, so that only the same run resumes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..durable import read_json, write_json
from ..errors import Change, OutputError
from ..geometry import Size
from ..identity import Identity, differences
from ..tiling.device import PRECISIONS

RECORD_FORMAT = 2
"""Raised when the work folder's files change their meaning."""


@dataclass(frozen=True)
class RunRecord:
    """A run's identity, and what it chose where it was free to.

    Attributes:
        identity: what must be the same to resume.
        frame: height and width, in px, of what is tiled.
        statistics_tile_size: edge of cores, in px, while statistics are measured.
        threads: of the CPU; sums are rounded differently in another number of parts.
        tile_size: edge of cores while tiles are stylized; None before that.
        precision: that tiles are computed in; None before that.
        overwrite: whether a file of the result's name may be replaced.
        level_pixels: how many the frames of all levels have; 0 where there is one.
    """

    identity: Identity
    frame: Size
    statistics_tile_size: int
    threads: int = 1
    tile_size: int | None = None
    precision: str | None = None
    overwrite: bool = False
    level_pixels: int = 0

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all.

        Raises:
            OutputError: the disk is full or failing.
        """
        try:
            write_json(path, {"format": RECORD_FORMAT, **asdict(self)})
        except OSError as error:
            raise OutputError(f"writing {path} failed ({error}); free disk space") from error

    @classmethod
    def load(cls, path: Path) -> RunRecord | None:
        """Read a record; None where there is none.

        Raises:
            OutputError: the file is damaged, or another version's.
        """
        try:
            values: dict[str, Any] = read_json(path)
            if values.pop("format", None) != RECORD_FORMAT:
                raise ValueError("of another version of urst")
            values["frame"] = tuple(values["frame"])
            record = cls(**values)
            record._check()
            return record
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OutputError(
                f"{path} is not readable as the record of a run ({error})",
                Change("if_interrupted", "restart"),
            ) from error

    def _check(self) -> None:
        """Refuse values that no run writes.

        Raises:
            ValueError: names them.
        """
        sizes = [*self.frame, self.statistics_tile_size, self.threads]
        if self.tile_size is not None:
            sizes.append(self.tile_size)
        if len(self.frame) != 2 or not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"sizes {sizes}")
        if self.precision is not None and self.precision not in PRECISIONS:
            raise ValueError(f"precision {self.precision!r}")
        if type(self.level_pixels) is not int or self.level_pixels < 0:
            raise ValueError(f"{self.level_pixels!r} pixels")

    def check_same(self, identity: Identity) -> None:
        """Refuse to resume with something else.

        Raises:
            OutputError: names all that differs.
        """
        changes = differences(self.identity, identity)
        if changes:
            raise OutputError(
                f"the interrupted run cannot be resumed, it had: {'; '.join(changes)}",
                "give it what it had",
                Change("if_interrupted", "restart"),
            )
