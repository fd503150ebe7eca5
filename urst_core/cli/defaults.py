"""``--like`` and ``--preset``: options from an earlier result, or from the user's file of presets.

Both become defaults of the command's parser, so that options on the command line win.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..durable import SHA_256, file_hash
from ..errors import Change, OutputError, SettingsError, WeightsError
from ..formats.output_options import OutputOptions
from ..formats.registry import format_of
from ..networks.model import Backbone
from ..runs.description import DescribedStyle, read_description
from ..tiling.settings import Settings
from .presets import load_presets, presets_path

OUTPUT_OPTIONS = frozenset(each.name for each in fields(OutputOptions))

PRESET_KEYS = (
    frozenset(each.name for each in fields(Settings))
    | OUTPUT_OPTIONS
    | {"styles", "style_weights", "backbone", "weights", "mask_feather", "name"}
    | {"print_size", "dpi", "fit"}
)
"""Options that a preset may set, by their names in the library."""


def add_default_arguments(command: argparse.ArgumentParser) -> None:
    """Add ``--like`` and ``--preset``."""
    group = command.add_mutually_exclusive_group()
    group.add_argument(
        "--like",
        type=Path,
        metavar="PAINTED",
        help="use network, styles and settings of an earlier result, as its metadata say; other "
        "options replace them",
    )
    group.add_argument(
        "--preset",
        metavar="NAME",
        help="use the options of a preset, see 'urst presets'; other options replace them",
    )


def with_defaults(
    options: argparse.Namespace,
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
) -> argparse.Namespace:
    """Parse again, if an option names a source of defaults.

    Args:
        options: as parsed from the arguments.
        parser: the parser of all commands.
        arguments: the command line; that of the process if None.

    Returns:
        The options, with defaults from the source.

    Raises:
        URSTError: there is no such source, or it has values that the command does not take.
    """
    like, preset = getattr(options, "like", None), getattr(options, "preset", None)
    if like is None and preset is None:
        return options
    values = _values_of_preset(preset) if preset is not None else _values_like(options)
    command: argparse.ArgumentParser = options.command
    command.set_defaults(**{name: _parsed(command, name, v) for name, v in values.items()})
    return parser.parse_args(arguments)


def check_weights(options: argparse.Namespace, backbone: Backbone) -> None:
    """Refuse other weights than those of the result in ``--like``.

    Raises:
        WeightsError: the fingerprints differ.
    """
    if (
        options.like is None
        or options.backbone != (earlier := read_description(options.like)).backbone
    ):
        return
    if earlier.weights != backbone.fingerprint:
        raise WeightsError(
            f"{options.like} was painted with weights {earlier.weights[:12]}, these are "
            f"{backbone.fingerprint[:12]}",
            Change("weights", how="name that file with"),
        )


def _values_of_preset(name: str) -> Mapping[str, Any]:
    presets = load_presets()
    if name not in presets:
        known = (
            f"use one of: {', '.join(presets)}" if presets else f"write it into {presets_path()}"
        )
        raise SettingsError(f"preset {name!r} is unknown", known)
    for key in presets[name]:
        if key not in PRESET_KEYS:
            raise SettingsError(
                f"preset {name!r} sets {key!r}, which presets do not have",
                f"use some of: {', '.join(sorted(PRESET_KEYS))}",
            )
    return presets[name]


def _values_like(options: argparse.Namespace) -> Mapping[str, Any]:
    described = read_description(options.like)
    values: dict[str, Any] = {"backbone": described.backbone, **described.settings}
    values |= described.printing or {}
    unknown = sorted(set(described.settings) - PRESET_KEYS)
    if unknown:
        raise SettingsError(
            f"{options.like} was painted with the setting {unknown[0]!r}, which is unknown here",
            f"use urst {described.urst}",
        )
    if described.regions is not None and not (options.styles or options.region):
        raise SettingsError(
            f"{options.like} was painted with a map of its styles, which is not repeated",
            "name the styles after CONTENT",
            "name a map with --regions or --mix-map, and its styles",
        )
    if not (options.styles or options.region):
        values["styles"] = [_found(style, options) for style in described.styles]
        values["style_weights"] = described.style_weights
    taken = _options_taken(options.output)
    values |= {n: v for n, v in (described.stored or {}).items() if n in taken}
    return values


def _found(style: DescribedStyle, options: argparse.Namespace) -> str:
    """The file of a style, by its name and its contents.

    Raises:
        SettingsError: it is not in the current folder, nor beside the result or the content.
    """
    if style.sha256 is None:
        return style.name
    for folder in (Path(), options.like.parent, Path(options.content).parent):
        path = folder / style.name
        if path.is_file() and file_hash(path) == SHA_256 + style.sha256:
            return str(path)
    raise SettingsError(
        f"style {style.name} (SHA-256 {style.sha256[:12]}…) of {options.like} is neither here nor "
        "beside it",
        "name the style after CONTENT",
    )


def _options_taken(output: Any) -> tuple[str, ...]:
    """The output options that the format of a file takes."""
    try:
        return format_of(Path(output)).takes
    except OutputError:
        return ()


def _parsed(command: argparse.ArgumentParser, name: str, value: Any) -> Any:
    """A value as the parser would give it for an option's text.

    Raises:
        SettingsError: the option does not take it.
    """
    action = next((a for a in command._actions if a.dest == name), None)  # pyright: ignore[reportPrivateUsage]
    if value is None or action is None:
        return value
    parse: Any = action.type or str
    try:
        if action.nargs == 0:
            if not isinstance(value, bool):
                raise ValueError(value)
            return value
        if action.nargs in ("*", "+"):
            return [parse(str(each)) for each in ([value] if isinstance(value, str) else value)]
        parsed = parse(str(value))
        if action.choices is not None and parsed not in action.choices:
            raise ValueError(value)
    except (TypeError, ValueError, argparse.ArgumentTypeError) as error:
        raise SettingsError(
            f"{name} cannot be {value!r}", "use a value that its option takes"
        ) from error
    return parsed
