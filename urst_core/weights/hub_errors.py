"""Why the hub did not give or take a file, and what to do about it."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DownloadError, first_line
from .manifest import Home

LOG_IN = "log in with 'hf auth login' (or set HF_TOKEN)"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
TOO_MANY, FORBIDDEN, NO_LOGIN, FAILED = 429, 403, 401, 500


def part_of_client(name: str) -> Any:
    """A module of huggingface_hub, which is imported only once weights are asked for."""
    return importlib.import_module(f"huggingface_hub.{name}")


@dataclass(frozen=True)
class Subject:
    """What was asked for: weights by their name, and the file that holds them."""

    name: str
    path: str
    home: Home

    @property
    def at(self) -> str:
        return f"{self.home.repo_id} at commit {self.home.revision[:12]}"


def offline(subject: Subject) -> DownloadError:
    return DownloadError(
        f"weights {subject.name} are not on this machine, and HF_HUB_OFFLINE forbids to download "
        f"them; unset it, or put the file there as models/urst/{subject.name}.safetensors"
    )


def damaged_offline(subject: Subject, problem: str) -> DownloadError:
    return DownloadError(
        f"weights {subject.name} are damaged in the hub's cache ({problem}), and HF_HUB_OFFLINE "
        "forbids to download them again; unset it"
    )


def not_removable(path: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"weights file {path} is damaged, and cannot be removed from the hub's cache ({error}); "
        "remove it yourself, and try again"
    )


def too_little_space(
    subject: Subject, needed_bytes: int, free_bytes: int, cache: Path
) -> DownloadError:
    return DownloadError(
        f"weights {subject.name} take {needed_bytes / 1e6:.1f} MB, {free_bytes / 1e6:.1f} MB are "
        f"free in {cache}; free some, or set HF_HOME to a folder on another disk"
    )


def why_not(error: BaseException, subject: Subject) -> DownloadError:
    """What a failed download means to whoever asked for it."""
    name = subject.name
    what = _answer(error, subject) or _on_this_machine(error, name) or _on_the_way(error)
    return DownloadError(f"weights {name} could not be downloaded: {what}")


def why_not_published(error: BaseException, repo_id: str) -> DownloadError:
    """What a failed upload means to whoever asked for it."""
    status = _status(error)
    if status in (NO_LOGIN, FORBIDDEN):
        what = (
            f"the hub does not let you write there ({status}); {LOG_IN} with a token that may "
            f"write to {repo_id.partition('/')[0]!r}"
        )
    else:
        what = _busy(status) or _on_the_way(error)
    return DownloadError(
        f"nothing was pinned, because {repo_id} could not be published: {what}; then publish again"
    )


def _answer(error: BaseException, subject: Subject) -> str:
    """The hub refused; empty where it did not."""
    errors = part_of_client("errors")
    repo_id, newer = subject.home.repo_id, "install a newer urst, whose manifest names another"
    by_type = (
        (
            errors.GatedRepoError,
            f"repository {repo_id} is gated; accept its terms on its page, {LOG_IN}, and try again",
        ),
        (errors.RevisionNotFoundError, f"there is no {subject.at}; {newer}"),
        # This one is an EntryNotFoundError too, and says nothing of the hub.
        (errors.LocalEntryNotFoundError, ""),
        (errors.EntryNotFoundError, f"there is no {subject.path} in {subject.at}; {newer}"),
        (
            errors.RepositoryNotFoundError,
            f"repository {repo_id} does not exist or is private; where it is yours, {LOG_IN}",
        ),
    )
    said = next((text for kind, text in by_type if isinstance(error, kind)), "")
    return said or _by_status(_status(error), repo_id)


def _by_status(status: int | None, repo_id: str) -> str:
    if status == NO_LOGIN:
        return f"the hub does not accept your token (401); {LOG_IN} again"
    if status == FORBIDDEN:
        return f"the hub forbids it (403); {LOG_IN} with a token that may read {repo_id}"
    return _busy(status)


def _busy(status: int | None) -> str:
    if status == TOO_MANY:
        return f"the hub allows no more requests for now (429); wait some minutes, or {LOG_IN}"
    if status is not None and status >= FAILED:
        return f"the hub has a problem of its own ({status}); try again later"
    return ""


def _on_this_machine(error: BaseException, name: str) -> str:
    """The cache cannot be written; empty where that is not the reason."""
    constants = part_of_client("constants")
    for cause in _causes(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if number in FULL:
            return f"the disk of {constants.HF_HUB_CACHE} is full ({cause}); free some space"
        if number in NOT_WRITABLE:
            return (
                f"{constants.HF_HUB_CACHE} cannot be written to ({cause}); set HF_HOME to a folder "
                f"that can, or put the file there yourself as models/urst/{name}.safetensors"
            )
    return ""


def _on_the_way(error: BaseException) -> str:
    """Whatever else happened; the libraries below huggingface_hub differ by version."""
    cause = list(_causes(error))[-1]
    reason = first_line(cause)
    endpoint = part_of_client("constants").ENDPOINT
    if "Consistency check failed" in str(error):
        return f"it came incomplete ({reason}); try again"
    if any("timeout" in type(cause).__name__.lower() for cause in _causes(error)):
        return f"{endpoint} did not answer in time ({reason}); check the network and try again"
    return f"the connection to {endpoint} failed ({reason}); check the network and try again"


def _status(error: BaseException) -> int | None:
    """The hub's answer, where the error or one of its causes is one."""
    for cause in _causes(error):
        response: Any = getattr(cause, "response", None)
        if response is not None:
            return int(response.status_code)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from, or while handling."""
    current: BaseException | None = error
    while current is not None:
        yield current
        context = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or context
