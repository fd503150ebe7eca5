"""Load Backbone with weights from the manifest: choices, downloads, cancelling, changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from pathlib import Path

import pytest
from fake_hub import sha256

pytest.importorskip("huggingface_hub")

REPO = "owner/urst-weights"
CHOICES = {"precision": "auto", "device": "auto"}


@pytest.fixture
def content(pack):
    return (
        Path(pack.__file__).parent / "urst_core" / "data" / "microast_default.safetensors"
    ).read_bytes()


@pytest.fixture
def manifest(hub, part, content, tmp_path, monkeypatch):
    """Names two weights, of which the hub holds one; the other has no home."""
    entry = {
        "backbone": "microast",
        "variant": "hub",
        "title": "MicroAST on the hub",
        "description": "For tests.",
        "license": "MIT",
        "paper": "arXiv:2211.15313",
        "source": "a test",
    }
    home = {
        "repo_id": REPO,
        "revision": hub.commit(REPO, {"a.safetensors": content}),
        "files": [{"path": "a.safetensors", "bytes": len(content), "sha256": sha256(content)}],
    }
    command = {"command": "urst weights convert decoder.pth"}
    homeless = {"variant": "homeless", "unpublished": True, "conversion": command}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": 1, "weights": [entry | home, entry | homeless]}))
    monkeypatch.setattr(part("urst_core.weights.manifest"), "manifest_path", lambda: path)
    return path


@pytest.fixture
def load(nodes):
    return nodes["URSTLoadBackbone"]


@pytest.fixture
def folder(host, tmp_path):
    """models/urst."""
    host.folder = tmp_path / "models"
    host.folder.mkdir()
    return host.folder


def offered(load) -> list[str]:
    return next(s for s in load.define_schema().inputs if s.id == "weights").values["options"]


def execute(load, weights="microast-hub", backbone="microast"):
    return load.execute(backbone=backbone, weights=weights, **CHOICES)[0].backbone


@pytest.mark.usefixtures("manifest")
def test_the_embedded_default_comes_first_then_the_hub_then_files(hub, load, folder):
    (folder / "mine.safetensors").write_bytes(b"1")
    assert offered(load) == ["built-in", "microast-hub", "mine.safetensors"]
    assert hub.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["{", '{"format": 1, "weights": [{}]}', None])
def test_a_broken_manifest_leaves_the_rest(load, manifest, caplog, damage, microast):
    if damage is None:
        manifest.unlink()
    else:
        manifest.write_text(damage)
    with caplog.at_level(logging.WARNING):
        assert offered(load) == ["built-in"]
    assert "cannot be used" in caplog.text
    assert execute(load, "built-in").fingerprint == microast.fingerprint
    assert load.fingerprint_inputs(weights="built-in") == "built-in"


@pytest.mark.usefixtures("manifest")
def test_weights_are_downloaded_when_the_graph_runs(hub, host, load, microast):
    assert execute(load).fingerprint == microast.fingerprint
    assert host.progress[-1][0] == host.progress[-1][1] > 1_000_000
    hub.requests.clear()
    host.progress.clear()
    assert execute(load).fingerprint == microast.fingerprint
    assert hub.requests == host.progress == []


@pytest.mark.usefixtures("manifest")
def test_a_file_in_the_folder_needs_no_network(hub, load, folder, content, microast):
    (folder / "microast-hub.safetensors").write_bytes(content)
    assert execute(load).fingerprint == microast.fingerprint
    assert hub.requests == []


@pytest.mark.slow
@pytest.mark.usefixtures("manifest")
def test_cancel_ends_the_download(hub, host, load, microast):
    hub.hanging = threading.Event()
    host.cancel_at = 3
    with pytest.raises(host.cancelled):
        execute(load)
    hub.hanging.set()
    hub.hanging = host.cancel_at = None
    assert execute(load).fingerprint == microast.fingerprint


@pytest.mark.usefixtures("manifest")
def test_weights_of_another_network(load, part):
    with pytest.raises(part("urst_core.errors").WeightsError, match="are MicroAST's, not AdaIN's"):
        execute(load, backbone="adain")
    with pytest.raises(part("urst_core.errors").WeightsError, match="no embedded weights"):
        execute(load, "built-in", backbone="adain")


@pytest.mark.slow
@pytest.mark.usefixtures("manifest")
def test_a_changed_file_reruns_the_node_and_a_download_does_not(load, folder, content, part):
    path = folder / "microast-hub.safetensors"
    before = load.fingerprint_inputs(weights="microast-hub")
    assert before == f"microast-hub:{hashlib.sha256(content).hexdigest()}"
    execute(load)
    assert load.fingerprint_inputs(weights="microast-hub") == before
    path.write_bytes(content)
    assert load.fingerprint_inputs(weights="microast-hub") == before
    execute(load)
    assert load.fingerprint_inputs(weights="microast-hub") == before
    path.write_bytes(bytes(len(content)))
    os.utime(path, (1, 1))
    changed = load.fingerprint_inputs(weights="microast-hub")
    assert changed != before
    with pytest.raises(part("urst_core.errors").WeightsError, match="is not what the manifest"):
        execute(load)
    assert load.fingerprint_inputs(weights="microast-hub") == changed


@pytest.mark.usefixtures("manifest")
def test_no_network_access_before_the_graph_runs(hub, load):
    load.define_schema()
    load.fingerprint_inputs(weights="microast-hub", backbone="microast", **CHOICES)
    assert hub.requests == []
