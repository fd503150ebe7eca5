"""``urst weights``: list, get, check, convert, generate and publish weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..backbones import REGISTRY
from ..backbones.johnson import JohnsonExamples
from ..backbones.metanet import MetaNet
from ..errors import WeightsError, abbreviated
from ..formats.styles import open_style
from ..method.encoding import encode_styles
from ..progress import ignore
from ..tiling.settings import Settings
from ..weights.conversion.convert import Conversion, check_output, convert_weights, save_conversion
from ..weights.generation import save_generated
from ..weights.loading import load_backbone
from ..weights.manifest import find_entry, read_manifest
from ..weights.publish import publish
from ..weights.store import WeightsStore, default_folders
from .bars import download_bar
from .console import put
from .options import Commands


def add_weights_command(commands: Commands) -> None:
    """Add ``weights`` to the commands of a parser."""
    command = commands.add_parser(
        "weights", help="list, get, check, convert, generate, publish weights"
    )
    actions = command.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list", help="list all weights, their licenses, and where they are"
    )
    listing.set_defaults(run=run_list)
    get = actions.add_parser("get", help="download weights that are not on this machine yet")
    get.add_argument("names", nargs="+", metavar="NAME", help="as 'urst weights list' shows it")
    get.add_argument("--quiet", action="store_true", help="print nothing but paths and errors")
    get.set_defaults(run=run_get)
    path = actions.add_parser("path", help="print where weights are on this machine")
    path.add_argument("name", metavar="NAME")
    path.set_defaults(run=run_path)
    verify = actions.add_parser("verify", help="check all weights on this machine again")
    verify.set_defaults(run=run_verify)
    for action in (listing, get, path, verify):
        action.add_argument(
            "--folder",
            type=Path,
            action="append",
            metavar="DIR",
            help="a folder to look in first, such as ComfyUI's models/urst; may be repeated",
        )
    _add_convert(actions)
    _add_generate(actions)
    publish = actions.add_parser("publish", help="upload weights to the hub, and pin the commit")
    publish.add_argument(
        "directory", type=Path, metavar="DIR", help="a folder of files called NAME.safetensors"
    )
    publish.add_argument(
        "--repo", required=True, metavar="OWNER/NAME", help="created if it does not exist"
    )
    publish.add_argument(
        "--private", action="store_true", help="if the repository is created, make it private"
    )
    publish.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="the manifest to pin the commit in (default: the checkout's)",
    )
    publish.set_defaults(run=run_publish)


def _add_convert(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    convert = actions.add_parser(
        "convert",
        help="gather a backbone's published files into one safetensors file",
        description="Gather a backbone's published files into one safetensors file. "
        "No code in them is run.",
    )
    names = ", ".join(REGISTRY)
    convert.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help=".pth, .pth.tar, .model, .t7, …"
    )
    convert.add_argument("--backbone", required=True, metavar="NAME", help=f"one of: {names}")
    convert.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    convert.set_defaults(run=run_convert)


def _add_generate(actions: Commands) -> None:
    generate = actions.add_parser(
        "generate",
        help="have MetaNets generate the network of one style, as a small file",
        description="Have MetaNets generate a network that paints in one style, and save it for "
        f"--backbone {JohnsonExamples.traits.name}.",
    )
    add = generate.add_argument
    add(
        "styles",
        nargs="+",
        metavar="STYLE",
        help="a painting, or a style file of MetaNets; several are mixed",
    )
    add("--style-weights", type=float, nargs="+", metavar="W", help="share of each style")
    add("--backbone", default=MetaNet.traits.name, metavar="NAME", help="(default: %(default)s)")
    add("--weights", type=Path, required=True, metavar="FILE", help="weights of MetaNets")
    add(
        "--style-size",
        type=int,
        default=Settings().style_size,
        metavar="PX",
        help="longest side to which paintings are shrunk (default: %(default)s)",
    )
    add("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    generate.set_defaults(run=run_generate)


def run_list(options: argparse.Namespace) -> None:
    """Print two lines for each entry of the manifest."""
    store = _store(options)
    for entry in read_manifest():
        state, path = store.state(entry)
        size = f"{entry.size_bytes / 1e6:.1f} MB, " if entry.size_bytes else ""
        put(f"{entry.name}: {entry.title}, {size}{entry.license}")
        home = entry.home and f"{entry.home.repo_id} at {entry.home.revision[:12]}"
        put(f"  {state}: {path or home or entry.command}")


def run_get(options: argparse.Namespace) -> None:
    """Download weights, and print their paths."""
    store = _store(options)
    for entry in [find_entry(name) for name in options.names]:
        put(str(store.get(entry, download_bar(quiet=options.quiet))))


def run_path(options: argparse.Namespace) -> None:
    """Print the path of a weights file, for scripts."""
    entry = find_entry(options.name)
    path = _store(options).find(entry)
    if path is None:
        raise WeightsError(
            f"weights {entry.name} are not on this machine; 'urst weights get {entry.name}' "
            "downloads them, or says what to do"
        )
    put(str(path))


def run_verify(options: argparse.Namespace) -> None:
    """Compare all weights on this machine with the manifest."""
    store = _store(options)
    damaged: list[str] = []
    for entry in read_manifest():
        _, path = store.state(entry)
        if path is None:
            continue
        try:
            problem = store.problem_of(path, entry, again=True)
        except WeightsError as error:
            problem = str(error)
        unknown = "" if entry.files else "not published, so nothing to compare with"
        put(f"{entry.name}: {problem or unknown or 'as published'} ({path})")
        damaged += [str(path)] if problem else []
    if damaged:
        raise WeightsError(
            f"{abbreviated(damaged)} {'is' if len(damaged) == 1 else 'are'} not as published; "
            "remove, and get again with 'urst weights get'"
        )


def run_publish(options: argparse.Namespace) -> None:
    """Upload weights, and print the pinned files."""
    published = publish(
        options.directory, options.repo, manifest=options.manifest, private=options.private
    )
    for name, file in published.files.items():
        put(f"{name}: {file.size_bytes / 1e6:.1f} MB, SHA-256 {file.sha256}")
    put(f"{published.repo_id} at {published.revision}, pinned in {published.manifest}")


def _store(options: argparse.Namespace) -> WeightsStore:
    return WeightsStore((*(options.folder or ()), *default_folders()))


def run_generate(options: argparse.Namespace) -> None:
    """Generate a network, and print how to use it."""
    check_output(options.output, overwrite=options.overwrite)
    backbone = load_backbone(options.backbone, options.weights)
    styles = [open_style(name, backbone) for name in options.styles]
    settings = Settings(style_size=options.style_size)
    code = encode_styles(styles, options.style_weights, backbone, settings, ignore)
    title = ", ".join(Path(name).name for name in options.styles)
    save_generated(backbone, code, options.output, title=title)
    put(f"{options.output}: {title}, {options.output.stat().st_size / 1000:.0f} KB")
    name = JohnsonExamples.traits.name
    put(f"  urst stylize PHOTO -o OUT --backbone {name} --weights {options.output}")


def run_convert(options: argparse.Namespace) -> None:
    """Convert published files, and print a summary of their tensors."""
    check_output(options.output, overwrite=options.overwrite)
    conversion = convert_weights(options.files, options.backbone)
    save_conversion(conversion, options.output, overwrite=options.overwrite)
    put(f"{options.output}: {conversion.backbone}, {len(conversion.state)} tensors")
    for line in _summary(conversion):
        put(f"  {line}")


def _summary(conversion: Conversion) -> list[str]:
    """The numbers of tensors that were taken, dropped and filled in, with sources and reasons."""
    lines: list[str] = []
    for group in conversion.groups:
        of_group = [key for key in conversion.mapped if key.new.startswith(group)]
        files = {key.file for key in of_group}
        lines.append(f"{group or 'all'}: {len(of_group)} from {', '.join(files)}")
    dropped: dict[tuple[str, str], list[str]] = {}
    for key in conversion.dropped:
        dropped.setdefault((key.file, key.reason), []).append(key.old)
    for (file, reason), names in dropped.items():
        lines.append(f"dropped: {len(names)} of {file} ({abbreviated(names)}): {reason}")
    if conversion.filled:
        lines.append(
            f"filled in: {len(conversion.filled)} ({abbreviated(conversion.filled)}): "
            "scales of 1 and shifts of 0, which the file leaves out"
        )
    return lines
