"""Ctrl-C and other requests to stop, kept until a training step is complete."""

from __future__ import annotations

import signal
from types import FrameType


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
