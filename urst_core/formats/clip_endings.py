"""Endings of the names of videos."""

from __future__ import annotations

from pathlib import Path

CLIP_ENDINGS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
"""Endings of files that are read as videos."""

RESULT_ENDINGS = (".mp4", ".mkv", ".mov")
"""Endings that the results of videos can have; the default first."""


def is_clip(path: Path) -> bool:
    """Whether a file is a video, by its name."""
    return path.suffix.lower() in CLIP_ENDINGS
