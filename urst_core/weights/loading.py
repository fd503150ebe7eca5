"""A backbone by its name, with the weights of a file, of the manifest, or of the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..backbones import AUTO, DEFAULT_BACKBONE, find_backbone
from ..errors import Change, Command, WeightsError
from ..networks.model import Backbone
from ..networks.network import StylizationNetwork
from .checkpoint import build_backbone, read_weights, recognize
from .hub import DownloadListener
from .manifest import WeightsEntry, find_entry, read_manifest
from .store import WeightsStore, default_folders

EMBEDDED_FILES: Mapping[str, str] = {DEFAULT_BACKBONE: "microast_default.safetensors"}
"""Weights inside the package, by backbone."""


def load_backbone(
    name: str = DEFAULT_BACKBONE,
    weights: Path | str | None = None,
    *,
    folders: Sequence[Path] | None = None,
    listener: DownloadListener | None = None,
) -> Backbone:
    """Build a backbone with its weights, on the CPU, in float32.

    Args:
        name: of a registered backbone, or of weights in the manifest, as in ``adain-default``.
        weights: a safetensors file under the published parameter names, or a name in the manifest,
            which has no ending; the embedded one when not given.
        folders: where files of the manifest are looked for before the hub's cache.
        listener: called during a download.

    Raises:
        SettingsError: no backbone has that name.
        WeightsError: the file is missing, not a safetensors file, belongs to another backbone,
            or lacks or exceeds the keys; or none was given and none is embedded; or it is
            in the manifest, and cannot be had.
    """
    if name == AUTO:
        name = _network_name(weights)
    if weights is None and "-" in name:
        weights, name = name, find_entry(name).backbone
    network_class = find_backbone(name)
    if weights is not None:
        path = Path(weights)
        if _is_name(path):
            path = _file_of(find_entry(str(weights)), network_class, folders, listener)
        return build_backbone(network_class, read_weights(path), origin=str(path))
    if name not in EMBEDDED_FILES:
        raise _no_embedded_weights(network_class)
    # Not importlib.resources: ComfyUI loads the pack under a path, not under an importable name.
    path = Path(__file__).parents[1] / "data" / EMBEDDED_FILES[name]
    return build_backbone(network_class, read_weights(path), origin=path.name)


def _network_name(weights: Path | str | None) -> str:
    """The name of the network that weights belong to."""
    if weights is None:
        return DEFAULT_BACKBONE
    path = Path(weights)
    if _is_name(path):
        return find_entry(str(weights)).backbone
    return recognize(read_weights(path), origin=str(path)).traits.name


def _is_name(path: Path) -> bool:
    """Whether weights are named, not given as a file: no folder, no ending, no such file."""
    return path.name == str(path) and not path.suffix and not path.is_file()


def _file_of(
    entry: WeightsEntry,
    network_class: type[StylizationNetwork],
    folders: Sequence[Path] | None,
    listener: DownloadListener | None,
) -> Path:
    if entry.backbone != network_class.traits.name:
        other = find_backbone(entry.backbone).traits.title
        raise WeightsError(
            f"weights {entry.name} are {other}'s, not {network_class.traits.title}'s; "
            f"choose backbone {entry.backbone!r} or other weights"
        )
    return WeightsStore(default_folders() if folders is None else folders).get(entry, listener)


def _no_embedded_weights(network_class: type[StylizationNetwork]) -> WeightsError:
    name = network_class.traits.name
    public = [e.name for e in read_manifest() if e.backbone == name and e.home is not None]
    offers = [f"choose weights {' or '.join(public)}, which are downloaded once"] if public else []
    return WeightsError(
        f"{network_class.traits.title} has no embedded weights",
        *offers,
        Change("weights", how="give a safetensors file as"),
        Command(
            f"urst weights convert FILES --backbone {name} -o OUT",
            how="make one from the published files with",
        ),
    )
