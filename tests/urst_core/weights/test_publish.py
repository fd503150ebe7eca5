"""Publishing: uploads, pinned commits, and errors that leave the manifest unchanged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_hub import TOKEN, sha256
from safetensors.torch import load_file, save_file

import urst_core
from urst_core.cli import main as cli
from urst_core.errors import DownloadError, OutputError, SettingsError, WeightsError
from urst_core.weights.loading import EMBEDDED_FILES
from urst_core.weights.manifest import find_entry, read_manifest
from urst_core.weights.publish import publish
from urst_core.weights.store import WeightsStore

pytest.importorskip("huggingface_hub")

ROOT = Path(urst_core.__file__).parents[1]
EMBEDDED = ROOT / "urst_core" / "data" / EMBEDDED_FILES["microast"]
REPO = "owner/urst-weights"
NAMES = ("microast-one", "microast-two")


def entry(variant: str, **changes: object) -> dict[str, object]:
    return {
        "backbone": "microast",
        "variant": variant,
        "title": f"MicroAST {variant}",
        "description": "For tests.",
        "license": "MIT",
        "paper": "arXiv:2211.15313",
        "source": "an author",
        "unpublished": True,
        "conversion": {"command": "urst weights convert decoder.pth"},
    } | changes


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    path = tmp_path / "weights_manifest.json"
    content = {"format": 1, "weights": [entry("one"), entry("two"), entry("three")]}
    path.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr("urst_core.weights.manifest.manifest_path", lambda: path)
    monkeypatch.setattr("urst_core.weights.publish.manifest_path", lambda: path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two files of different weights, named after entries; and a file that is not meant."""
    made = tmp_path / "weights"
    made.mkdir()
    state = load_file(EMBEDDED)
    for number, name in enumerate(NAMES):
        save_file(
            {key: value + number for key, value in state.items()}, made / f"{name}.safetensors"
        )
    (made / "notes.txt").write_text("not published")
    return made


@pytest.fixture
def logged_in(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture(autouse=True)
def nobody_else_answers(hub):
    """Every test has its own hub."""


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_published_files_are_pinned_and_come_back_the_same(hub, manifest, folder):
    published = publish(folder, REPO)
    assert published.revision == hub.heads[REPO]
    assert published.manifest == manifest
    for name in NAMES:
        found = find_entry(name, read_manifest(manifest))
        assert (found.home.repo_id, found.home.revision) == (REPO, hub.heads[REPO])
        content = (folder / f"{name}.safetensors").read_bytes()
        assert WeightsStore().get(found).read_bytes() == content
        assert found.files[0].sha256 == sha256(content)
    assert find_entry("microast-three", read_manifest(manifest)).home is None
    tree = hub.repos[REPO][published.revision]
    assert sorted(tree) == [".gitattributes", "README.md", *(f"{n}.safetensors" for n in NAMES)]
    assert hub.asked("PUT /lfs/") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_the_manifest_stays_one_that_its_schema_allows(manifest, folder):
    jsonschema = pytest.importorskip("jsonschema")
    publish(folder, REPO)
    schema = json.loads((ROOT / "weights_manifest.schema.json").read_text(encoding="utf-8"))
    content = json.loads(manifest.read_text(encoding="utf-8"))
    jsonschema.validate(content, schema)
    stored = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    assert manifest.read_text(encoding="utf-8") == stored
    assert sorted(p.name for p in manifest.parent.glob("*.json*")) == [manifest.name]


@pytest.mark.slow
@pytest.mark.usefixtures("manifest", "logged_in")
def test_publishing_again_does_not_change_the_repository(hub, folder):
    first = publish(folder, REPO)
    second = publish(folder, REPO)
    assert second == first
    assert hub.heads[REPO] == first.revision
    assert hub.asked("PUT /lfs/") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_publishing_again_pins_the_new_commit(hub, manifest, folder):
    first = publish(folder, REPO).revision
    state = load_file(EMBEDDED)
    save_file({key: value + 5 for key, value in state.items()}, folder / "microast-one.safetensors")
    second = publish(folder, REPO).revision
    assert second != first
    assert hub.asked("PUT /lfs/") == 3
    found = find_entry("microast-one", read_manifest(manifest))
    content = (folder / "microast-one.safetensors").read_bytes()
    assert WeightsStore().get(found).read_bytes() == content


@pytest.mark.slow
@pytest.mark.usefixtures("manifest", "logged_in")
def test_model_card_lists_its_files(hub, folder):
    revision = publish(folder, REPO).revision
    card = hub.repos[REPO][revision]["README.md"].decode()
    assert card.startswith("---\n")
    assert "\nlicense: mit\n" in card
    for name in NAMES:
        digest = sha256((folder / f"{name}.safetensors").read_bytes())
        assert f"## {name}\n" in card
        assert f"| SHA-256 | `{digest}` |" in card
    assert "| license | MIT |" in card
    assert "| original weights | an author |" in card
    assert "| made by | `urst weights convert decoder.pth` |" in card
    assert "microast-three" not in card


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_several_licenses_and_fixed_styles(hub, manifest, folder):
    weights = [entry("one", license="BSD-3-Clause", styles=["candy", "udnie"]), entry("two")]
    manifest.write_text(json.dumps({"format": 1, "weights": weights}), encoding="utf-8")
    revision = publish(folder, REPO).revision
    card = hub.repos[REPO][revision]["README.md"].decode()
    assert "\nlicense: other\n" in card
    assert "| license | BSD-3-Clause |" in card
    assert "| styles | candy, udnie |" in card


# What is refused, with the manifest as it was


@pytest.fixture
def refused(manifest, folder):
    def refuse(kind, *, repo_id=REPO) -> str:
        before = manifest.read_bytes()
        with pytest.raises(kind) as caught:
            publish(folder, repo_id)
        assert manifest.read_bytes() == before
        return str(caught.value)

    return refuse


UNWRITTEN = f"nothing was pinned, because {REPO} could not be published: "
WRITE = "log in with 'hf auth login' (or set HF_TOKEN) with a token that may write to 'owner'"


def test_without_a_login(hub, refused):
    assert refused(DownloadError) == (
        f"{UNWRITTEN}the hub does not let you write there (401); {WRITE}; then publish again"
    )
    assert REPO not in hub.repos


@pytest.mark.usefixtures("logged_in")
def test_a_token_that_may_not_write(hub, refused):
    hub.fail("POST .*preupload", 403)
    assert refused(DownloadError) == (
        f"{UNWRITTEN}the hub does not let you write there (403); {WRITE}; then publish again"
    )


@pytest.mark.slow
@pytest.mark.parametrize("where", ["/commit/", "/preupload/", "/batch", "/lfs/", "/verify"])
@pytest.mark.usefixtures("logged_in")
def test_a_hub_with_problems(hub, refused, where):
    hub.fail(f"(POST|PUT) .*{where}", 500)
    assert refused(DownloadError) == (
        f"{UNWRITTEN}the hub has a problem of its own (500); try again later; then publish again"
    )


@pytest.mark.usefixtures("logged_in")
def test_too_many_requests(hub, refused):
    hub.fail("POST /api/repos/create", 429)
    assert "(429); wait some minutes, or log in" in refused(DownloadError)


@pytest.mark.usefixtures("logged_in")
def test_server_without_answer(hub, refused):
    hub.stop()
    message = refused(DownloadError)
    assert message.startswith(f"{UNWRITTEN}the connection to {hub.url} failed (")
    assert message.endswith("); check the network and try again; then publish again")


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_a_hub_with_other_content(hub, refused, folder):
    digest = sha256((folder / "microast-two.safetensors").read_bytes())
    hub.served[digest] = b"something else"
    message = refused(DownloadError)
    assert message == (
        f"nothing was pinned, because {REPO} does not hold microast-two.safetensors as it is here "
        f"(commit {hub.heads[REPO][:12]}); publish again"
    )


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "owner/", "/name", "owner/na me", "o/-x"])
def test_names_that_are_no_repositories(hub, refused, repo_id):
    assert refused(SettingsError, repo_id=repo_id) == (
        f"repository {repo_id!r} is not a valid name on the hub; use OWNER/NAME, of "
        "letters, digits, '-', '_' and '.'"
    )
    assert hub.requests == []


