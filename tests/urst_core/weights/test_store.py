"""Getting weights from folders, the hub's cache and the hub: checks, refusals, messages."""

from __future__ import annotations

import errno
import hashlib
import inspect
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from examples import load_picture, save_picture, stored_picture
from fake_hub import TOKEN, FakeHub
from safetensors.torch import load_file, save, save_file

import urst_core
from urst_core.cli import main as cli
from urst_core.errors import DownloadError, OutputError, WeightsError
from urst_core.weights.checkpoint import fingerprint
from urst_core.weights.hub import DownloadProgress
from urst_core.weights.loading import EMBEDDED_FILES, load_backbone
from urst_core.weights.manifest import WeightsEntry, read_manifest
from urst_core.weights.store import WeightsStore, default_folders
from urst_core.weights.verified import Records, sha256_of

constants = pytest.importorskip("huggingface_hub.constants")
hf_hub_download = pytest.importorskip("huggingface_hub").hf_hub_download

ROOT = Path(urst_core.__file__).parents[1]
CONTENT = (ROOT / "urst_core" / "data" / EMBEDDED_FILES["microast"]).read_bytes()
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REPO = "owner/urst-weights"

RESUMES_LATER = "tqdm_class" not in inspect.signature(hf_hub_download).parameters
"""Old clients give up at once, but keep the part they have, and go on from there next time."""

retries = pytest.mark.skipif(RESUMES_LATER, reason="this version of the hub's client gives up")

PATH = "microast-hub.safetensors"


@dataclass
class Published:
    """Weights on the local hub, and the manifest that names them."""

    hub: FakeHub
    manifest: Path
    revision: str

    def write(self, **changes: object) -> WeightsEntry:
        raw = {
            "backbone": "microast",
            "variant": "hub",
            "title": "MicroAST on the hub",
            "description": "For tests.",
            "license": "MIT",
            "paper": "arXiv:2211.15313",
            "source": "a test",
            "repo_id": REPO,
            "revision": self.revision,
            "files": [{"path": PATH, "bytes": len(CONTENT), "sha256": DIGEST}],
        } | changes
        self.manifest.write_text(json.dumps({"format": 1, "weights": [raw]}), encoding="utf-8")
        [entry] = read_manifest(self.manifest)
        return entry


@pytest.fixture
def published(hub, tmp_path, monkeypatch) -> Published:
    """The embedded weights under another name on the local hub."""
    revision = hub.commit(REPO, {PATH: CONTENT})
    made = Published(hub, tmp_path / "manifest.json", revision)
    monkeypatch.setattr("urst_core.weights.manifest.manifest_path", lambda: made.manifest)
    made.write()
    return made


@pytest.fixture
def entry(published) -> WeightsEntry:
    return published.write()


