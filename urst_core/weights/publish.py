"""Weights files to a repository on the hub, and its new commit into the manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backbones import find_backbone
from ..durable import write_whole
from ..errors import Change, DownloadError, OutputError, SettingsError, WeightsError
from . import hub
from .checkpoint import build_backbone, read_weights
from .hub_errors import part_of_client, why_not_published
from .manifest import (
    WeightsEntry,
    WeightsFile,
    find_entry,
    manifest_path,
    parse_manifest,
    read_manifest,
)
from .verified import sha256_of

CARD = "README.md"


@dataclass(frozen=True)
class Publication:
    """What was published.

    Attributes:
        files: by the name of their weights.
        revision: the commit that holds them, which the manifest now names.
        manifest: the file that was changed.
    """

    repo_id: str
    revision: str
    files: dict[str, WeightsFile]
    manifest: Path


def publish(
    folder: Path, repo_id: str, *, manifest: Path | None = None, private: bool = False
) -> Publication:
    """Upload all weights of a folder in one commit, with a model card, and pin that commit.

    Args:
        folder: of files named after entries of the manifest, as in ``adain-default.safetensors``.
        repo_id: as in ``name/repository``; made where it does not exist.
        manifest: to change; that of the checkout when not given.
        private: whether only its owner sees a repository that is made.

    Raises:
        SettingsError: the name of the repository is none.
        WeightsError: a file is not named after an entry, or does not load.
        OutputError: the manifest cannot be written.
        DownloadError: the hub refused or could not be reached; the manifest is unchanged then.
    """
    manifest = manifest or manifest_path()
    _check_repository(repo_id)
    entries = read_manifest(manifest)
    _check_writable(manifest)
    files = {
        entry.name: _described(folder / entry.file_name, entry)
        for entry in _entries_of(folder, entries)
    }
    card = model_card(repo_id, files, entries)
    try:
        revision = _upload(folder, repo_id, files, card, private=private)
    except DownloadError:
        raise
    except Exception as error:  # whatever the network led the hub's client to
        raise why_not_published(error, repo_id) from error
    _pin(manifest, repo_id, revision, files)
    return Publication(repo_id, revision, files, manifest)


def model_card(repo_id: str, files: dict[str, WeightsFile], entries: Sequence[WeightsEntry]) -> str:
    """The README of the repository: what each file is, from whom, under which license."""
    published = [entry for entry in entries if entry.name in files]
    licenses = {entry.license.lower() for entry in published}
    data = hub.library().ModelCardData(
        license=licenses.pop() if len(licenses) == 1 else "other",
        library_name="urst",
        tags=["style-transfer", "image-to-image", "comfyui"],
    )
    lines = [
        f"---\n{data.to_yaml()}\n---",
        f"# {repo_id.split('/')[1]}: weights for URST",
        "Ultra-resolution style transfer in tiles, as ComfyUI nodes and on the command line. "
        "`urst weights get NAME` downloads and verifies; safetensors only.",
    ]
    for entry in published:
        file = files[entry.name]
        lines += [
            f"## {entry.name}\n\n{entry.title}. {entry.description}",
            "\n".join(
                [
                    "| | |",
                    "|---|---|",
                    f"| file | `{file.path}`, {file.size_bytes} bytes |",
                    f"| SHA-256 | `{file.sha256}` |",
                    f"| license | {entry.license} |",
                    f"| paper | {entry.paper} |",
                    f"| original weights | {entry.source} |",
                    *([f"| made by | `{entry.command}` |"] if entry.command else []),
                    *([f"| styles | {', '.join(entry.styles)} |"] if entry.styles else []),
                ]
            ),
        ]
    return "\n\n".join(lines) + "\n"


def _check_repository(repo_id: str) -> None:
    hub.library()
    validate: Any = part_of_client("utils").validate_repo_id
    try:
        validate(repo_id)
        owner, _, name = repo_id.partition("/")
        valid = bool(owner and name)
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(
            f"repository {repo_id!r} is not a valid name on the hub; use OWNER/NAME, of "
            "letters, digits, '-', '_' and '.'"
        )


def _check_writable(manifest: Path) -> None:
    if not os.access(manifest, os.W_OK) or not os.access(manifest.parent, os.W_OK):
        raise OutputError(
            f"manifest {manifest} cannot be written",
            "publish from a checkout",
            Change("manifest", how="name another with"),
        )


def _entries_of(folder: Path, entries: tuple[WeightsEntry, ...]) -> list[WeightsEntry]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"folder {folder} holds no .safetensors file; put what to publish there")
    found = [find_entry(path.stem, entries) for path in files]
    for entry in found:
        if entry.embedded:
            raise WeightsError(
                f"weights {entry.name} are inside the package, and need no home on the hub; "
                f"take {entry.file_name} out of {folder}"
            )
    return found


def _described(path: Path, entry: WeightsEntry) -> WeightsFile:
    build_backbone(find_backbone(entry.backbone), read_weights(path), origin=str(path))
    return WeightsFile(entry.file_name, path.stat().st_size, sha256_of(path))


def _upload(
    folder: Path, repo_id: str, files: dict[str, WeightsFile], card: str, *, private: bool
) -> str:
    library = hub.library()
    api = library.HfApi(library_name="urst")
    add = library.CommitOperationAdd
    api.create_repo(repo_id, exist_ok=True, private=private)
    commit = api.create_commit(
        repo_id,
        [
            add(path_in_repo=CARD, path_or_fileobj=card.encode()),
            *(
                add(path_in_repo=file.path, path_or_fileobj=str(folder / file.path))
                for file in files.values()
            ),
        ],
        commit_message=f"Publish {', '.join(files)}",
    )
    _check_uploaded(api, repo_id, str(commit.oid), list(files.values()))
    return str(commit.oid)


def _check_uploaded(api: Any, repo_id: str, revision: str, files: list[WeightsFile]) -> None:
    """Compare with the hub's own record, since everybody relies on a pinned commit afterward."""
    paths = [file.path for file in files]
    held = {info.path: info for info in api.get_paths_info(repo_id, paths, revision=revision)}
    for file in files:
        lfs = held[file.path].lfs if file.path in held else None
        if lfs is None or (lfs.sha256, lfs.size) != (file.sha256, file.size_bytes):
            raise DownloadError(
                f"nothing was pinned, because {repo_id} does not hold {file.path} as it is here "
                f"(commit {revision[:12]}); publish again"
            )


def _pin(manifest: Path, repo_id: str, revision: str, files: dict[str, WeightsFile]) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    for raw in content["weights"]:
        file = files.get(f"{raw['backbone']}-{raw['variant']}")
        if file is not None:
            raw.pop("unpublished", None)
            # The file holds the network's own names: nothing is left to convert after a download.
            raw.get("conversion", {}).pop("fingerprint", None)
            stored = {"path": file.path, "bytes": file.size_bytes, "sha256": file.sha256}
            raw |= {"repo_id": repo_id, "revision": revision, "files": [stored]}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        parse_manifest(text)
        write_whole(manifest, text.encode())
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{repo_id} is published, but its commit {revision} could not be written into "
            f"{manifest} ({error}); publish again, which uploads nothing twice"
        ) from error
