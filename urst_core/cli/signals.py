"""Ctrl-C, SIGTERM and a closed terminal, handled wherever they arrive."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""SIGHUP means that the terminal is closed; Windows does not have it."""


class StopSignals:
    """A context manager that turns signals into exceptions, so that no partial file is left behind.

    Python runs a signal handler wherever it happens to be, even in the callback through which
    libvips logs, where an exception is lost. So the exception is kept, and raised again at the next
    tile. Ignored signals stay ignored, such as Ctrl-C under nohup.
    """

    def __init__(self) -> None:
        self._pending: BaseException | None = None
        self._waits = False

    def __enter__(self) -> StopSignals:
        numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        heard = [n for n in numbers if signal.getsignal(n) not in (signal.SIG_IGN, None)]
        self._previous = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def after_step(self) -> Generator[StopSignals, None, None]:
        """Let signals wait for :meth:`check` in the block, since half a step cannot be resumed.

        A Ctrl-C after another signal does not wait.
        """
        self._waits = True
        try:
            yield self
        finally:
            self._waits = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_first = self._pending is None
        if self._pending is None:
            interrupted = number == signal.SIGINT
            self._pending = KeyboardInterrupt() if interrupted else SystemExit(128 + number)
        if self._waits and (is_first or number != signal.SIGINT):
            return
        while frame is not None:
            if frame.f_globals.get("__name__") == "pyvips":
                return
            frame = frame.f_back
        raise self._pending

    def check(self) -> None:
        """Raise the pending exception: KeyboardInterrupt, or SystemExit with the shell's code."""
        if self._pending is not None:
            raise self._pending
