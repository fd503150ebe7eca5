"""Finds the file of a manifest entry: in folders, then in the hub's cache, then on the hub.

A file is used only if it matches the manifest, which is checked once. Files with other parameter
names are converted after the download, into the first folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Change, Command, DownloadError, OutputError, WeightsError
from . import hub
from .checkpoint import fingerprint, read_weights
from .hub_errors import Subject, damaged_offline
from .manifest import PACKAGE, Home, WeightsEntry, WeightsFile
from .verified import Records, file_state, sha256_of

EMBEDDED, HERE, ON_THE_HUB, UNPUBLISHED = "embedded", "here", "on the hub", "no public home yet"


@dataclass(frozen=True)
class WeightsStore:
    """Where weights are looked for and kept.

    Attributes:
        folders: of files named after their entries, as in ``models/urst``; the first takes what
            has to be converted.
    """

    folders: Sequence[Path] = ()

    def get(self, entry: WeightsEntry, listener: hub.DownloadListener | None = None) -> Path:
        """The file of an entry, downloaded if it is not on this machine.

        Raises:
            WeightsError: a file does not match the manifest, or is not available.
        """
        found = self.find(entry)
        if found is not None:
            return found
        if entry.home is None:
            raise WeightsError(
                f"weights {entry.name} have no public home yet",
                Command(entry.command, how="make them from the authors' files with"),
                Change("weights", how="give a safetensors file as"),
            )
        files = [self._fetched(file, entry.home, entry.name, listener) for file in entry.files]
        return self._converted(files, entry) if entry.fingerprint else files[0]

    def find(self, entry: WeightsEntry) -> Path | None:
        """The file of an entry if it is on this machine, verified; no request is made.

        Raises:
            WeightsError: a folder has a file of that name that does not match the manifest.
        """
        if entry.embedded:
            # Not importlib.resources: ComfyUI loads the pack under a path, not under a name.
            return PACKAGE / "data" / Path(entry.files[0].path).name
        path = self.in_folders(entry)
        if path is not None:
            problem = self.problem_of(path, entry)
            if problem:
                raise WeightsError(
                    f"weights file {path} is not what the manifest calls {entry.name} ({problem}); "
                    "remove it, or rename it and choose it by its new name"
                )
            return path
        if entry.home is None or entry.fingerprint:
            return None
        cached = hub.cached_file(entry.files[0], entry.home)
        if cached is None or self.problem_of(cached, entry):
            return None
        return cached

    def in_folders(self, entry: WeightsEntry) -> Path | None:
        """A file with the name of an entry, of whatever content."""
        places = [folder / entry.file_name for folder in self.folders]
        if entry.fingerprint and hub.is_installed():
            places.append(_converted_place(entry))
        return next((path for path in places if path.is_file()), None)

    def state(self, entry: WeightsEntry) -> tuple[str, Path | None]:
        """Where an entry is, in a word, and its file; nothing is measured or requested."""
        if entry.embedded:
            return EMBEDDED, self.find(entry)
        path = self.in_folders(entry)
        if path is None and entry.home is not None and not entry.fingerprint:
            path = hub.cached_file(entry.files[0], entry.home)
        if path is not None:
            return HERE, path
        return (ON_THE_HUB if entry.home is not None else UNPUBLISHED), None

    def state_text(self, entry: WeightsEntry) -> str:
        """A text that changes when a verified file of the entry changes, and not by a download."""
        _, path = self.state(entry)
        expected = entry.fingerprint or (entry.files[0].sha256 if entry.files else "")
        if path is None or (expected and not records().contradict(path, expected)):
            return f"{entry.name}:{expected}"
        return file_state(path)

    def problem_of(self, path: Path, entry: WeightsEntry, *, again: bool = False) -> str:
        """Why a file does not match the manifest; empty if it does, or there is nothing to compare.

        Args:
            again: measure it although it was measured before.

        Raises:
            WeightsError: it cannot be read.
        """
        if not entry.files:
            return ""
        if again:
            records().forget(path)
        if entry.fingerprint:
            measured = records().measured(path, fingerprint_of)
            return _difference("fingerprint", measured, entry.fingerprint)
        return _problem(path, entry.files[0])

    def _fetched(
        self, file: WeightsFile, home: Home, name: str, listener: hub.DownloadListener | None
    ) -> Path:
        cached = hub.cached_file(file, home)
        if cached is not None:
            problem = _problem(cached, file)
            if not problem:
                return cached
            if hub.is_offline():
                raise damaged_offline(Subject(name, file.path, home), problem)
            hub.remove_cached(cached)
        path = hub.download(file, home, name=name, listener=listener)
        problem = _problem(path, file)
        if problem:
            hub.remove_cached(path)
            raise DownloadError(
                f"{file.path} of {home.repo_id} is not what the manifest says ({problem}) and was "
                "removed; try again, and if it stays so, install a newer urst"
            )
        return path

    def _converted(self, files: Sequence[Path], entry: WeightsEntry) -> Path:
        from .conversion.convert import convert_weights, save_conversion  # noqa: PLC0415 - on use

        for path in files:
            # Refuses pickles, which a conversion would read: nobody asked for one here.
            read_weights(path)
        conversion = convert_weights(files, entry.backbone)
        problem = _difference("fingerprint", fingerprint(conversion.state), entry.fingerprint)
        if problem:
            raise WeightsError(
                f"the files of {entry.name} were converted to something else than the manifest "
                f"says ({problem}); install a newer urst"
            )
        place = self.folders[0] / entry.file_name if self.folders else _converted_place(entry)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{place} cannot be written ({error}); check the folder") from error
        save_conversion(conversion, place, overwrite=True)
        return place


def records() -> Records:
    """What was measured before; nothing where huggingface_hub, whose cache it is, is absent."""
    return Records(hub.own_folder("verified") if hub.is_installed() else None)


def fingerprint_of(path: Path) -> str:
    """The fingerprint of the weights in a file."""
    return fingerprint(read_weights(path))


def default_folders() -> tuple[Path, ...]:
    """ComfyUI's models/urst, if this package is in ComfyUI's custom_nodes."""
    nodes = PACKAGE.parent.parent
    folder = nodes.parent / "models" / "urst"
    return (folder,) if nodes.name == "custom_nodes" and folder.is_dir() else ()


def _converted_place(entry: WeightsEntry) -> Path:
    return hub.own_folder("converted") / entry.fingerprint / entry.file_name


def _problem(path: Path, file: WeightsFile) -> str:
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise WeightsError(f"weights file {path} cannot be read ({error}); get it again") from error
    if size_bytes != file.size_bytes:
        return f"{size_bytes} bytes instead of {file.size_bytes}"
    return _difference("SHA-256", records().measured(path, sha256_of), file.sha256)


def _difference(kind: str, measured: str, expected: str) -> str:
    if measured == expected:
        return ""
    return f"{kind} {measured[:12]}… instead of {expected[:12]}…"