def refusal(entry: WeightsEntry, store: WeightsStore | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        (store or WeightsStore()).get(entry)
    return str(caught.value)


def leftovers() -> list[str]:
    """Whatever of the file stayed in the hub's cache, complete or not."""
    cache = Path(constants.HF_HUB_CACHE)
    found = [path for path in cache.rglob("*") if path.is_file() and ".locks" not in path.parts]
    names = sorted(path.name for path in found if path.name != "CACHEDIR.TAG")
    return [name for name in names if not (RESUMES_LATER and name.endswith(".incomplete"))]


# Where weights are taken from


def test_a_fresh_download_is_of_the_pinned_commit_and_then_costs_no_request(hub, entry):
    newer = hub.commit(REPO, {PATH: b"another file"})
    path = WeightsStore().get(entry)
    assert path.read_bytes() == CONTENT
    assert hub.asked(f"/{entry.home.revision}/") > 0
    assert hub.asked(newer) == hub.asked("/main/") == 0
    hub.requests.clear()
    assert WeightsStore().get(entry) == path
    assert hub.requests == []


def test_a_token_is_not_sent_to_where_files_are_stored(hub, entry, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    WeightsStore().get(entry)
    assert all(r.authorized for r in hub.requests if "resolve" in r.line)
    assert not any(r.authorized for r in hub.requests if "/cdn/" in r.line)


def test_folders_come_first_in_their_order(hub, entry, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / entry.file_name).write_bytes(CONTENT)
    store = WeightsStore((tmp_path / "absent", first, second))
    assert store.get(entry) == store.find(entry) == first / "microast-hub.safetensors"
    (first / entry.file_name).unlink()
    assert store.get(entry) == second / "microast-hub.safetensors"
    assert hub.requests == []


def test_another_file_under_the_name_of_an_entry_is_refused(entry, tmp_path):
    path = tmp_path / entry.file_name
    other = bytes(len(CONTENT))
    for content, problem in (
        (b"short", f"5 bytes instead of {len(CONTENT)}"),
        (other, f"SHA-256 {hashlib.sha256(other).hexdigest()[:12]}… instead of {DIGEST[:12]}…"),
    ):
        path.write_bytes(content)
        assert refusal(entry, WeightsStore([tmp_path])) == (
            f"weights file {path} is not what the manifest calls microast-hub ({problem}); "
            "remove it, or rename it and choose it by its new name"
        )
        assert path.read_bytes() == content


def test_weights_without_a_public_home(published, tmp_path):
    command = "urst weights convert decoder.pth --backbone microast -o microast-hub.safetensors"
    published.write(unpublished=True)
    raw = json.loads(published.manifest.read_text(encoding="utf-8"))
    for name in ("repo_id", "revision", "files"):
        del raw["weights"][0][name]
    raw["weights"][0]["conversion"] = {"command": command}
    published.manifest.write_text(json.dumps(raw), encoding="utf-8")
    [entry] = read_manifest(published.manifest)
    assert refusal(entry) == (
        "weights microast-hub have no public home yet; make them from the authors' files with "
        f"'{command}', or give a safetensors file as weights"
    )
    (tmp_path / entry.file_name).write_bytes(CONTENT)
    assert WeightsStore([tmp_path]).get(entry) == tmp_path / entry.file_name


def test_embedded_weights_need_no_download(hub):
    embedded = read_manifest(ROOT / "weights_manifest.json")[0]
    assert WeightsStore().get(embedded).read_bytes() == CONTENT
    assert WeightsStore().state(embedded)[0] == "embedded"
    assert hub.requests == []


def test_folder_of_the_surrounding_comfyui(tmp_path, monkeypatch):
    assert default_folders() == ()
    package = tmp_path / "custom_nodes" / "urst" / "urst_core"
    monkeypatch.setattr("urst_core.weights.store.PACKAGE", package)
    assert default_folders() == ()
    (tmp_path / "models" / "urst").mkdir(parents=True)
    assert default_folders() == (tmp_path / "models" / "urst",)


# Measured once


def test_a_file_is_hashed_once_until_it_changes(entry, monkeypatch):
    hashed: list[Path] = []

    def counting(path):
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr("urst_core.weights.store.sha256_of", counting)
    path = WeightsStore().get(entry)
    assert len(hashed) == 1
    WeightsStore().get(entry)
    assert len(hashed) == 1
    os.utime(path.resolve(), ns=(1, 1))
    WeightsStore().get(entry)
    assert len(hashed) == 2


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(hub, entry):
    path = WeightsStore().get(entry)
    path.resolve().write_bytes(bytes(len(CONTENT)))
    hub.requests.clear()
    assert WeightsStore().get(entry).read_bytes() == CONTENT
    assert hub.asked("GET /cdn/") == 1


def test_a_damaged_file_that_cannot_be_removed(entry, monkeypatch):
    path = WeightsStore().get(entry).resolve()
    path.write_bytes(b"broken")

    def refuse(*_args, **_options):
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert refusal(entry) == (
        f"weights file {path} is damaged, and cannot be removed from the hub's cache (not yours); "
        "remove it yourself, and try again"
    )


def test_records_that_are_damaged_or_cannot_be_written_only_cost_time(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    expected = hashlib.sha256(b"content").hexdigest()
    records = Records(tmp_path / "records")
    assert records.measured(path) == expected
    [record] = (tmp_path / "records").iterdir()
    for damage in ("", "[]", '{"state": 3}', '{"state": [0, 0], "measured": "x"}'):
        record.write_text(damage, encoding="utf-8")
        assert records.measured(path) == expected
    assert Records(path / "no folder").measured(path) == expected
    assert Records(None).measured(path) == expected
    with pytest.raises(WeightsError, match=r"gone cannot be read \(.+\); get it again"):
        records.measured(tmp_path / "gone")


@pytest.mark.skipif(os.name == "nt", reason="opens folders only on POSIX")
def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(
        WeightsError, match=r"cannot be read .*; check its permissions and the disk"
    ):
        sha256_of(tmp_path)


# Files that need conversion


@pytest.fixture
def to_convert(published):
    """Four files with MicroAST's published names inside, as authors store them."""
    state = load_file(ROOT / "urst_core" / "data" / EMBEDDED_FILES["microast"])
    files = {}
    for part in ("content_encoder", "style_encoder", "modulator", "decoder"):
        of_part = {k[len(part) + 1 :]: v for k, v in state.items() if k.startswith(f"{part}.")}
        files[f"{part}.safetensors"] = save(of_part)
    published.revision = published.hub.commit(REPO, files)
    described = [
        {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    ]
    conversion = {"command": "urst weights convert …", "fingerprint": fingerprint(state)}
    return lambda **changes: published.write(
        **({"files": described, "conversion": conversion} | changes)
    )


@pytest.mark.slow
@pytest.mark.parametrize("into_folder", [True, False])
def test_published_files_are_converted_once(hub, to_convert, tmp_path, into_folder):
    entry = to_convert()
    store = WeightsStore([tmp_path / "models"] if into_folder else ())
    path = store.get(entry)
    assert path.name == "microast-hub.safetensors"
    assert path.is_relative_to(tmp_path / "models") == into_folder
    assert load_backbone("microast", path).fingerprint == entry.fingerprint
    hub.requests.clear()
    first = path.read_bytes()
    assert store.get(entry) == path
    assert hub.requests == []
    path.unlink()
    assert store.get(entry).read_bytes() == first
    assert [other.name for other in path.parent.iterdir()] == [path.name]


@pytest.mark.slow
def test_a_conversion_with_another_result(to_convert, tmp_path):
    conversion = {"command": "urst weights convert …", "fingerprint": "0" * 64}
    entry = to_convert(conversion=conversion)
    message = refusal(entry, WeightsStore([tmp_path / "models"]))
    assert message.startswith(
        "the files of microast-hub were converted to something else than the manifest says "
        "(fingerprint "
    )
    assert message.endswith("… instead of 000000000000…); install a newer urst")
    assert not (tmp_path / "models").exists()


def test_a_converted_file_that_was_replaced(to_convert, tmp_path):
    entry = to_convert()
    state = load_file(ROOT / "urst_core" / "data" / EMBEDDED_FILES["microast"])
    save_file({name: value + 1 for name, value in state.items()}, tmp_path / entry.file_name)
    assert "is not what the manifest calls microast-hub (fingerprint " in refusal(
        entry, WeightsStore([tmp_path])
    )


@pytest.mark.slow
def test_a_folder_that_cannot_take_the_converted_file(to_convert, tmp_path):
    (tmp_path / "models").write_bytes(b"a file")
    with pytest.raises(OutputError) as caught:
        WeightsStore([tmp_path / "models"]).get(to_convert())
    place = tmp_path / "models" / "microast-hub.safetensors"
    assert str(caught.value).startswith(f"{place} cannot be written (")
    assert str(caught.value).endswith("); check the folder")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("converted", [True, False])
@pytest.mark.parametrize("harmful", [True, False])
def test_a_pickle_under_the_name_of_safetensors_is_never_opened(
    published, tmp_path, converted, harmful
):
    """Not even one whose hash is in the manifest, and not even for its tensors alone."""
    crater = tmp_path / "crater"
    stored = io.BytesIO()
    torch.save({"weight": Bomb(crater) if harmful else torch.zeros(2)}, stored)
    content = stored.getvalue()
    published.revision = published.hub.commit(REPO, {PATH: content})
    file = {"path": PATH, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    command = {"command": "urst weights convert …", "fingerprint": "0" * 64}
    published.write(files=[file], **({"conversion": command} if converted else {}))
    with pytest.raises(WeightsError, match="is a pickle, which can run any code when it is loaded"):
        load_backbone("microast-hub")
    assert not crater.exists()


# What the hub and the network may do


@retries
def test_a_broken_transfer_is_resumed(hub, entry, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.cut_bytes = [700_000, 500_000]
    assert WeightsStore().get(entry).read_bytes() == CONTENT
    ranges = [r.range for r in hub.requests if r.line.startswith("GET /cdn/")]
    assert ranges == [None, "bytes=700000-", "bytes=1200000-"]


@pytest.mark.skipif(not RESUMES_LATER, reason="this version resumes at once")
def test_a_broken_transfer_is_resumed_next_time(hub, entry, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.cut_bytes = [700_000]
    assert "check the network and try again" in refusal(entry)
    assert WeightsStore().get(entry).read_bytes() == CONTENT
    ranges = [r.range for r in hub.requests if r.line.startswith("GET /cdn/")]
    assert ranges == [None, "bytes=700000-"]


def test_a_transfer_that_never_ends_well(hub, entry):
    hub.cut_bytes = [1000] + [0] * 50
    message = refusal(entry)
    assert message.startswith(
        f"weights microast-hub could not be downloaded: the connection to {hub.url} failed ("
    )
    assert message.endswith("); check the network and try again")
    assert leftovers() == []


def test_a_wrong_file_is_refused_and_removed(hub, entry):
    other = bytes(len(CONTENT))
    hub.served[DIGEST] = other
    measured = hashlib.sha256(other).hexdigest()
    for _ in range(2):
        assert refusal(entry) == (
            f"{PATH} of {REPO} is not what the manifest says (SHA-256 {measured[:12]}… instead of "
            f"{DIGEST[:12]}…) and was removed; try again, and if it stays so, install a newer urst"
        )
        assert leftovers() == []
    hub.served.clear()
    assert WeightsStore().get(entry).read_bytes() == CONTENT


def test_a_file_whose_size_differs_from_the_hub(hub, entry):
    hub.served[DIGEST] = CONTENT[:1000]
    message = refusal(entry)
    assert message.startswith("weights microast-hub could not be downloaded: it came incomplete (")
    assert message.endswith("); try again")
    assert leftovers() == []


def test_a_file_whose_size_differs_from_the_manifest(published):
    files = [{"path": PATH, "bytes": 7, "sha256": DIGEST}]
    message = refusal(published.write(files=files))
    assert f"is not what the manifest says ({len(CONTENT)} bytes instead of 7)" in message
    assert leftovers() == []


LOG_IN = "log in with 'hf auth login' (or set HF_TOKEN)"
NEWER = "install a newer urst, whose manifest names another"
REFUSALS = {
    "no such commit": (
        {"revision": "1" * 40},
        f"there is no {REPO} at commit 111111111111; {NEWER}",
    ),
    "no such file": (
        {"files": [{"path": "gone.safetensors", "bytes": 1, "sha256": "0" * 64}]},
        f"there is no gone.safetensors in {REPO} at commit {{revision}}; {NEWER}",
    ),
    "private, or not there": (
        {"repo_id": "owner/private"},
        f"repository owner/private does not exist or is private; where it is yours, {LOG_IN}",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_missing_files(published, name):
    changes, said = REFUSALS[name]
    said = said.replace("{revision}", published.revision[:12])
    message = refusal(published.write(**changes))
    assert message == f"weights microast-hub could not be downloaded: {said}"


STATUSES = {
    401: f"the hub does not accept your token (401); {LOG_IN} again",
    403: f"the hub forbids it (403); {LOG_IN} with a token that may read {REPO}",
    429: f"the hub allows no more requests for now (429); wait some minutes, or {LOG_IN}",
    500: "the hub has a problem of its own (500); try again later",
    503: "the hub has a problem of its own (503); try again later",
}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["HEAD .*resolve", "GET /cdn/"])
@pytest.mark.parametrize("status", STATUSES)
def test_refusals_of_the_hub(hub, entry, status, where):
    said = {"X_Error_Message": "Invalid credentials in Authorization header"}
    hub.fail(where, status, **(said if status == 401 else {}))
    message = refusal(entry)
    assert message == f"weights microast-hub could not be downloaded: {STATUSES[status]}"
    assert leftovers() == []


@retries
@pytest.mark.parametrize("status", [429, 500])
def test_temporary_failures_are_retried(hub, entry, status):
    hub.fail("HEAD .*resolve", status, times=2, Retry_After="1")
    assert WeightsStore().get(entry).read_bytes() == CONTENT
    assert hub.asked("HEAD .*resolve") == 3


def test_a_gated_repository(hub, entry, monkeypatch):
    hub.gated.add(REPO)
    assert refusal(entry) == (
        f"weights microast-hub could not be downloaded: repository {REPO} is gated; accept its "
        f"terms on its page, {LOG_IN}, and try again"
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert WeightsStore().get(entry).read_bytes() == CONTENT


@pytest.mark.slow
def test_server_without_answer(entry, hub):
    hub.stop()
    message = refusal(entry)
    assert message.startswith(
        f"weights microast-hub could not be downloaded: the connection to {hub.url} failed ("
    )
    assert message.endswith("); check the network and try again")


@pytest.mark.slow
def test_no_answer_in_time(hub, entry, monkeypatch):
    hub.hanging = threading.Event()
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    message = refusal(entry)
    assert message.startswith(
        f"weights microast-hub could not be downloaded: {hub.url} did not answer in time ("
    )
    assert message.endswith("); check the network and try again")
    assert leftovers() == []


def test_a_proxy_that_answers_with_pages_of_its_own(hub, entry):
    hub.fail("HEAD .*resolve", 200)
    assert "check the network and try again" in refusal(entry)


def test_offline(hub, entry, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal(entry) == (
        "weights microast-hub are not on this machine, and HF_HUB_OFFLINE forbids to download "
        "them; unset it, or put the file there as models/urst/microast-hub.safetensors"
    )
    assert hub.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    path = WeightsStore().get(entry)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert WeightsStore().get(entry) == path
    path.resolve().write_bytes(b"broken")
    assert refusal(entry) == (
        "weights microast-hub are damaged in the hub's cache (6 bytes instead of "
        f"{len(CONTENT)}), and HF_HUB_OFFLINE forbids to download them again; unset it"
    )
    assert hub.requests == []


def test_too_little_space_is_reported_before_the_download(hub, entry, monkeypatch):
    free = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr("urst_core.weights.hub.shutil.disk_usage", lambda _: free)
    assert refusal(entry) == (
        f"weights microast-hub take 2.7 MB, 1.0 MB are free in {constants.HF_HUB_CACHE}; free "
        "some, or set HF_HOME to a folder on another disk"
    )
    assert hub.requests == []


def test_disk_fills_up_during_a_download(entry, monkeypatch):
    from huggingface_hub import file_download  # noqa: PLC0415

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    assert refusal(entry) == (
        f"weights microast-hub could not be downloaded: the disk of {constants.HF_HUB_CACHE} is "
        "full ([Errno 28] No space left on device); free some space"
    )
    assert leftovers() == []


def test_a_cache_that_cannot_be_written(entry, tmp_path):
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf" / "hub").write_bytes(b"a file where the folder should be")
    message = refusal(entry)
    assert message.startswith(
        f"weights microast-hub could not be downloaded: {constants.HF_HUB_CACHE} cannot be written "
        "to ("
    )
    assert message.endswith(
        "); set HF_HOME to a folder that can, or put the file there yourself as "
        "models/urst/microast-hub.safetensors"
    )


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="permissions hold nobody back there"
)
def test_a_read_only_cache(entry, tmp_path):
    (tmp_path / "hf").mkdir(mode=0o500)
    assert "cannot be written to (" in refusal(entry)


def test_without_huggingface_hub(entry, monkeypatch, tmp_path):
    monkeypatch.setattr("urst_core.weights.hub.importlib.util.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = refusal(entry)
    assert message.startswith("weights from the hub need huggingface_hub, which did not load (")
    assert message.endswith("); pip install huggingface_hub")
    assert WeightsStore().state(entry) == ("on the hub", None)
    (tmp_path / entry.file_name).write_bytes(CONTENT)
    assert WeightsStore([tmp_path]).get(entry) == tmp_path / entry.file_name


# Progress and cancel


def test_progress_ends_at_the_total(entry):
    seen: list[DownloadProgress] = []
    WeightsStore().get(entry, seen.append)
    assert seen[-1] == DownloadProgress("microast-hub", len(CONTENT), len(CONTENT))
    done = [progress.bytes_done for progress in seen]
    assert done == sorted(done)
    seen.clear()
    WeightsStore().get(entry, seen.append)
    assert seen == []


class CancelledError(BaseException):
    """Derived as far up as hosts do."""


@pytest.mark.slow
@pytest.mark.parametrize("error", [CancelledError, KeyboardInterrupt, ValueError])
def test_cancel_is_heard_while_the_network_hangs(hub, entry, error, monkeypatch):
    monkeypatch.setattr("urst_core.weights.hub.STOP_SECONDS", 0.01)
    hub.hanging = hanging = threading.Event()

    def cancel(_progress):
        if hub.asked("GET /cdn/"):
            raise error

    started = time.monotonic()
    with pytest.raises(error):
        WeightsStore().get(entry, cancel)
    assert time.monotonic() - started < 50  # and not the 60 s that the hub would hang
    # From here on the hub delivers, so that only a stopped transfer leaves nothing.
    hub.hanging = None
    hanging.set()
    for thread in threading.enumerate():
        if thread.name == "download of microast-hub":
            thread.join(60)
    assert leftovers() == []
    assert WeightsStore().get(entry).read_bytes() == CONTENT


# Loading by name


@pytest.mark.usefixtures("published")
def test_a_backbone_is_loaded_by_the_name_of_its_weights(microast):
    for arguments in (("microast", "microast-hub"), ("microast-hub",)):
        assert load_backbone(*arguments).fingerprint == microast.fingerprint
    assert load_backbone("microast", Path("microast-hub")).fingerprint == microast.fingerprint


@pytest.mark.usefixtures("published")
def test_weights_of_another_backbone_are_refused_before_the_download(hub):
    with pytest.raises(WeightsError) as caught:
        load_backbone("adain", "microast-hub")
    assert str(caught.value) == (
        "weights microast-hub are MicroAST's, not AdaIN's; choose backbone 'microast' or other "
        "weights"
    )
    assert hub.requests == []


@pytest.mark.usefixtures("published")
def test_a_name_that_is_in_no_manifest():
    for arguments in (("microast", "microast-hop"), ("microast-hop",)):
        with pytest.raises(WeightsError) as caught:
            load_backbone(*arguments)
        assert str(caught.value) == (
            "weights 'microast-hop' are not in the manifest; use one of: microast-hub"
        )


def test_a_backbone_without_embedded_weights_names_hub_weights(published):
    published.write(backbone="adain")
    with pytest.raises(WeightsError, match="no embedded weights; choose weights adain-hub, which "):
        load_backbone("adain")


def test_a_file_without_an_ending_goes_before_a_name(published, tmp_path, monkeypatch, microast):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "microast-hub").write_bytes(CONTENT)
    assert load_backbone("microast", "microast-hub").fingerprint == microast.fingerprint
    assert published.hub.requests == []


# The command line


def test_list_does_not_access_the_network(hub, published, capsys):
    entry = published.write()
    assert cli.main(["weights", "list"]) == 0
    printed = capsys.readouterr().out
    assert printed == (
        "microast-hub: MicroAST on the hub, 2.7 MB, MIT\n"
        f"  on the hub: {REPO} at {published.revision[:12]}\n"
    )
    assert hub.requests == []
    path = WeightsStore().get(entry)
    assert cli.main(["weights", "list"]) == 0
    assert f"  here: {path}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("published")
def test_get_and_path_print_the_path(capsys, tmp_path):
    assert cli.main(["weights", "path", "microast-hub"]) == 1
    assert capsys.readouterr().err == (
        "urst: weights microast-hub are not on this machine; 'urst weights get microast-hub' "
        "downloads them, or says what to do\n"
    )
    assert cli.main(["weights", "get", "microast-hub"]) == 0
    printed = capsys.readouterr()
    path = Path(printed.out.strip())
    assert path.read_bytes() == CONTENT
    assert "microast-hub" in printed.err
    assert cli.main(["weights", "path", "microast-hub"]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    (tmp_path / path.name).write_bytes(CONTENT)
    assert cli.main(["weights", "path", "microast-hub", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / path.name}\n"


@pytest.mark.slow
@pytest.mark.usefixtures("published")
def test_stylize_takes_a_name(tmp_path, capsys):
    """In both places, with a bar for the download."""
    save_picture(tmp_path / "content.png", stored_picture((40, 48)))
    arguments = ["stylize", str(tmp_path / "content.png"), str(tmp_path / "content.png")]
    results = []
    for number, options in enumerate(
        (["--weights", "microast-hub"], ["--backbone", "microast-hub"])
    ):
        output = tmp_path / f"{number}.png"
        options += ["--output", str(output), "--device", "cpu"]
        assert cli.main([*arguments, *options]) == 0
        assert ("microast-hub: 100%" in capsys.readouterr().err) == (number == 0)
        results.append(load_picture(output))
    assert torch.equal(*results)


@pytest.mark.usefixtures("published")
def test_quiet_get(capfd):
    assert cli.main(["weights", "get", "microast-hub", "--quiet"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("published")
def test_get_of_an_unknown_name(capsys):
    assert cli.main(["weights", "get", "stylegan"]) == 1
    assert capsys.readouterr().err == (
        "urst: weights 'stylegan' are not in the manifest; use one of: microast-hub\n"
    )


def test_verify_measures_again(published, capsys):
    path = WeightsStore().get(published.write())
    assert cli.main(["weights", "verify"]) == 0
    assert capsys.readouterr().out == f"microast-hub: as published ({path})\n"
    status = path.stat()
    path.resolve().write_bytes(bytes(len(CONTENT)))
    os.utime(path.resolve(), ns=(status.st_atime_ns, status.st_mtime_ns))
    assert WeightsStore().get(published.write()) == path
    assert cli.main(["weights", "verify"]) == 1
    printed = capsys.readouterr()
    assert f"… instead of {DIGEST[:12]}… ({path})\n" in printed.out
    assert printed.err == (
        f"urst: {path} is not as published; remove, and get again with 'urst weights get'\n"
    )


def test_verify_continues_after_an_unreadable_file(to_convert, published, tmp_path, capsys):
    raw = to_convert()
    content = json.loads(published.manifest.read_text(encoding="utf-8"))
    content["weights"].append(content["weights"][0] | {"variant": "second"})
    published.manifest.write_text(json.dumps(content), encoding="utf-8")
    for entry in read_manifest(published.manifest):
        (tmp_path / entry.file_name).write_bytes(b"garbage")
    assert raw.file_name == "microast-hub.safetensors"
    assert cli.main(["weights", "verify", "--folder", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("is not a readable safetensors file") == 2
    assert "microast-hub.safetensors, " in printed.err
    assert "are not as published" in printed.err


@pytest.mark.slow
def test_two_processes_from_a_mirror_and_one_offline(hub, published, tmp_path):
    """Real processes, with the settings that users have: environment variables."""
    script = (
        "import sys; from pathlib import Path; from urst_core.cli import main as cli; "
        "from urst_core.weights import manifest; "
        f"manifest.manifest_path = lambda: Path({str(published.manifest)!r}); "
        "sys.exit(cli.main(['weights', 'get', 'microast-hub', '--quiet']))"
    )
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
        "HF_ASSETS_CACHE": str(tmp_path / "hf" / "assets"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPATH": str(ROOT),
    }

    def start(*, offline: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment | {"HF_HUB_OFFLINE": offline, "TRANSFORMERS_OFFLINE": offline},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # This process is the other of the two; the hub answers neither before both have asked.
    hub.together = 2
    process = start(offline="0")
    path = WeightsStore().get(published.write())
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output.strip()) == (0, str(path)), errors
    assert path.read_bytes() == CONTENT
    assert hub.asked("HEAD .*resolve") == 2
    hub.requests.clear()
    process = start(offline="1")
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output.strip()) == (0, str(path)), errors
    assert hub.requests == []


def test_names_of_entries():
    entry = WeightsEntry("linear_r31", "default", "", "", "", "", "")
    assert (entry.name, entry.file_name) == ("linear_r31-default", "linear_r31-default.safetensors")
    assert replace(entry, variant="b").name == "linear_r31-b"


def test_download_error_is_a_weights_error():
    assert issubclass(DownloadError, WeightsError)
