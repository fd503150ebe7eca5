"""This repository's manifest agrees with its schema and with the files."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from urst_core.backbones import DEFAULT_BACKBONE
from urst_core.weights.loading import EMBEDDED_FILES
from urst_core.weights.manifest import manifest_path, read_manifest

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "weights_manifest.json"
CONTENT = json.loads(MANIFEST.read_text(encoding="utf-8"))
ENTRIES = CONTENT["weights"]
PUBLISHED = {
    "backbone": "adain",
    "variant": "default",
    "title": "AdaIN",
    "description": "A test.",
    "license": "MIT",
    "paper": "arXiv:1703.06868",
    "source": "a test",
    "repo_id": "owner/name",
    "revision": "0" * 40,
    "files": [{"path": "adain.safetensors", "bytes": 1, "sha256": "0" * 64}],
}


@pytest.fixture(scope="module")
def schema():
    """The validator of the schema beside the manifest."""
    jsonschema = pytest.importorskip("jsonschema")
    content = json.loads((ROOT / "weights_manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def test_manifest_matches_its_schema(schema):
    assert [error.message for error in schema.iter_errors(CONTENT)] == []
    assert schema.is_valid({"format": 1, "weights": [PUBLISHED]})


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "main"},
        {"revision": "0" * 12},
        {"repo_id": "no_owner"},
        {"embedded": True},
        {"unpublished": True},
        {"license": ""},
        {"paper": "CVPR 2017"},
        {"description": "x" * 121},
        {"files": []},
        {"files": [{**PUBLISHED["files"][0], "path": "adain.pth"}]},
        {"files": [{**PUBLISHED["files"][0], "path": "../adain.safetensors"}]},
        {"files": [{**PUBLISHED["files"][0], "sha256": "0" * 40}]},
        {"files": [{"path": "adain.safetensors"}]},
        {"downloads": 7},
    ],
    ids=str,
)
def test_the_schema_refuses(schema, change):
    assert not schema.is_valid({"format": 1, "weights": [PUBLISHED | change]})


@pytest.mark.parametrize("name", ["backbone", "title", "license", "paper", "source", "revision"])
def test_schema_requires_all_fields(schema, name):
    entry = {key: value for key, value in PUBLISHED.items() if key != name}
    assert not schema.is_valid({"format": 1, "weights": [entry]})


def test_engine_reads_the_manifest():
    assert manifest_path() == MANIFEST
    entries = read_manifest()
    assert [entry.name for entry in entries] == [
        f"{raw['backbone']}-{raw['variant']}" for raw in ENTRIES
    ]
    for entry, raw in zip(entries, ENTRIES):
        assert entry.embedded == ("embedded" in raw)
        assert (entry.home is None) == ("repo_id" not in raw)
        assert (entry.title, entry.license) == (raw["title"], raw["license"])
        assert entry.size_bytes == sum(file["bytes"] for file in raw.get("files", []))


def test_the_first_entry_is_the_embedded_default():
    assert read_manifest()[0].embedded
    assert ENTRIES[0]["backbone"] == DEFAULT_BACKBONE


def test_it_is_stored_as_publishing_stores_it():
    stored = json.dumps(CONTENT, indent=2, ensure_ascii=False) + "\n"
    assert MANIFEST.read_text(encoding="utf-8") == stored


def test_embedded_files_match_the_manifest():
    embedded = [entry for entry in ENTRIES if "embedded" in entry]
    listed = {entry["backbone"]: Path(entry["files"][0]["path"]).name for entry in embedded}
    assert listed == dict(EMBEDDED_FILES)
    for entry in embedded:
        [file] = entry["files"]
        content = (ROOT / file["path"]).read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_commands_name_the_originals_and_make_the_file_that_is_looked_for():
    for entry in ENTRIES:
        if "conversion" in entry:
            names = " ".join(original["name"] for original in entry["originals"])
            name = f"{entry['backbone']}-{entry['variant']}.safetensors"
            assert entry["conversion"]["command"] == (
                f"urst weights convert {names} --backbone {entry['backbone']} -o {name}"
            )


def test_licenses_match_the_backbones_or_are_stated():
    for entry in ENTRIES:
        assert re.fullmatch(r"MIT|Apache-2\.0|BSD-[23]-Clause", entry["license"])


@pytest.mark.slow
def test_an_installed_package_finds_it_too(tmp_path):
    """What the build puts beside the package is read from there."""
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", str(tmp_path)]
    command += ["build", "--build-base", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    [package] = tmp_path.rglob("urst_core")
    assert (package / "data" / MANIFEST.name).read_bytes() == MANIFEST.read_bytes()
    script = "from urst_core.weights.manifest import manifest_path, read_manifest as r; r()\n"
    script += "print(manifest_path())"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=package.parent,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert Path(result.stdout.strip()) == package / "data" / MANIFEST.name
