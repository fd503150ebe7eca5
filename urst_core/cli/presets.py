"""``urst presets``: named options in a file of the user's.

The file is TOML, a table for each preset::

    [starry]
    styles = ["~/paintings/starry_night.jpg"]
    strength = 0.8
    strokes = 2.5
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import Install, SettingsError
from .console import put
from .options import Commands

FILE_NAME = "presets.toml"


def add_presets_command(commands: Commands) -> None:
    """Add ``presets`` to the commands of a parser."""
    command = commands.add_parser(
        "presets",
        help="list the presets for --preset",
        description="List the presets for --preset, and where their file is.",
    )
    command.set_defaults(run=run_presets)


def run_presets(options: argparse.Namespace) -> None:
    """Print the file's place and every preset."""
    del options
    presets = load_presets()
    put(f"{presets_path()}{'' if presets else ': no presets yet'}")
    for name, values in presets.items():
        put(f"  {name}: {', '.join(f'{key} {value}' for key, value in values.items())}")


def presets_path() -> Path:
    """The file of presets, in the system's folder for settings of users.

    Raises:
        SettingsError: platformdirs is not installed.
    """
    try:
        import platformdirs  # noqa: PLC0415 - of the extra "app"
    except ImportError as error:
        raise SettingsError(
            f"presets need platformdirs, which did not load ({error})", Install("platformdirs")
        ) from error
    return platformdirs.user_config_path("urst", appauthor=False) / FILE_NAME


def load_presets() -> dict[str, Mapping[str, Any]]:
    """The presets, by name; styles and weights that begin with ``~`` are in the home folder.

    Raises:
        SettingsError: the file cannot be read.
    """
    path = presets_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"presets {path} cannot be read ({error})") from error
    try:
        presets = _toml().loads(text)
    except ValueError as error:
        raise SettingsError(
            f"presets {path} are not valid TOML ({error})", "correct them"
        ) from error
    for name, values in presets.items():
        if not isinstance(values, dict):
            raise SettingsError(
                f"presets {path}: {name} is outside a preset", "write [NAME] on a line before it"
            )
    return {name: _expanded(values) for name, values in presets.items()}


def _expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    styles = values.get("styles", [])
    several = [styles] if isinstance(styles, str) else styles
    expanded = {**values, "styles": [os.path.expanduser(str(style)) for style in several]}
    if "weights" in values:
        expanded["weights"] = os.path.expanduser(str(values["weights"]))
    return expanded if several else {n: v for n, v in expanded.items() if n != "styles"}


def _toml() -> Any:
    """The module that reads TOML, which Python has since 3.11."""
    return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
