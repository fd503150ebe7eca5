"""Ctrl-C and SIGTERM, heard wherever they arrive."""

from __future__ import annotations

import signal
from types import FrameType


class StopSignals:
    """Ctrl-C and SIGTERM as exceptions, so that no half file stays behind.

    Python runs signal handlers wherever it is, also in the callback through which libvips logs,
    and what is raised there is lost. So it is kept, and raised again at the next tile.
    """

    def __init__(self) -> None:
        self._pending: BaseException | None = None

    def __enter__(self) -> None:
        signals = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signals.append(signal.SIGINT)
        self._previous = {number: signal.signal(number, self._handle) for number in signals}

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        while frame is not None:
            if frame.f_globals.get("__name__") == "pyvips":
                return
            frame = frame.f_back
        raise self._pending

    def check(self) -> None:
        """Raise what was lost."""
        if self._pending is not None:
            raise self._pending


class StopAfterStep:
    """Half a step cannot be gone on from, so a run stops behind it; asked twice, at once.

    Used as a context manager. What is ignored stays ignored, as Ctrl-C under nohup.
    """

    def __init__(self) -> None:
        self._pending: BaseException | None = None

    def __enter__(self) -> StopAfterStep:
        # Windows has no SIGHUP, which says that the terminal is gone.
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        heard = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._pending is not None and number == signal.SIGINT:
            raise self._pending
        interrupted = number == signal.SIGINT
        self._pending = KeyboardInterrupt() if interrupted else SystemExit(128 + number)

    def check(self) -> None:
        """Raise what was asked for: KeyboardInterrupt, or SystemExit with the shell's code."""
        if self._pending is not None:
            raise self._pending
