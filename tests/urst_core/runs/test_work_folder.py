"""Work folders: foreign files are never followed, changed or removed; damage is noticed."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from damage import flip_bit
from examples import save_picture, stored_picture

from urst_core.errors import OutputError
from urst_core.formats.registry import format_of
from urst_core.runs.file_run import FileRun
from urst_core.runs.journal import finished_cores
from urst_core.runs.work_folder import MARK, MARK_TEXT, WorkFolder
from urst_core.tiling.settings import IfInterrupted, Settings

WORK = ".out.png.urst"
REMEDIES = "; move it away, or choose another name"


class Stop(BaseException):
    """Ends a run."""


@pytest.fixture
def a_run(tmp_path, microast):
    save_picture(tmp_path / "content.png", stored_picture((64, 72)))
    save_picture(tmp_path / "style.png", stored_picture((48, 40), seed=3))
    settings = Settings(strokes="fine", thumbnail_size=48, tile_size=32, device="cpu")
    return FileRun(
        tmp_path / "content.png",
        [str(tmp_path / "style.png")],
        tmp_path / "out.png",
        microast,
        settings,
    )


@pytest.fixture
def interrupted(a_run):
    def listen(progress):
        if progress.tiles_done >= 3:
            raise Stop

    with pytest.raises(Stop):
        a_run.run(listen)
    return a_run


def everything(folder: Path) -> dict[str, object]:
    """Names and contents below a folder, links as links."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def assert_refused(run: FileRun, why: str) -> None:
    """By every way to begin, and nothing is changed."""
    folder = run.output.parent
    before = everything(folder)
    for if_interrupted in IfInterrupted:
        with pytest.raises(OutputError) as caught:
            run.run(if_interrupted=if_interrupted)
        assert str(caught.value) == f"work folder {folder / WORK} {why}{REMEDIES}"
    assert everything(folder) == before


# Not ours


@pytest.fixture
def precious(tmp_path):
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis").write_bytes(b"years of work")
    return folder


def test_a_link_to_a_folder(a_run, precious):
    (precious.parent / WORK).symlink_to(precious)
    assert_refused(a_run, "is not a folder, or a link to one")


def test_a_link_to_a_work_folder(interrupted, tmp_path):
    (tmp_path / WORK).rename(tmp_path / "elsewhere")
    (tmp_path / WORK).symlink_to("elsewhere")
    assert_refused(interrupted, "is not a folder, or a link to one")


def test_a_file(a_run, tmp_path):
    (tmp_path / WORK).write_bytes(b"a file")
    assert_refused(a_run, "is not a folder, or a link to one")


def test_a_foreign_folder_is_refused(a_run, precious):
    precious.rename(precious.parent / WORK)
    assert_refused(a_run, "has thesis, which no run put there")


def test_a_folder_with_names_like_ours(a_run, tmp_path):
    (tmp_path / WORK).mkdir()
    (tmp_path / WORK / "journal.txt").write_bytes(b"dear diary")
    assert_refused(a_run, f"has no file {MARK}")
    (tmp_path / WORK / MARK).write_bytes(b"no mark of ours")
    assert_refused(a_run, f"has a file {MARK} that is not ours")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["thesis", ".DS_Store", "run.json.bak", "sub"])
def test_foreign_things_in_a_work_folder(interrupted, tmp_path, name):
    place = tmp_path / WORK / name
    if name == "sub":
        place.mkdir()
        (place / "thesis").write_bytes(b"years of work")
    else:
        place.write_bytes(b"years of work")
    assert_refused(interrupted, f"has {name}, which no run put there")


NAMES = ["journal.txt", "run.json", "stats.safetensors", "pixels.tif", "lock", MARK]


