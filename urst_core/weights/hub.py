"""Files of the Hugging Face hub: found in its cache, or downloaded into it.

All of it is huggingface_hub's work, with its settings: HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and
HF_TOKEN. Versions from 0.30 on serve. Those whose ``hf_hub_download`` takes a ``tqdm_class`` (1.3
does, 1.0 does not) report progress within a file; with others it comes when the file is complete,
and if the connection breaks, the next attempt continues from there.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DownloadError, Install
from .hub_errors import (
    Subject,
    not_removable,
    offline,
    part_of_client,
    too_little_space,
    why_not,
)
from .manifest import Home, WeightsFile

POLL_SECONDS = 0.1
"""How often a listener can cancel."""

STOP_SECONDS = 2.0
"""Time in which a cancelled transfer has to remove its partial file."""


@dataclass(frozen=True)
class DownloadProgress:
    """What a listener is told, about ten times a second.

    Attributes:
        name: of the weights, as users call them.
        bytes_done: so far, of this file.
        bytes_total: of this file.
    """

    name: str
    bytes_done: int
    bytes_total: int


DownloadListener = Callable[[DownloadProgress], None]
"""Called in the thread that requested the download; if it raises, the download ends."""


def library() -> Any:
    """The module huggingface_hub.

    Raises:
        DownloadError: it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise DownloadError(
            f"weights from the hub need huggingface_hub, which did not load ({error})",
            Install("huggingface_hub"),
        ) from error


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids every request."""
    library()
    return bool(part_of_client("constants").HF_HUB_OFFLINE)


def is_installed() -> bool:
    """Whether huggingface_hub is installed; without it there is no cache either."""
    return importlib.util.find_spec("huggingface_hub") is not None


def own_folder(purpose: str) -> Path:
    """Our folder for a purpose in the hub's cache of assets, which may not exist yet.

    Raises:
        DownloadError: huggingface_hub is not installed.
    """
    library()
    constants = part_of_client("constants")
    return Path(constants.HF_ASSETS_CACHE) / "urst" / purpose


def cached_file(file: WeightsFile, home: Home) -> Path | None:
    """The file in the hub's cache, of whatever content; no request is made."""
    if not is_installed():
        return None
    found = library().try_to_load_from_cache(home.repo_id, file.path, revision=home.revision)
    return Path(found) if isinstance(found, str) else None


def remove_cached(path: Path) -> None:
    """Remove a file from the hub's cache: the link in the snapshot, and the content.

    Raises:
        DownloadError: that is not allowed here.
    """
    content = path.resolve()
    try:
        path.unlink(missing_ok=True)
        content.unlink(missing_ok=True)
    except OSError as error:
        raise not_removable(content, error) from error


def download(
    file: WeightsFile, home: Home, *, name: str, listener: DownloadListener | None = None
) -> Path:
    """Download a file into the hub's cache; not checked yet, except for its length.

    The transfer runs in a thread of its own, so that the listener is heard, and can end the wait,
    also while the network hangs.

    Args:
        name: of the weights, for messages and the listener.

    Raises:
        DownloadError: see the messages in ``hub_errors.py``.
    """
    subject = Subject(name, file.path, home)
    if is_offline():
        raise offline(subject)
    _check_space(file, subject)
    transfer = _Transfer(file, home)
    thread = threading.Thread(target=transfer.run, name=f"download of {name}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            if listener is not None:
                listener(DownloadProgress(name, transfer.bytes_done, file.size_bytes))
            thread.join(POLL_SECONDS)
    except BaseException:  # cancel and Ctrl-C, whatever they are derived from
        transfer.stopped.set()
        thread.join(STOP_SECONDS)
        raise
    error = transfer.result.exception()
    if error is not None:
        raise why_not(error, subject) from error
    if listener is not None:
        listener(DownloadProgress(name, file.size_bytes, file.size_bytes))
    return transfer.result.result()


class _StoppedError(Exception):
    """Ends a transfer that nobody waits for any more."""


class _Transfer:
    """One download, as another thread sees it."""

    def __init__(self, file: WeightsFile, home: Home) -> None:
        self.bytes_done = 0
        self.stopped = threading.Event()
        self.result: Future[Path] = Future()
        self._file = file
        self._home = home

    def run(self) -> None:
        try:
            fetch = library().hf_hub_download
            options: dict[str, Any] = {"revision": self._home.revision, "library_name": "urst"}
            if "tqdm_class" in inspect.signature(fetch).parameters:
                options["tqdm_class"] = self._bar_class()
            self.result.set_result(Path(fetch(self._home.repo_id, self._file.path, **options)))
        except BaseException as error:  # told to the thread that waits
            self.result.set_exception(error)

    def _bar_class(self) -> type[Any]:
        """A progress bar that draws nothing, and counts."""
        transfer = self
        base: Any = part_of_client("utils").tqdm

        class Counter(base):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **(options | {"disable": True}))
                self.counted = int(options.get("initial") or 0)

            def update(self, n: float | None = 1) -> None:
                if transfer.stopped.is_set():
                    raise _StoppedError
                self.counted += int(n or 0)
                # Not a sum: some transfers draw two bars, one for the network, one for the disk.
                transfer.bytes_done = max(transfer.bytes_done, self.counted)

        return Counter


def _check_space(file: WeightsFile, subject: Subject) -> None:
    cache = Path(part_of_client("constants").HF_HUB_CACHE)
    place = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), None)
    if place is None:
        return
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < file.size_bytes:
        raise too_little_space(subject, file.size_bytes, free_bytes, cache)
