"""A progress bar in the terminal for downloads."""

from __future__ import annotations

import importlib
from typing import Any

from ..weights.hub import DownloadListener, DownloadProgress


def download_bar(*, quiet: bool = False) -> DownloadListener | None:
    """A listener that draws a bar on standard error; drawn only once a download begins."""
    if quiet:
        return None
    bar: Any = None

    def show(progress: DownloadProgress) -> None:
        nonlocal bar
        if bar is None:
            # Not at the top: a ComfyUI without the command line's extras has no use for it.
            bar = importlib.import_module("tqdm").tqdm(
                total=progress.bytes_total, desc=progress.name, unit="B", unit_scale=True
            )
        bar.update(min(progress.bytes_done, progress.bytes_total) - bar.n)
        if progress.bytes_done >= progress.bytes_total:
            bar.close()
            bar = None

    return show
