"""The command line; each command is a module of its own.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage, 129 the
terminal is gone, 130 interrupted, 141 nobody reads the output, 143 terminated.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .. import __version__
from ..errors import URSTError
from .completion import add_completion_command
from .console import flush, prepare_streams, warn
from .defaults import with_defaults
from .demo import add_demo_command
from .describe import add_describe_command
from .doctor import add_doctor_command
from .info import add_info_command
from .plan import add_plan_command
from .presets import add_presets_command
from .remedies import error_words
from .sheet import add_sheet_command
from .signals import StopSignals
from .style import add_style_command
from .stylize import add_stylize_command
from .train import add_train_command
from .weights import add_weights_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    prepare_streams()
    try:
        return _run(arguments)
    finally:
        flush()


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options = with_defaults(options, parser, arguments)
    except URSTError as error:
        warn(error_words(error))
        return 1
    options.stop, options.kept = StopSignals(), ""
    try:
        with options.stop:
            options.run(options)
    except URSTError as error:
        warn(error_words(error))
        return 1
    except KeyboardInterrupt as error:
        warn(str(error) or "interrupted, no result was written")
        return 130
    finally:
        if options.kept:
            warn(options.kept)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="urst", description="Turn a photograph of any size into a painting."
    )
    parser.add_argument("--version", action="version", version=f"urst {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_stylize_command(commands)
    add_plan_command(commands)
    add_sheet_command(commands)
    add_describe_command(commands)
    add_presets_command(commands)
    add_demo_command(commands)
    add_train_command(commands)
    add_weights_command(commands)
    add_style_command(commands)
    add_info_command(commands)
    add_doctor_command(commands)
    add_completion_command(commands, parser)
    return parser
