"""Standard output and error: closed, full or of few letters, they never end work."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO

from ..errors import OutputError

READER_GONE = 141
"""Exit code where nobody reads the output any more, as of ``urst weights list | head -1``: what
shells say of a program that SIGPIPE ended."""


def prepare_streams() -> None:
    """Have letters that a stream cannot show written as escapes, and no file called 0, 1 or 2.

    Where the shell closed standard output, the next file that is opened would get its number, and
    whatever a library prints would land in that file.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:  # the lowest that is free
        pass
    os.close(number)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def put(line: str) -> None:
    """Print a line that the command was asked for.

    Raises:
        OutputError: standard output is full.
        SystemExit: nobody reads it any more.
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
    """Print a line that the work does not depend on."""
    if sys.stdout is not None:
        print(line, file=ForgivingStream(sys.stdout), flush=True)


def warn(sentence: str) -> None:
    """Print a sentence on standard error."""
    if sys.stderr is not None:
        print(f"urst: {sentence}", file=ForgivingStream(sys.stderr), flush=True)


class ForgivingStream:
    """A stream for what may be missed: a terminal that is gone ends a bar, never the work."""

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
        except (OSError, ValueError):  # UnicodeEncodeError is one, too
            _abandon(self._stream)
            self._stream = None

    def __eq__(self, other: object) -> bool:
        """As one stream: a warning finds the bars that are to be moved out of its way."""
        return isinstance(other, ForgivingStream) and self._stream is other._stream

    def __hash__(self) -> int:
        return hash(self._stream)

    def __getattr__(self, name: str) -> Any:
        """What a bar asks its stream for: letters, width."""
        return getattr(self._stream, name)


def flush() -> None:
    """Write out what others printed, argparse for one."""
    ForgivingStream(sys.stdout).flush()
    ForgivingStream(sys.stderr).flush()


def _abandon(stream: TextIO | None) -> None:
    """Have the rest go nowhere, or Python would try once more when it ends."""
    if stream is not None:
        with suppress(OSError, ValueError):
            number, nowhere = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
