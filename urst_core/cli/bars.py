"""Progress bars in the terminal: tiles, megapixels per second, time left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from ..errors import Change, Install, SettingsError
from ..progress import Progress
from ..runs.clip_run import FRAMES_STAGE
from ..weights.hub import DownloadListener, DownloadProgress
from .console import ForgivingStream

TILES_FORMAT = "{desc} |{bar:30}| {percentage:3.0f}%{postfix} {rate_noinv_fmt}, {remaining} left"


class Bar:
    """One bar on standard error, by tqdm.

    Args:
        total, initial: end and start, in the bar's unit.
        options: options of tqdm.

    Raises:
        SettingsError: tqdm is not installed.
    """

    def __init__(self, *, total: float, initial: float = 0, **options: Any) -> None:
        stream = ForgivingStream(sys.stderr)
        self._bar = _bar_class()(total=total, initial=initial, file=stream, **options)

    def show(self, done: float, text: str = "") -> None:
        """Draw the progress, in the bar's unit, and a text beside it."""
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Keep the bar as it is, and move on to the next line."""
        self._bar.close()


class ProgressBar:
    """Draws one bar for each stage of a run; nothing when ``quiet``.

    Args:
        quiet: whether to draw nothing.
        options: options of tqdm, such as the bar's position among several.

    Raises:
        SettingsError: tqdm is not installed, and ``quiet`` is False.
    """

    def __init__(self, *, quiet: bool = False, **options: Any) -> None:
        self._quiet = quiet
        self._options = options
        self._stage = ""
        self._bar: Bar | None = None
        if not quiet:
            _bar_class()

    def update(self, progress: Progress) -> None:
        """Draw a tile's progress; a listener of the engine."""
        if self._quiet:
            return
        if self._bar is None or progress.stage != self._stage:
            self.close()
            self._stage = progress.stage
            self._bar = Bar(
                # Whole pixels: sums of fractions end above the total, and "-00:00 left".
                total=progress.pixels_total,
                # The pixels of an earlier run must not count as speed of this one.
                initial=progress.pixels_done,
                desc=progress.stage,
                unit="MP",
                unit_scale=1e-6,
                bar_format=TILES_FORMAT,
                **self._options,
            )
        part = "frame" if progress.stage == FRAMES_STAGE else "tile"
        parts = f"{part} {progress.tiles_done}/{progress.tiles_total},"
        self._bar.show(progress.pixels_done, parts if progress.tiles_total else "")

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
    """A listener that draws a bar, once a download begins."""
    if quiet:
        return None
    bar: Bar | None = None

    def show(progress: DownloadProgress) -> None:
        nonlocal bar
        if bar is None:
            bar = Bar(total=progress.bytes_total, desc=progress.name, unit="B", unit_scale=True)
        bar.show(min(progress.bytes_done, progress.bytes_total))
        if progress.bytes_done >= progress.bytes_total:
            bar.close()
            bar = None

    return show


def warn_above_bar(sentence: str) -> None:
    """Print a warning on standard error, above any bar."""
    _bar_class().write(f"urst: {sentence}", file=ForgivingStream(sys.stderr))


def _bar_class() -> Any:
    """tqdm's bar.

    Raises:
        SettingsError: tqdm is not installed.
    """
    try:
        from tqdm import tqdm  # noqa: PLC0415 - of the extra "app"
    except ImportError as error:
        raise SettingsError(
            f"progress is shown with tqdm, which did not load ({error})",
            Install("tqdm"),
            Change("progress", False),
        ) from error
    return tqdm
