"""Finished segments of a video in a work folder.

The name of a file says everything about it: ``segment-000012.24.9f86d081884c7d65.nut`` is the
thirteenth, has 24 frames, and the beginning of its SHA-256 is ``9f86d081884c7d65``. A file gets its
name only when its bytes are on the disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..durable import SHA_256, file_hash, flush_file, publish
from ..errors import ImageError, OutputError

HASH_DIGITS = 16

SEGMENT = re.compile(rf"segment-(\d{{6,}})\.(\d{{1,6}})\.([0-9a-f]{{{HASH_DIGITS}}})\.nut")


@dataclass(frozen=True)
class Segment:
    """A file of finished frames."""

    path: Path
    frames: int

    @classmethod
    def publish(cls, partial: Path, folder: Path, number: int, frames: int) -> Segment:
        """Give a finished file its name.

        Raises:
            OutputError: the disk is full or failing.
        """
        try:
            flush_file(partial)
            path = folder / f"segment-{number:06}.{frames}.{_hash_of(partial)}.nut"
            publish(partial, path)
        except (OSError, ImageError) as error:
            raise OutputError(f"writing {partial} failed ({error}); free disk space") from error
        return cls(path, frames)


def is_segment_name(name: str) -> bool:
    """Whether it is the name of a finished segment."""
    return SEGMENT.fullmatch(name) is not None


def count_frames(folder: Path) -> int:
    """Frames in the segments of a folder, by their names."""
    return sum(int(match[2]) for match in _matches(folder).values())


def finished_segments(folder: Path) -> list[Segment]:
    """The segments up to the first one that is missing or whose bytes changed.

    That one and all later ones are removed.

    Raises:
        OutputError: they cannot be removed.
    """
    matches = _matches(folder)
    segments: list[Segment] = []
    while (match := matches.get(len(segments))) is not None:
        path = folder / match[0]
        if _hash_of(path) != match[3]:
            break
        segments.append(Segment(path, int(match[2])))
    try:
        for number, match in matches.items():
            if number >= len(segments):
                (folder / match[0]).unlink()
    except OSError as error:
        raise OutputError(f"work folder {folder} cannot be written to ({error})") from error
    return segments


def _matches(folder: Path) -> dict[int, re.Match[str]]:
    found = [match for path in folder.iterdir() if (match := SEGMENT.fullmatch(path.name))]
    return {int(match[1]): match for match in found}


def _hash_of(path: Path) -> str:
    return file_hash(path).removeprefix(SHA_256)[:HASH_DIGITS]
