"""``urst weights convert``: published weights files to one that ``--weights`` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from .backbones import BACKBONES
from .convert import Conversion, check_output, convert_weights, save_conversion
from .errors import some_of


def add_weights_command(
    # argparse has no public name for what add_subparsers returns.
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add ``weights`` to the commands of a parser."""
    command = commands.add_parser("weights", help="make published weights files usable")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    convert = actions.add_parser(
        "convert",
        help="gather a backbone's published files into one safetensors file",
        description="Gather a backbone's published files into one safetensors file. "
        "No code in them is run.",
    )
    names = ", ".join(network.traits.name for network in BACKBONES)
    convert.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help=".pth, .pth.tar, .model, .t7, …"
    )
    convert.add_argument("--backbone", required=True, metavar="NAME", help=f"one of: {names}")
    convert.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    convert.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    convert.set_defaults(run=run_convert)


def run_convert(options: argparse.Namespace) -> None:
    """``urst weights convert``: says what became of everything in the files."""
    check_output(options.output, overwrite=options.overwrite)
    conversion = convert_weights(options.files, options.backbone)
    save_conversion(conversion, options.output, overwrite=options.overwrite)
    print(f"{options.output}: {conversion.backbone}, {len(conversion.state)} tensors")
    for line in _summary(conversion):
        print(f"  {line}")


def _summary(conversion: Conversion) -> list[str]:
    """Counts of what was taken, dropped and filled in, each with where from or why."""
    lines: list[str] = []
    for group in conversion.groups:
        of_group = [key for key in conversion.mapped if key.new.startswith(group)]
        files = {key.file for key in of_group}
        lines.append(f"{group or 'all'}: {len(of_group)} from {', '.join(files)}")
    dropped: dict[tuple[str, str], list[str]] = {}
    for key in conversion.dropped:
        dropped.setdefault((key.file, key.reason), []).append(key.old)
    for (file, reason), names in dropped.items():
        lines.append(f"dropped: {len(names)} of {file} ({some_of(names)}): {reason}")
    if conversion.filled:
        lines.append(
            f"filled in: {len(conversion.filled)} ({some_of(conversion.filled)}): "
            "scales of 1 and shifts of 0, which the file leaves out"
        )
    return lines
