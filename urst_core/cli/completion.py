"""``urst completion``: completion of commands, options and file names in shells, by shtab."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import Install, SettingsError
from .console import put
from .options import Commands

SHELLS = ("bash", "zsh", "fish", "powershell", "tcsh")

FILE_OPTIONS = frozenset({"weights", "mask", "regions", "mix_map", "like", "vgg"})
FILE_ARGUMENTS = frozenset(
    {"content", "contents", "styles", "output", "picture", "file", "files", "source", "sources"}
)


def add_completion_command(commands: Commands, parser: argparse.ArgumentParser) -> None:
    """Add ``completion`` to the commands of a parser."""
    command = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and file names in a shell",
        description='Print a script for your shell. bash: eval "$(urst completion bash)"; '
        "zsh: urst completion zsh > a folder of $fpath/_urst; fish: urst completion fish > "
        "~/.config/fish/completions/urst.fish",
    )
    command.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS))
    command.set_defaults(run=run_completion, whole=parser)


def run_completion(options: argparse.Namespace) -> None:
    """Print the script of a shell."""
    shtab = _shtab()
    _complete_files(options.whole, shtab.FILE)
    put(shtab.complete(options.whole, options.shell))


def _complete_files(parser: argparse.ArgumentParser, files: Any) -> None:
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            for command in action.choices.values():
                _complete_files(command, files)
        elif action.dest in FILE_OPTIONS | FILE_ARGUMENTS:
            action.complete = files  # pyright: ignore[reportAttributeAccessIssue]


def _shtab() -> Any:
    """shtab, which writes the scripts.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import shtab  # noqa: PLC0415 - of the extra "app"
    except ImportError as error:
        raise SettingsError(
            f"completion needs shtab, which did not load ({error})", Install("shtab")
        ) from error
    return shtab