@pytest.mark.usefixtures("hub")
def test_an_empty_folder(refused, folder):
    for path in folder.glob("*.safetensors"):
        path.unlink()
    assert refused(WeightsError) == (
        f"folder {folder} holds no .safetensors file; put what to publish there"
    )


def test_a_file_that_no_entry_describes(hub, refused, folder):
    (folder / "microast-two.safetensors").rename(folder / "microast-four.safetensors")
    assert refused(WeightsError) == (
        "weights 'microast-four' are not in the manifest; use one of: microast-one, microast-two, "
        "microast-three"
    )
    assert hub.requests == []


def test_a_file_that_does_not_load(hub, refused, folder):
    (folder / "microast-two.safetensors").write_bytes(b"garbage")
    assert "is not a readable safetensors file" in refused(WeightsError)
    assert hub.requests == []


def test_embedded_weights_need_no_home(refused, manifest, folder):
    content = EMBEDDED.read_bytes()
    file = {"path": "microast.safetensors", "bytes": len(content), "sha256": sha256(content)}
    embedded = entry("one", embedded=True, files=[file])
    del embedded["unpublished"]
    weights = [embedded, entry("two")]
    manifest.write_text(json.dumps({"format": 1, "weights": weights}), encoding="utf-8")
    assert refused(WeightsError) == (
        "weights microast-one are inside the package, and need no home on the hub; take "
        f"microast-one.safetensors out of {folder}"
    )


def test_a_manifest_that_cannot_be_written(hub, refused, manifest, monkeypatch):
    monkeypatch.setattr("urst_core.weights.publish.os.access", lambda *_: False)
    assert refused(OutputError) == (
        f"manifest {manifest} cannot be written; publish from a checkout, or name another with "
        "manifest"
    )
    assert hub.requests == []


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_a_manifest_that_fails_after_the_upload(hub, refused, manifest, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("urst_core.weights.publish.os.replace", full)
    assert refused(OutputError) == (
        f"{REPO} is published, but its commit {hub.heads[REPO]} could not be written into "
        f"{manifest} (No space left on device); publish again, which uploads nothing twice"
    )


# The command


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_command(hub, manifest, folder, capsys, tmp_path):
    other = tmp_path / "other.json"
    other.write_bytes(manifest.read_bytes())
    before = manifest.read_bytes()
    arguments = ["weights", "publish", str(folder), "--repo", REPO, "--manifest", str(other)]
    assert cli.main([*arguments, "--private"]) == 0
    lines = capsys.readouterr().out.splitlines()
    digest = sha256((folder / "microast-one.safetensors").read_bytes())
    assert lines[0] == f"microast-one: 2.7 MB, SHA-256 {digest}"
    assert lines[2] == f"{REPO} at {hub.heads[REPO]}, pinned in {other}"
    assert manifest.read_bytes() == before
    assert find_entry("microast-two", read_manifest(other)).home is not None


@pytest.mark.slow
@pytest.mark.usefixtures("logged_in")
def test_token_is_never_written(manifest, folder):
    publish(folder, REPO)
    assert TOKEN not in manifest.read_text(encoding="utf-8")
    assert os.environ["HF_TOKEN"] == TOKEN
