"""Where the command ``urst`` begins: also on an installation that does not load."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import OutputError
from .console import prepare_streams, warn
from .doctor import run_doctor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; ``urst doctor`` needs nothing but Python.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        from .main import main as run  # noqa: PLC0415 - imports what may be broken
    except Exception as error:  # whatever a broken library raises
        if words[:1] == ["doctor"]:
            return _examine()
        print(f"urst: {type(error).__name__}: {error}; run 'urst doctor'", file=sys.stderr)
        return 1
    return run(arguments)


def _examine() -> int:
    """``urst doctor`` by itself."""
    prepare_streams()
    try:
        return run_doctor()
    except OutputError as error:
        warn(str(error))
        return 1
