"""Converts published weights files to one safetensors file that a backbone loads.

Files are identified by keys and shapes, and by names only if two files have the same. Finally the
registered network checks the result by loading it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ...backbones import all_backbones, find_backbone
from ...durable import write_tensors
from ...errors import Change, OutputError, WeightsError, first_line
from ...networks.network import StylizationNetwork
from ..checkpoint import PICKLE_STARTS, build_backbone, read_weights
from .layouts import Part
from .matching import Match, check_complete, identify, known_as, wanted_files
from .torch7 import read_torch7

NESTING = ("model", "state_dict", "net")
"""Under which names training scripts store weights beside other things."""

SAFE_PYTORCH = (2, 6)
"""Before it, files of tensors alone could be made to run code (CVE-2025-32434)."""


@dataclass(frozen=True)
class MappedKey:
    """A tensor, where it comes from and what it is called now."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class DroppedKey:
    """Something in a file that is not used, and why."""

    file: str
    old: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """All weights of one backbone, and how they were found.

    Attributes:
        backbone: its registered name.
        files: names of the published files, without folders.
        state: the weights by the network's names.
        groups: prefixes of the names, one for each part of the network.
        filled: names that no file holds, whose values the published code sets: 1 or 0.
    """

    backbone: str
    files: tuple[str, ...]
    state: Mapping[str, Tensor]
    groups: tuple[str, ...]
    mapped: tuple[MappedKey, ...]
    dropped: tuple[DroppedKey, ...]
    filled: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedFile:
    """The content of a file: tensors by name, and the names of everything else."""

    path: Path
    tensors: Mapping[str, Tensor]
    others: tuple[str, ...] = ()


def convert_weights(files: Sequence[Path], backbone: str) -> Conversion:
    """Gather one backbone's weights from its published files.

    Args:
        files: in any order, together holding everything: PyTorch's (``.pth``, ``.pth.tar``,
            ``.model``), Torch7's (``.t7``) or safetensors.
        backbone: a registered name.

    Raises:
        SettingsError: no backbone has that name.
        WeightsError: a file cannot be read without risk, is damaged, or belongs elsewhere; or
            one is missing.
    """
    network_class = find_backbone(backbone)
    if not files:
        raise WeightsError(f"no file to convert; give {wanted_files(network_class)}")
    return _gather([read_published(path) for path in files], network_class)


def convert_unknown(files: Sequence[Path]) -> Conversion:
    """Gather the weights of whichever backbone published files are complete for.

    Args:
        files: as for :func:`convert_weights`.

    Raises:
        WeightsError: a file cannot be read without risk or is damaged; or the files are complete
            for no backbone, or for several.
    """
    if not files:
        raise WeightsError("no file to convert; give all published files of a network")
    published = [read_published(path) for path in files]
    found: list[Conversion] = []
    for network_class in all_backbones():
        if all(known_as(file.tensors, network_class) for file in published):
            with suppress(WeightsError):
                found.append(_gather(published, network_class))
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in files)
    if not found:
        raise WeightsError(
            f"{names}: not all published files of one network; give all of them, and no others",
            Change("backbone", how="learn what is missing by choosing the"),
        )
    fitting = ", ".join(each.backbone for each in found)
    raise WeightsError(f"{names} may be of several networks: {fitting}", Change("backbone"))


def _gather(files: Sequence[PublishedFile], network_class: type[StylizationNetwork]) -> Conversion:
    """Errors as in :func:`convert_weights`."""
    found: dict[Part, tuple[PublishedFile, Match]] = {}
    mapped: list[MappedKey] = []
    dropped: list[DroppedKey] = []
    for published in files:
        name = published.path.name
        for match in identify(published.path, published.tensors, network_class):
            if match.part in found:
                other = found[match.part][0].path
                raise WeightsError(
                    f"{other} and {published.path} both hold {network_class.traits.title}'s "
                    f"{match.part.title}; give one of them"
                )
            found[match.part] = published, match
            mapped += [MappedKey(name, old, new) for new, old in match.mapped.items()]
            dropped += [DroppedKey(name, old, why) for old, why in match.dropped.items()]
        dropped += [DroppedKey(name, old, "no tensor of numbers") for old in published.others]
    state = {key: value for _, match in found.values() for key, value in match.state.items()}
    check_complete(network_class, state)
    names = tuple(published.path.name for published in files)
    build_backbone(network_class, state, origin=", ".join(names))
    filled = tuple(key for _, match in found.values() for key in match.filled)
    groups = tuple(part.prefix for part in found)
    return Conversion(
        network_class.traits.name, names, state, groups, tuple(mapped), tuple(dropped), filled
    )


def save_conversion(conversion: Conversion, path: Path, *, overwrite: bool = False) -> None:
    """Write a safetensors file with its backbone and sources in the header.

    Raises:
        OutputError: the name does not end in .safetensors, the file exists, or cannot be written.
    """
    check_output(path, overwrite=overwrite)
    origin = {"backbone": conversion.backbone, "converted_from": conversion.files}
    try:
        write_tensors(path, conversion.state, origin)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error}); choose another place") from error


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse a name that cannot be written to before anything is read.

    Raises:
        OutputError: it does not end in .safetensors, or exists and may not be replaced.
    """
    if path.suffix != ".safetensors":
        raise OutputError(
            f"{path} is not a name for safetensors; use one that ends in .safetensors"
        )
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists", "choose another name", Change("overwrite", True))


def read_published(path: Path) -> PublishedFile:
    """Read a published file of any format, without running anything in it.

    Raises:
        WeightsError: it is missing, damaged, holds no tensors, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist; check the path")
    if path.suffix == ".t7":
        return PublishedFile(path, read_torch7(path))
    with path.open("rb") as file:
        start = file.read(9)
    if not start.startswith(PICKLE_STARTS) or start[8:] == b"{":
        return PublishedFile(path, read_weights(path))
    return _named_tensors(path, _read_pickle(path))


def _read_pickle(path: Path) -> Any:
    version = tuple(int(number) for number in torch.__version__.split(".")[:2])
    if version < SAFE_PYTORCH:
        raise WeightsError(
            f"{path} could run code in PyTorch {torch.__version__} even if only tensors are read "
            "(CVE-2025-32434); convert it with PyTorch 2.6 or later"
        )
    try:
        # Opened here: by a path's ending PyTorch would choose another format than the content's.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises whatever damaged bytes lead to
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed is None:
            raise WeightsError(
                f"{path} cannot be read as a PyTorch file of tensors "
                f"({first_line(error)}); "
                "get it again"
            ) from error
        raise WeightsError(
            f"{path} holds more than tensors ({needed[1]}), and reading that could run any code; "
            "where you trust it, load it in its own project, save its state_dict() alone with "
            "torch.save, and convert that"
        ) from None


def _named_tensors(path: Path, content: Any) -> PublishedFile:
    others: list[str] = []
    if isinstance(content, Mapping):
        named = cast("Mapping[Any, Any]", content)
        nests = [name for name in NESTING if isinstance(named.get(name), Mapping)]
        if nests:
            others = [str(name) for name in named if name != nests[0]]
            named = named[nests[0]]
        tensors = {str(name): value for name, value in named.items() if _is_usable(value)}
        others += [str(name) for name in named if str(name) not in tensors]
        if tensors:
            return PublishedFile(path, tensors, tuple(others))
    raise WeightsError(f"{path} holds no named tensors; give a file of a network's state_dict()")


def _is_usable(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and value.is_floating_point()
