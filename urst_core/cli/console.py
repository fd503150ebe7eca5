"""Printing. A stream that is closed, full or limited to ASCII never ends a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO

from ..errors import OutputError

READER_GONE = 141
"""Exit code if the reader of the output is gone, as in ``urst weights list | head -1``; shells
report the same for a program that SIGPIPE ended."""


def prepare_streams() -> None:
    """Write unsupported characters as escapes, and reserve the file descriptors 0, 1 and 2.

    If the shell closed standard output, the next opened file would get its descriptor, and anything
    that a library prints would end up in that file.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:  # the lowest free one
        pass
    os.close(number)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def put(line: str) -> None:
    """Print a line of the command's result.

    Raises:
        OutputError: standard output cannot be written to.
        SystemExit: its reader is gone.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        _abandon(sys.stdout)
        raise SystemExit(READER_GONE) from None
    except (OSError, ValueError) as error:
        _abandon(sys.stdout)
        raise OutputError(
            f"standard output cannot be written to ({error})", "send it elsewhere"
        ) from error


def say(line: str) -> None:
    """Print a line of information, if that is possible."""
    if sys.stdout is not None:
        print(line, file=ForgivingStream(sys.stdout), flush=True)


def warn(sentence: str) -> None:
    """Print a sentence on standard error."""
    if sys.stderr is not None:
        print(f"urst: {sentence}", file=ForgivingStream(sys.stderr), flush=True)


class ForgivingStream:
    """A stream that ignores failures: a closed terminal ends a progress bar, never a run."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with self._forgiven():
            if self._stream is not None:
                self._stream.write(text)

    def flush(self) -> None:
        with self._forgiven():
            if self._stream is not None:
                self._stream.flush()

    @contextmanager
    def _forgiven(self) -> Generator[None, None, None]:
        try:
            yield
        except (OSError, ValueError):  # UnicodeEncodeError is a ValueError
            _abandon(self._stream)
            self._stream = None

    def __eq__(self, other: object) -> bool:
        """Equal if the streams are, so that a warning finds the bars that it must move."""
        return isinstance(other, ForgivingStream) and self._stream is other._stream

    def __hash__(self) -> int:
        return hash(self._stream)

    def __getattr__(self, name: str) -> Any:
        """Attributes that a bar needs, such as the encoding and the width."""
        return getattr(self._stream, name)


def flush() -> None:
    """Flush the output of others, such as argparse."""
    ForgivingStream(sys.stdout).flush()
    ForgivingStream(sys.stderr).flush()


def _abandon(stream: TextIO | None) -> None:
    """Redirect a broken stream to nowhere, or Python would try to flush it when it exits."""
    if stream is not None:
        with suppress(OSError, ValueError):
            number, nowhere = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
