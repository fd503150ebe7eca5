"""The journal: complete lines survive, incomplete or damaged ones are ignored."""

from __future__ import annotations

import os
import zlib

import pytest

from urst_core.errors import OutputError
from urst_core.geometry import Rectangle
from urst_core.runs.journal import Journal, finished_cores

CORES = [Rectangle(0, left, 8, left + 8) for left in range(0, 48, 8)]


class Pixels:
    """Stands for the work file; each core's checksum is its left side."""

    def __init__(self, flush=lambda: None, damaged=()):
        self.flush, self.damaged = flush, damaged

    def take_checksum(self, core):
        return core.left

    def is_intact(self, core, checksum):
        assert checksum == core.left
        return core not in self.damaged


def written(path, cores=CORES, edges=()):
    journal = Journal(path, Pixels())
    for core in cores:
        journal.add_core(core)
    for edge in edges:
        journal.add_edge(edge)
    journal.save()
    journal.close()
    return path.read_bytes()


def test_cores_and_edges_come_back(tmp_path):
    path = tmp_path / "journal.txt"
    written(path, CORES[:3], [4])
    written(path, CORES[3:], [2])
    journal = Journal(path, Pixels())
    assert list(journal.cores) == CORES == finished_cores(path)
    assert journal.edges == [4, 2]
    journal.close()
    assert path.read_text().startswith("core 0 0 8 8 0 #")


def test_pixels_are_flushed_before_their_line_is_written(tmp_path):
    path, lengths = tmp_path / "journal.txt", []
    journal = Journal(path, Pixels(lambda: lengths.append(path.stat().st_size)))
    journal.add_core(CORES[0])
    journal.save()
    journal.add_core(CORES[1])
    journal.save()
    journal.save()
    journal.close()
    assert lengths == [0, path.stat().st_size // 2]


def test_lines_are_saved_every_two_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("urst_core.runs.journal.time.monotonic", lambda: now[0])
    path = tmp_path / "journal.txt"
    journal = Journal(path, Pixels())
    counts = []
    for core in CORES:
        now[0] += 0.9
        journal.add_core(core)
        counts.append(len(finished_cores(path)))
    journal.close()
    assert counts == [0, 0, 3, 3, 3, 6]


def test_every_way_to_tear_the_last_line(tmp_path):
    path = tmp_path / "journal.txt"
    whole = written(path)
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert finished_cores(path) == CORES[:-1]
        # What is written next stands on a line of its own.
        assert written(path, [CORES[-1]]) == whole


def line(text: bytes) -> bytes:
    """A line with a valid checksum, as no run writes it."""
    return b"%s #%08x\n" % (text, zlib.crc32(text))


ODD_LINES = [
    *(b"", b"core", b"core 0 0 9 9", b"core 0 0 9 9 x", b"core 0 0 9 9 -1", b"core 0 0 9 9 1 1"),
    *(b"core 9 0 9 9 0", b"core 0 9 9 9 0", b"edge", b"edge 0", b"edge -4", b"edge 1 2"),
    *(b"tile 0 0 9 9 0", b"core 0 0 9  9 0", b"edge " + b"9" * 5000),
]


@pytest.mark.parametrize(
    "damage",
    [b"\0" * 9, b"\xff", b"core 0 0 9 9 0 #00000000\n", b"\n", *map(line, ODD_LINES)],
)
def test_lines_after_a_damaged_one_are_ignored(tmp_path, damage):
    path = tmp_path / "journal.txt"
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], damage, *lines[2:]]))
    assert finished_cores(path) == CORES[:2]


def test_cores_whose_pixels_changed_do_not_count(tmp_path):
    path = tmp_path / "journal.txt"
    written(path)
    journal = Journal(path, Pixels(damaged=CORES[1:3]))
    assert list(journal.cores) == [CORES[0], *CORES[3:]]
    journal.close()


def test_no_cores_without_a_journal(tmp_path):
    assert finished_cores(tmp_path / "absent") == []


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "journal.txt"
    journal = Journal(path, Pixels())
    journal.add_core(CORES[0])
    journal.save()
    journal.add_core(CORES[1])

    def full(_number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(OutputError) as caught:
            journal.save()
    assert str(caught.value) == (
        f"writing journal {path} failed ([Errno 28] No space left on device); free disk space"
    )
    assert finished_cores(path) == CORES[:1]
    journal.save()
    journal.close()
    assert finished_cores(path) == CORES[:2]


def test_journals_that_cannot_be_opened(tmp_path):
    with pytest.raises(OutputError, match=r"journal .* cannot be opened \(.*\); free disk space"):
        Journal(tmp_path, Pixels())
    with pytest.raises(OutputError, match=r"cannot be read \(.*\); pass if_interrupted='restart'"):
        finished_cores(tmp_path)
