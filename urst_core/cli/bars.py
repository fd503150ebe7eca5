"""A progress bar in the terminal: tiles, megapixels per second, time left."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Any

from ..errors import SettingsError
from ..progress import Progress
from ..weights.hub import DownloadListener, DownloadProgress

BAR_FORMAT = "{desc} |{bar:30}| {percentage:3.0f}%{postfix} {rate_noinv_fmt}, {remaining} left"


def bar_class() -> Any:
    """tqdm's bar.

    Raises:
        SettingsError: tqdm is not installed.
    """
    try:
        from tqdm import tqdm  # noqa: PLC0415 - of the extra "app"
    except ImportError as error:
        raise SettingsError(
            f"progress is shown with tqdm, which did not load ({error}); "
            "pip install tqdm, or use --quiet"
        ) from error
    return tqdm


class ProgressBar:
    """Draws one bar for each stage of a run, on standard error; nothing when ``quiet``.

    Raises:
        SettingsError: tqdm is not installed, and the bar is not to be quiet.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._class = None if quiet else bar_class()
        self._stage = ""
        self._bar: Any = None

    def update(self, progress: Progress) -> None:
        """Draw a tile's progress; a listener of the engine."""
        if self._class is None:
            return
        if self._bar is None or progress.stage != self._stage:
            self.close()
            self._stage = progress.stage
            self._bar = self._class(
                total=progress.pixels_total / 1e6,
                # What an earlier run has done says nothing of the speed of this one.
                initial=progress.pixels_done / 1e6,
                desc=progress.stage,
                unit="MP",
                bar_format=BAR_FORMAT,
            )
        if progress.tiles_total:
            tiles = f"tile {progress.tiles_done}/{progress.tiles_total},"
            self._bar.set_postfix_str(tiles, refresh=False)
        self._bar.update(progress.pixels_done / 1e6 - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


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
