"""Where the command ``urst`` begins: also on an installation that does not load."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

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
        run = _load_commands()
    except Exception as error:  # whatever a broken library raises
        if words[:1] == ["doctor"]:
            return _examine()
        print(f"urst: {type(error).__name__}: {error}; run 'urst doctor'", file=sys.stderr)
        return 1
    return run(arguments)


def _load_commands() -> Callable[[Sequence[str] | None], int]:
    """Import what may be broken.

    Modules stay until the end: garbage is looked for among them neither now nor later, which would
    take a third of the time of a short command.
    """
    gc.disable()
    try:
        from .main import main as run  # noqa: PLC0415
    finally:
        gc.enable()
    gc.freeze()
    return run


def _examine() -> int:
    """``urst doctor`` by itself."""
    prepare_streams()
    try:
        return run_doctor()
    except OutputError as error:
        warn(str(error))
        return 1
