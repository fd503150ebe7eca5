"""Files that survive a crash whole, and whose damage is noticed."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path

import pytest
import torch
from damage import flip_bit
from safetensors.torch import save_file

from urst_core.durable import (
    partial_path,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
    write_whole,
)
from urst_core.identity import differences


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_failures_after_writing_keep_the_file_before(tmp_path, monkeypatch, function):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*_arguments):
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(*((os, "fsync") if function == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="the disk fails"):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_write_whole_replaces(tmp_path):
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_under_the_unfinished_name_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"years of work")
    partial_path(tmp_path / "file").symlink_to(precious)
    write_whole(tmp_path / "file", b"new")
    assert precious.read_bytes() == b"years of work"
    assert sorted(os.listdir(tmp_path)) == ["file", "precious"]


@pytest.mark.skipif(os.name == "nt", reason="Windows flushes no folders")
def test_bytes_and_then_the_name_are_flushed(tmp_path, monkeypatch):
    fsync, flushed = os.fsync, []

    def noting(number):
        flushed.append((os.fstat(number).st_ino, (tmp_path / "file").exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", noting)
    write_whole(tmp_path / "file", b"new")
    assert flushed == [
        ((tmp_path / "file").stat().st_ino, False),
        (tmp_path.stat().st_ino, True),
    ]


# With a digest


def test_json_comes_back(tmp_path):
    values = {"a": [1, 2], "b": {"c": None, "d": 0.1}}
    write_json(tmp_path / "file", values)
    assert read_json(tmp_path / "file") == values


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[]", "not what urst writes"),
        (b"{}", "changed after it was written"),
        (b'{"a": 1, "sha256": "0"}', "changed after it was written"),
        (b"", "Expecting value"),
        (b"\xff", "codec can't decode"),
    ],
)
def test_json_of_others(tmp_path, content, why):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_json(tmp_path / "file")


TENSORS = {
    "matrix": torch.arange(6.0).reshape(2, 3),
    "number": torch.tensor(7),
    "half": torch.ones(3, dtype=torch.float16),
    "empty": torch.zeros(0, 4),
    "turned": torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
}


def test_tensors_come_back(tmp_path):
    write_tensors(tmp_path / "file", TENSORS, {"b": 1, "a": {"c": 0.1}})
    facts, tensors = read_tensors(tmp_path / "file")
    assert facts == {"b": 1, "a": {"c": 0.1}}
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert torch.equal(tensors[name], value)
        assert tensors[name].dtype == value.dtype


def test_the_same_values_give_the_same_bytes(tmp_path):
    contents = set()
    for facts in ({"a": 1, "b": 2}, {"b": 2, "a": 1}) * 4:
        write_tensors(tmp_path / "file", dict(sorted(TENSORS.items())), facts)
        contents.add((tmp_path / "file").read_bytes())
        write_tensors(tmp_path / "file", TENSORS, facts)
        contents.add((tmp_path / "file").read_bytes())
    assert len(contents) == 1


def test_tensors_of_others(tmp_path):
    path = tmp_path / "file"
    for header in (None, {"format": "pt"}):
        save_file({"a": torch.zeros(1)}, path, header)
        with pytest.raises(ValueError, match="without the header that urst writes"):
            read_tensors(path)
    save_file({"a": torch.zeros(1)}, path, {"urst": json.dumps({"backbone": "adain"})})
    with pytest.raises(ValueError, match="changed after it was written"):
        read_tensors(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["json", "tensors"])
def test_every_flipped_bit_is_noticed(tmp_path, kind):
    path, chance = tmp_path / "file", random.Random(3)
    if kind == "json":
        write_json(path, {"a": [1, 2], "b": "c"})
    else:
        write_tensors(path, TENSORS, {"a": 1})
    whole, noticed = path.read_bytes(), 0
    for _ in range(200):
        path.write_bytes(whole)
        flip_bit(path, chance)
        try:
            if kind == "json":
                same = read_json(path) == {"a": [1, 2], "b": "c"}
            else:
                facts, tensors = read_tensors(path)
                same = facts == {"a": 1}
                same &= all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
            assert same
        except ValueError:
            noticed += 1
    # But for blanks that became other blanks.
    assert noticed >= 190


# What must be the same


def test_differences():
    earlier = {"seed": "0", "content": "SHA-256 " + "0" * 64, "old": "1"}
    now = {"seed": "1", "content": "SHA-256 " + "f" * 64, "new": "2"}
    assert differences(earlier, earlier) == []
    assert differences(earlier, now) == [
        "seed 0, not 1",
        "content SHA-256 000000000000, not SHA-256 ffffffffffff",
        "old 1, not none",
        "new none, not 2",
    ]
