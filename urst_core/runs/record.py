"""Record of a file run's inputs and choices, so that only the same run can resume it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..durable import read_json, write_json
from ..errors import Change, OutputError
from ..geometry import Size
from ..identity import Identity, differences
from ..tiling.device import PRECISIONS

RECORD_FORMAT = 4
"""Incremented when the format of the work folder's files changes, or the tiles of levels do."""


@dataclass(frozen=True)
class RunRecord:
    """A run's identity, and its automatic choices.

    Attributes:
        identity: values that must be equal to resume.
        frame: height and width, in px, of the padded frame that is tiled.
        statistics_tile_size: edge of cores, in px, while statistics are measured; with larger
            strokes, the largest edge that fits.
        threads: number of CPU threads, which affects the rounding of sums.
        tile_size: edge of cores while tiles are stylized; None before that.
        precision: precision in which tiles are computed; None before that.
        overwrite: whether an existing result may be replaced.
        level_pixels: total pixels of all levels' frames; 0 with a single level.
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
        """Write the record atomically.

        Raises:
            OutputError: the disk is full or failing.
        """
        try:
            write_json(path, {"format": RECORD_FORMAT, **asdict(self)})
        except OSError as error:
            raise OutputError(f"writing {path} failed ({error}); free disk space") from error

    @classmethod
    def load(cls, path: Path) -> RunRecord | None:
        """Read a record; None if there is none.

        Raises:
            OutputError: the file is damaged, or from another version.
        """
        try:
            values: dict[str, Any] = read_json(path)
            if values.pop("format", None) != RECORD_FORMAT:
                raise ValueError("from another version of urst")
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
        """Check that all values are valid.

        Raises:
            ValueError: names the invalid ones.
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
        """Check that the record belongs to the same run.

        Raises:
            OutputError: it does not; names all differences.
        """
        changes = differences(self.identity, identity)
        if changes:
            raise OutputError(
                f"the interrupted run cannot be resumed, it had: {'; '.join(changes)}",
                "use the same inputs and settings",
                Change("if_interrupted", "restart"),
            )
