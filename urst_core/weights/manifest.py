"""Which published weights there are: ``weights_manifest.json``, read and checked.

The file is at the top of a checkout, which is also where ComfyUI loads the pack from; in an
installed package it is in ``urst_core/data``, where ``setup.py`` puts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backbones import check_name
from ..errors import WeightsError, abbreviated

FILE_NAME = "weights_manifest.json"
FORMAT = 1
PACKAGE = Path(__file__).parents[1]

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WeightsFile:
    """One file of a repository, with its expected size and hash.

    Attributes:
        path: in the repository, with forward slashes; of embedded weights, in this one.
        size_bytes: its exact length.
        sha256: of its bytes, in hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Home:
    """A commit of a repository on the hub: never a branch, whose files could change."""

    repo_id: str
    revision: str


@dataclass(frozen=True)
class WeightsEntry:
    """Weights of one backbone in one variant.

    Attributes:
        description: one line.
        source: who made the original weights, and where.
        styles: the names of the styles inside; empty where any picture can be the style.
        embedded: whether the file is inside the package.
        home: where to get it; None where it is embedded, or has no public home yet.
        files: none where there is no public home yet.
        command: what makes the weights from the authors' files; empty where nothing has to.
        fingerprint: of the converted weights, where files of the hub have to be converted.
    """

    backbone: str
    variant: str
    title: str
    description: str
    license: str
    paper: str
    source: str
    styles: tuple[str, ...] = ()
    embedded: bool = False
    home: Home | None = None
    files: tuple[WeightsFile, ...] = ()
    command: str = ""
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """What users call it, as in ``adain-default``."""
        return f"{self.backbone}-{self.variant}"

    @property
    def file_name(self) -> str:
        """What its file is called in a folder of weights."""
        return f"{self.name}.safetensors"

    @property
    def size_bytes(self) -> int:
        """Of all files together; 0 where none is public."""
        return sum(file.size_bytes for file in self.files)


def manifest_path() -> Path:
    """The path of the manifest: in the installed package, else at the top of the checkout."""
    installed = PACKAGE / "data" / FILE_NAME
    return installed if installed.is_file() else PACKAGE.parent / FILE_NAME


def read_manifest(path: Path | None = None) -> tuple[WeightsEntry, ...]:
    """All entries, in their order.

    Raises:
        WeightsError: the manifest is missing or damaged, or holds what no entry may.
    """
    path = path or manifest_path()
    try:
        return parse_manifest(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            f"weights manifest {path} cannot be used ({reason}); install urst again"
        ) from error


def parse_manifest(text: str) -> tuple[WeightsEntry, ...]:
    """Entries from JSON.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not what the schema says.
        SettingsError: it names a backbone that is not registered.
    """
    content = json.loads(text)
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r} is unknown, {FORMAT} is meant")
    entries = tuple(_entry(raw) for raw in content["weights"])
    names = [entry.name for entry in entries]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{abbreviated(sorted(twice))} is listed twice")
    return entries


def entry_named(name: str, entries: tuple[WeightsEntry, ...]) -> WeightsEntry | None:
    """The entry of that name, if there is one."""
    return next((entry for entry in entries if entry.name == name), None)


def find_entry(name: str, entries: tuple[WeightsEntry, ...] | None = None) -> WeightsEntry:
    """The entry of that name.

    Raises:
        WeightsError: there is none, or the manifest cannot be used.
    """
    entries = read_manifest() if entries is None else entries
    entry = entry_named(name, entries)
    if entry is None:
        names = ", ".join(entry.name for entry in entries)
        raise WeightsError(f"weights {name!r} are not in the manifest; use one of: {names}")
    return entry


def _entry(raw: Mapping[str, Any]) -> WeightsEntry:
    conversion: Mapping[str, str] = raw.get("conversion", {})
    files = tuple(_file(file) for file in raw.get("files", ()))
    check_name(_text(raw["backbone"]))
    entry = WeightsEntry(
        backbone=_text(raw["backbone"]),
        variant=_text(raw["variant"]),
        title=_text(raw["title"]),
        description=_text(raw["description"]),
        license=_text(raw["license"]),
        paper=_text(raw["paper"]),
        source=_text(raw["source"]),
        styles=tuple(_text(style) for style in raw.get("styles", ())),
        embedded=raw.get("embedded", False) is True,
        home=Home(_text(raw["repo_id"]), _text(raw["revision"])) if "repo_id" in raw else None,
        files=files,
        command=_text(conversion.get("command", "")),
        fingerprint=_text(conversion.get("fingerprint", "")),
    )
    _check(entry)
    return entry


def _file(raw: Mapping[str, Any]) -> WeightsFile:
    if type(raw["bytes"]) is not int:
        raise ValueError(f"size {raw['bytes']!r} is not a number of bytes")
    return WeightsFile(_text(raw["path"]), raw["bytes"], _text(raw["sha256"]))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r:.60} is not a line of text")
    return value


def _check(entry: WeightsEntry) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", entry.variant):
        raise ValueError(f"variant {entry.variant!r} is not of small letters, digits and _")
    if entry.home is not None and not REPOSITORY.fullmatch(entry.home.repo_id):
        raise ValueError(f"repository {entry.home.repo_id!r} of {entry.name} is not OWNER/NAME")
    if entry.home is not None and not COMMIT.fullmatch(entry.home.revision):
        raise ValueError(
            f"revision {entry.home.revision!r} of {entry.name} is not a full commit of 40 digits"
        )
    if bool(entry.files) != (entry.embedded or entry.home is not None):
        raise ValueError(f"{entry.name} has files without a home, or a home without files")
    if len(entry.files) > 1 and not entry.fingerprint:
        raise ValueError(f"{entry.name} has several files, but no fingerprint of what they make")
    for file in entry.files:
        _check_file(file, entry.name)


def _check_file(file: WeightsFile, name: str) -> None:
    parts = file.path.split("/")
    if {"", ".", ".."} & {*parts} or "\\" in file.path or not parts[-1].endswith(".safetensors"):
        raise ValueError(f"file {file.path!r} of {name} is not a safetensors file of a repository")
    if not SHA256.fullmatch(file.sha256) or file.size_bytes <= 0:
        raise ValueError(f"file {file.path!r} of {name} has no size and SHA-256")