@pytest.mark.parametrize("name", [*NAMES, "reserve", ".a.1.partial"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_in_a_work_folder(interrupted, precious, name, link):
    place = precious.parent / WORK / name
    if name in NAMES:
        # Of the right content, so that it is the link that is refused.
        shutil.move(place, precious / name)
    else:
        (precious / name).write_bytes(b"years of work")
    link(precious / name, place)
    assert_refused(interrupted, f"has {name}, which is a link")


def test_a_link_to_a_folder_in_a_work_folder(interrupted, precious):
    (precious.parent / WORK / ".out.1-0123456789abcdef.partial.dzi").symlink_to(precious)
    why = "has .out.1-0123456789abcdef.partial.dzi, which is a link"
    assert_refused(interrupted, why)


@pytest.mark.parametrize("name", ["thesis", "0_0.jpg"])
def test_foreign_things_in_an_unfinished_folder(interrupted, precious, name):
    """A picture of DeepZoom is a folder, and is removed with all that is in it."""
    unfinished = ".out.1-0123456789abcdef.partial.dzi"
    folder = precious.parent / WORK / unfinished
    folder.mkdir()
    if name == "thesis":
        shutil.move(precious / name, folder / name)
    else:
        (folder / name).symlink_to(precious / "thesis")
    assert_refused(interrupted, f"has {name} in {unfinished}, which no run put there")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="gives a folder away")
def test_a_folder_of_another_user(interrupted, tmp_path):
    os.chown(tmp_path / WORK, 12345, 12345)
    assert_refused(interrupted, "belongs to another user")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users as these")
def test_a_file_system_that_gives_everything_to_one_user(interrupted, monkeypatch):
    """As those of Docker on a Mac or NFS do: our own folder seems to be another's."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    interrupted.run(if_interrupted=IfInterrupted.RESUME)
    assert interrupted.output.exists()


def test_files_that_appear_during_a_run_are_kept(a_run, tmp_path):
    def somebody_writes(progress):
        if progress.tiles_done == 3:
            (tmp_path / WORK / "thesis").write_bytes(b"years of work")

    a_run.run(somebody_writes)
    assert a_run.output.exists()
    assert (tmp_path / WORK / "thesis").read_bytes() == b"years of work"


# Ours


@pytest.mark.slow
@pytest.mark.parametrize("left", [[], [f".{MARK}.7.partial"], [MARK], [MARK, "lock"]])
def test_files_of_a_run_killed_at_the_start(a_run, tmp_path, left):
    (tmp_path / WORK).mkdir()
    for name in left:
        (tmp_path / WORK / name).write_bytes(MARK_TEXT if name == MARK else b"")
    a_run.run()
    assert a_run.output.exists()
    assert not (tmp_path / WORK).exists()


def test_files_of_a_run_killed_while_encoding(interrupted, tmp_path):
    (tmp_path / WORK / ".out.7-0123456789abcdef.partial.png").write_bytes(b"half a picture")
    (tmp_path / WORK / ".run.json.7.partial").write_bytes(b"half a record")
    tiles = tmp_path / WORK / ".out.8-0123456789abcdef.partial.dzi" / "picture_files"
    tiles.mkdir(parents=True)
    (tiles / "0_0.jpg").write_bytes(b"a tile")
    interrupted.run(if_interrupted=IfInterrupted.RESUME)
    assert not (tmp_path / WORK).exists()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".dzi", ".zarr"])
def test_a_real_result_that_is_a_folder_halfway(a_run, tmp_path, ending, monkeypatch):
    """As a kill leaves it: nothing is removed when the run ends, and the next one does it."""
    run = replace(a_run, output=tmp_path / f"out{ending}")
    with monkeypatch.context() as context:
        kind = type(format_of(run.output))
        context.setattr(kind, "remove", lambda *_: None)
        context.setattr(kind, "publish", interrupt)
        with pytest.raises(Stop):
            run.run()
    [partial] = (tmp_path / f".out{ending}.urst").glob(f".*.partial{ending}")
    assert len(list(partial.rglob("*"))) > 3
    run.run(if_interrupted=IfInterrupted.RESUME)
    assert run.output.exists()
    assert not (tmp_path / f".out{ending}.urst").exists()


def interrupt(*_arguments):
    raise Stop


# Damaged


@pytest.mark.slow
def test_flipped_bits(a_run, interrupted, tmp_path):
    """In any file that a resumed run trusts: it refuses and says what to do, or does it right."""
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / WORK, kept)
    interrupted.run(if_interrupted=IfInterrupted.RESUME)
    expected = a_run.output.read_bytes()
    chance = random.Random(14)
    refused = 0
    for _ in range(30):
        name = chance.choice(["run.json", "stats.safetensors", "pixels.tif", "journal.txt"])
        a_run.output.unlink(missing_ok=True)
        shutil.rmtree(tmp_path / WORK, ignore_errors=True)
        shutil.copytree(kept, tmp_path / WORK)
        flip_bit(tmp_path / WORK / name, chance)
        refusal = refusal_of(a_run)
        if refusal is None:
            assert a_run.output.read_bytes() == expected, name
        else:
            refused += 1
            assert str(refusal).endswith("pass if_interrupted='restart'")
            assert not a_run.output.exists()
    # All of the record and the statistics, and some of the pixels' header.
    assert 7 <= refused <= 23


def refusal_of(run: FileRun) -> OutputError | None:
    try:
        run.run(if_interrupted=IfInterrupted.RESUME)
    except OutputError as error:
        return error
    return None


@pytest.mark.slow
def test_a_core_with_a_flipped_bit_is_computed_again(interrupted):
    """And nothing else except unfinished tiles."""
    work = WorkFolder(interrupted.output)
    finished = finished_cores(work.journal)
    content = bytearray(work.pixels.read_bytes())
    content[len(content) - 64 * 72 * 3] ^= 1  # the first pixel
    work.pixels.write_bytes(content)
    done = []
    interrupted.run(lambda p: done.append(p.tiles_done), if_interrupted=IfInterrupted.RESUME)
    assert done[0] == len(finished) - 1
