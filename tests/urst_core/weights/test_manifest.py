"""Errors of manifests that cannot be used."""

from __future__ import annotations

import json

import pytest

from urst_core.errors import WeightsError
from urst_core.weights.loading import load_backbone
from urst_core.weights.manifest import find_entry, read_manifest

FILE = {"path": "a.safetensors", "bytes": 3, "sha256": "a" * 64}
ENTRY = {
    "backbone": "adain",
    "variant": "default",
    "title": "AdaIN",
    "description": "A test.",
    "license": "MIT",
    "paper": "arXiv:1703.06868",
    "source": "a test",
    "repo_id": "owner/name",
    "revision": "0" * 40,
    "files": [FILE],
}
SEVERAL = [FILE, {**FILE, "path": "b.safetensors"}]


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in ENTRY.items() if key != name}


DAMAGED = {
    "not json": ("{", r"Expecting property name .*"),
    "a list": ("[]", r".*"),
    "no weights": ('{"format": 1}', "no 'weights'"),
    "a later format": ('{"format": 2}', "format 2 is unknown, 1 is meant"),
    "no title": (without("title"), "no 'title'"),
    "no files": (without("files"), "adain-default has files without a home, or a home without .*"),
    "no home": (without("repo_id"), "adain-default has files without a home, or a home without .*"),
    "a branch": (
        {**ENTRY, "revision": "main"},
        "revision 'main' of .* is not a full .*",
    ),
    "a variant": ({**ENTRY, "variant": "a-b"}, "variant 'a-b' is not of small letters, .*"),
    "a pickle": (
        {**ENTRY, "files": [{**FILE, "path": "a.pth"}]},
        "file 'a.pth' of adain-default is not a safetensors file of a repository",
    ),
    "a path that leaves the repository": (
        {**ENTRY, "files": [{**FILE, "path": "../a.safetensors"}]},
        "file '../a.safetensors' of adain-default is not a safetensors file of a repository",
    ),
    "a path with backslashes": (
        {**ENTRY, "files": [{**FILE, "path": "..\\a.safetensors"}]},
        r"file '..\\\\a.safetensors' of adain-default is not a safetensors file of a repository",
    ),
    "a path that is cut oddly": (
        {**ENTRY, "files": [{**FILE, "path": "b/./a.safetensors"}]},
        "file 'b/./a.safetensors' of adain-default is not a safetensors file of a repository",
    ),
    "a size that is no number": (
        {**ENTRY, "files": [{**FILE, "bytes": True}]},
        "size True is not a number of bytes",
    ),
    "a title that is no text": ({**ENTRY, "title": ["a"]}, r"\['a'\] is not a line of text"),
    "a NUL": ({**ENTRY, "title": "a\0"}, r"'a\\x00' is not a line of text"),
    "a repository without an owner": (
        {**ENTRY, "repo_id": "adain"},
        "repository 'adain' of adain-default is not OWNER/NAME",
    ),
    "a repository that leaves the hub": (
        {**ENTRY, "repo_id": "../adain"},
        "repository '../adain' of adain-default is not OWNER/NAME",
    ),
    "endless": ("[" * 100_000, "maximum recursion depth .*"),
    "no hash": (
        {**ENTRY, "files": [{**FILE, "sha256": "a"}]},
        "file 'a.safetensors' of adain-default has no size and SHA-256",
    ),
    "several files": (
        {**ENTRY, "files": SEVERAL},
        "adain-default has several files, but no fingerprint of what they make",
    ),
    "an unknown backbone": (
        {**ENTRY, "backbone": "stylegan"},
        "backbone 'stylegan' is unknown; use one of: .*",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(tmp_path, name):
    content, reason = DAMAGED[name]
    path = tmp_path / "manifest.json"
    if isinstance(content, dict):
        content = json.dumps({"format": 1, "weights": [content]})
    path.write_text(content, encoding="utf-8")
    with pytest.raises(
        WeightsError, match=rf"cannot be used \({reason}\); install urst again"
    ) as e:
        read_manifest(path)
    assert str(e.value).startswith(f"weights manifest {path} cannot be used (")


def test_one_name_twice(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": 1, "weights": [ENTRY, ENTRY]}), encoding="utf-8")
    with pytest.raises(WeightsError, match="adain-default is listed twice"):
        read_manifest(path)


def test_missing(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.json cannot be used \(.*No such file"):
        read_manifest(tmp_path / "none.json")


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(WeightsError, match="cannot be used"):
        read_manifest(path)


def test_unknown_name(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": 1, "weights": [ENTRY]}), encoding="utf-8")
    entries = read_manifest(path)
    assert find_entry("adain-default", entries).files[0].size_bytes == 3
    with pytest.raises(WeightsError) as caught:
        find_entry("adain", entries)
    assert str(caught.value) == (
        "weights 'adain' are not in the manifest; use one of: adain-default"
    )


def test_the_embedded_default_does_without_a_manifest(tmp_path, monkeypatch, microast):
    monkeypatch.setattr("urst_core.weights.manifest.manifest_path", lambda: tmp_path / "none.json")
    assert load_backbone().fingerprint == microast.fingerprint
