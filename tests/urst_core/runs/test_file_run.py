"""From file to file: interrupted runs resume to the same bytes; other runs are refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import pytest
import torch
from examples import load_picture, save_picture, stored_picture

import urst_core
from urst_core.cli import main as cli
from urst_core.errors import OutputError, URSTError
from urst_core.formats.open import ImageFile, open_picture
from urst_core.formats.work_file import WorkFile
from urst_core.geometry import Rectangle
from urst_core.method.pipeline import stylize
from urst_core.method.strokes import level_sizes
from urst_core.method.style_saving import make_saved_style
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.source import TensorCanvas
from urst_core.runs import identities
from urst_core.runs.file_run import FileRun
from urst_core.runs.mask_file import MaskFile
from urst_core.runs.work_folder import Interruption, WorkFolder
from urst_core.tiling.settings import IfInterrupted, Settings

SIZE = (40, 104)
ROOT = Path(urst_core.__file__).parents[1]


class Stop(BaseException):
    """As ComfyUI's cancel may be: not an Exception."""


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "content.png", stored_picture(SIZE))
    save_picture(tmp_path / "style.png", stored_picture((72, 80), seed=3))
    return tmp_path


@pytest.fixture
def a_run(folder, microast):
    """Makes a run in the folder, of tiny tiles."""

    def make(output="out.png", content="content.png", styles=("style.png",), **options):
        names = {
            "tile_size",
            "stats",
            "strength",
            "thumbnail_size",
            "precision",
            "style_size",
            "strokes",
        }
        chosen = {name: options.pop(name) for name in names & options.keys()}
        fixed = {"thumbnail_size": 64, "tile_size": 32, "device": "cpu", "strokes": "fine"}
        settings = Settings(**{**fixed, **chosen})
        styles = [str(folder / style) for style in styles]
        options = {"backbone": microast, "settings": settings, **options}
        return FileRun(folder / content, styles, folder / output, **options)

    return make


@pytest.fixture
def threads():
    """Their number may be changed in the test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def stop_at(tiles: int, stage: str = "tiles"):
    """A listener that ends the run after some tiles of a stage."""

    def listen(progress):
        if progress.stage == stage and progress.tiles_done >= tiles:
            raise Stop

    return listen


def names(folder) -> set[str]:
    return set(os.listdir(folder)) - {"content.png", "style.png"}


# Interrupted and resumed


@pytest.mark.parametrize(
    ("stats", "channels", "dtype", "tiles"),
    [
        ("thumbnail", 3, torch.uint8, 1),
        ("thumbnail", 4, torch.uint16, 7),
        pytest.param("exact", 3, torch.uint8, 7, marks=pytest.mark.slow),
        pytest.param("exact", 4, torch.uint16, 1, marks=pytest.mark.slow),
    ],
)
def test_interrupted_after_some_tiles_and_resumed(folder, a_run, stats, channels, dtype, tiles):
    save_picture(folder / "content.png", stored_picture(SIZE, dtype, channels=channels))
    a_run("whole.png", stats=stats).run()
    run = a_run(stats=stats)
    with pytest.raises(Stop):
        run.run(stop_at(tiles))
    assert names(folder) == {"whole.png", ".out.png.urst"}
    done = []
    run.run(done.append, if_interrupted=IfInterrupted.RESUME)
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()
    assert names(folder) == {"whole.png", "out.png"}
    # Nothing is done twice, neither tiles nor statistics.
    assert done[0].stage == "tiles"
    assert done[0].tiles_done >= tiles
    assert sum(p.core is not None for p in done) == 8 - done[0].tiles_done


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
def test_resumed_with_another_number_of_threads(folder, a_run):
    """Sums over a plane are rounded differently by other threads; the run keeps its own."""
    save_picture(folder / "content.png", stored_picture((32, 64)))
    torch.set_num_threads(2)
    a_run("whole.png", stats="exact").run()
    run = a_run(stats="exact")
    with pytest.raises(Stop):
        run.run(stop_at(1, "statistics dec2"))
    torch.set_num_threads(1)
    run.run(if_interrupted=IfInterrupted.RESUME)
    assert torch.get_num_threads() == 1
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("site", ["dec1", "dec2"])
def test_interrupted_in_exact_statistics_and_resumed(folder, a_run, site):
    a_run("whole.png", stats="exact").run()
    run = a_run(stats="exact")
    with pytest.raises(Stop):
        run.run(stop_at(3, f"statistics {site}"))
    assert WorkFolder(run.output).interruption() == (Interruption(0, 1) if site == "dec2" else None)
    stages = []
    run.run(lambda progress: stages.append(progress.stage), if_interrupted=IfInterrupted.RESUME)
    assert ("statistics dec1" in stages) == (site == "dec1")
    assert "statistics dec2" in stages
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_interrupted_again_and_again(folder, a_run):
    a_run("whole.png").run()
    run, interruptions = a_run(), 0
    while not run.output.exists():
        left = [1]

        def listen(progress, left=left):
            left[0] -= progress.core is not None
            if left[0] < 0:
                raise Stop

        try:
            run.run(listen, if_interrupted=IfInterrupted.RESUME)
        except Stop:
            interruptions += 1
    assert 3 <= interruptions <= 7
    assert run.output.read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_interrupted_while_encoding_and_resumed(folder, a_run, monkeypatch):
    a_run("whole.png").run()
    run = a_run()
    with pytest.raises(Stop):
        run.run(stop_at(0, "encoding"))
    assert str(WorkFolder(run.output).interruption()) == "100% of its tiles done"

    def never(*_arguments, **_options):
        raise AssertionError("a tile was computed again")

    monkeypatch.setattr(TileNetwork, "forward", never)
    run.run(if_interrupted=IfInterrupted.RESUME)
    assert run.output.read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_automatic_choices_are_kept_from_the_first_run(folder, a_run, monkeypatch):
    """Memory is another one when the run goes on; the tiles are not."""
    run = a_run(tile_size=None, stats="exact")
    with monkeypatch.context() as context:
        context.setattr("urst_core.method.run.choose_tile_size", lambda *_, **__: 32)
        a_run("whole.png", tile_size=None, stats="exact").run()
        with pytest.raises(Stop):
            run.run(stop_at(3, "statistics dec2"))
        with pytest.raises(Stop):
            run.run(stop_at(3), if_interrupted=IfInterrupted.RESUME)
    sizes = set()
    run.run(lambda p: p.core and sizes.add(max(p.core.size)), if_interrupted=IfInterrupted.RESUME)
    assert max(sizes) == 32
    assert run.output.read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_tiles_that_were_halved_are_not_done_again(folder, a_run, monkeypatch):
    """Memory runs out at the third tile, and again in a quarter of it; then the run is ended."""
    forward = TileNetwork.forward

    def run_with_failures(run, listener=lambda _: None):
        calls = []

        def failing(network, window, **options):
            calls.append(window)
            if len(calls) in (3, 5):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(network, window, **options)

        with monkeypatch.context() as context:
            context.setattr(TileNetwork, "forward", failing)
            run.run(listener)

    run_with_failures(a_run("whole.png"))
    run = a_run()
    with pytest.raises(Stop):
        run_with_failures(run, stop_at(6))
    cores = []
    run.run(lambda p: cores.append(p.core), if_interrupted=IfInterrupted.RESUME)
    assert max(max(core.size) for core in cores if core) <= 8
    assert run.output.read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_a_torn_last_line_costs_its_tile_only(folder, a_run):
    a_run("whole.png").run()
    run = a_run()
    with pytest.raises(Stop):
        run.run(stop_at(6))
    journal = WorkFolder(run.output).journal
    lines = journal.read_bytes()
    journal.write_bytes(lines[:-7])
    done = []
    run.run(lambda p: done.append(p.tiles_done), if_interrupted=IfInterrupted.RESUME)
    assert done[0] == lines.count(b"\n") - 1
    assert run.output.read_bytes() == (folder / "whole.png").read_bytes()


def test_a_run_without_finished_tiles_leaves_no_files(folder, a_run):
    with pytest.raises(Stop):
        a_run().run(stop_at(0))
    assert names(folder) == set()


def test_resume_starts_a_run_without_an_earlier_one(folder, a_run):
    a_run().run(if_interrupted=IfInterrupted.RESUME)
    assert names(folder) == {"out.png"}


@pytest.mark.slow
def test_restart_discards_finished_work(folder, a_run):
    a_run("whole.png", strength=0.5).run()
    run = a_run()
    with pytest.raises(Stop):
        run.run(stop_at(5))
    done = []
    a_run(strength=0.5).run(
        lambda p: done.append(p.tiles_done), if_interrupted=IfInterrupted.DISCARD
    )
    assert done[0] == 0
    assert run.output.read_bytes() == (folder / "whole.png").read_bytes()


def test_a_run_killed_before_its_first_tile_blocks_no_other(folder, a_run):
    run = a_run()
    work = WorkFolder(run.output)
    with work.locked():
        run._begin(work)
    assert names(folder) == {".out.png.urst"}
    run.run()
    assert names(folder) == {"out.png"}


@pytest.mark.slow
def test_a_resumed_run_may_still_overwrite(folder, a_run):
    (folder / "out.png").write_bytes(b"old")
    with pytest.raises(Stop):
        a_run(overwrite=True).run(stop_at(5))
    assert (folder / "out.png").read_bytes() == b"old"
    a_run().run(if_interrupted=IfInterrupted.RESUME)
    assert load_picture(folder / "out.png").shape == (3, *SIZE)


# Refused


def refusal(run: FileRun, **options) -> str:
    with pytest.raises(URSTError) as caught:
        run.run(**options)
    return str(caught.value)


@pytest.mark.slow
def test_a_new_run_does_not_discard_finished_work(folder, a_run):
    run = a_run(overwrite=True)
    with pytest.raises(Stop):
        run.run(stop_at(5))
    before = sorted(os.listdir(folder / ".out.png.urst"))
    message = refusal(run)
    found = re.fullmatch(
        re.escape(f"an earlier run for {run.output} was interrupted with ")
        + r"(\d+)% of its tiles done; "
        + re.escape("pass if_interrupted='resume', or pass if_interrupted='restart'"),
        message,
    )
    # Five of eight, and those that were on their way to the file.
    assert found is not None, message
    assert 60 <= int(found[1]) <= 100
    assert sorted(os.listdir(folder / ".out.png.urst")) == before
    with pytest.raises(Stop):
        a_run("exact.png", stats="exact").run(stop_at(3, "statistics dec2"))
    assert "was interrupted with statistics of 1 sites done; pass" in refusal(a_run("exact.png"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"strength": 0.25}, "strength 1.0, not 0.25"),
        ({"thumbnail_size": 72}, "thumbnail size 64, not 72"),
        ({"style_size": 48}, "style size 1024, not 48"),
        ({"stats": "exact"}, "statistics thumbnail, not exact"),
        ({"tile_size": 64}, "tile size 32, not 64"),
        ({"precision": "bf16"}, "precision auto, not bf16"),
        ({"style_weights": [2.0]}, "style weights equal, not 2.0"),
        ({"styles": ["style.png", "style.png"]}, "style 2 none, not SHA-256 "),
        ({"content": "style.png"}, "picture 104 x 40 px, 3 channels, torch.uint8, not 80 x 72"),
        (
            {"strength": 0.5, "thumbnail_size": 0},
            "thumbnail size 64, not 0; strength 1.0, not 0.5",
        ),
    ],
    ids=str,
)
def test_a_different_run_does_not_resume(a_run, options, change):
    with pytest.raises(Stop):
        a_run().run(stop_at(5))
    message = refusal(a_run(**options), if_interrupted=IfInterrupted.RESUME)
    assert message.startswith("the interrupted run cannot be resumed, it had: ")
    assert change in message
    assert message.endswith("; use the same inputs and settings, or pass if_interrupted='restart'")
    a_run().run(if_interrupted=IfInterrupted.RESUME)


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["content.png", "style.png"])
def test_a_picture_that_was_replaced(folder, a_run, changed):
    with pytest.raises(Stop):
        a_run().run(stop_at(5))
    pixels = load_picture(folder / changed)
    pixels[0, 0, 0] ^= 1
    save_picture(folder / changed, pixels)
    name = "content" if changed == "content.png" else "style 1"
    assert f"it had: {name} SHA-256 " in refusal(a_run(), if_interrupted=IfInterrupted.RESUME)


@pytest.mark.slow
def test_style_files_resume_if_they_are_the_same(folder, a_run, microast):
    path = folder / "a.style.safetensors"
    make_saved_style([open_picture(folder / "style.png")], microast).save(path)
    run = a_run(styles=[path.name])
    with pytest.raises(Stop):
        run.run(stop_at(5))
    run.run(if_interrupted=IfInterrupted.RESUME)
    a_run("whole.png").run()
    assert torch.equal(load_picture(folder / "out.png"), load_picture(folder / "whole.png"))
    with pytest.raises(Stop):
        a_run("other.png", styles=[path.name]).run(stop_at(5))
    make_saved_style([open_picture(folder / "content.png")], microast).save(path)
    other = a_run("other.png", styles=[path.name])
    assert "it had: style 1 SHA-256 " in refusal(other, if_interrupted=IfInterrupted.RESUME)


def test_other_weights_and_versions(a_run, random_backbones, monkeypatch):
    with pytest.raises(Stop):
        a_run().run(stop_at(5))
    other = random_backbones["microast"]
    assert "had: weights SHA-256 " in refusal(
        a_run(backbone=other), if_interrupted=IfInterrupted.RESUME
    )
    monkeypatch.setattr(identities, "__version__", "99.0")
    expected = f"had: urst {urst_core.__version__}, not 99.0; use the same"
    assert expected in refusal(a_run(), if_interrupted=IfInterrupted.RESUME)


@pytest.mark.slow
def test_automatic_choices_may_be_given_explicitly(folder, a_run):
    a_run("whole.png").run()
    with pytest.raises(Stop):
        a_run().run(stop_at(5))
    a_run(tile_size=None, precision="fp32").run(if_interrupted=IfInterrupted.RESUME)
    # The pixels, not the files: these say what was chosen.
    assert torch.equal(load_picture(folder / "out.png"), load_picture(folder / "whole.png"))


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 99}', b"\xff\xfe"])
def test_a_record_that_cannot_be_read(a_run, content):
    run = a_run()
    with pytest.raises(Stop):
        run.run(stop_at(5))
    record = WorkFolder(run.output).path / "run.json"
    record.write_bytes(content)
    for if_interrupted in (IfInterrupted.REFUSE, IfInterrupted.RESUME):
        message = refusal(run, if_interrupted=if_interrupted)
        assert message.startswith(f"{record} is not readable as the record of a run (")
        assert message.endswith("); pass if_interrupted='restart'")
    run.run(if_interrupted=IfInterrupted.DISCARD)
    assert run.output.exists()


@pytest.mark.slow
def test_two_runs_at_once(folder, a_run):
    """The second one is refused, whatever it wants, and the first one does not notice."""
    a_run("whole.png").run()
    refusals = []

    def run_beside(progress):
        if progress.tiles_done == 3:
            refusals.extend(refusal(a_run(), if_interrupted=choice) for choice in IfInterrupted)

    a_run().run(run_beside)
    message = f"another run is making {folder / 'out.png'}; wait for it, or choose another name"
    assert refusals == [message] * 3
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_a_file_that_appears_meanwhile_is_not_replaced(folder, a_run):
    def another_tool_writes(progress):
        if progress.tiles_done == 3:
            (folder / "out.png").write_bytes(b"precious")

    with pytest.raises(OutputError, match="exists; choose another name, or pass overwrite=True"):
        a_run().run(another_tool_writes)
    assert (folder / "out.png").read_bytes() == b"precious"
    a_run(overwrite=True).run(if_interrupted=IfInterrupted.RESUME)
    assert load_picture(folder / "out.png").shape == (3, *SIZE)


def test_a_work_folder_that_cannot_be_made(folder, a_run, monkeypatch):
    def fail(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", fail)
    message = refusal(a_run())
    assert message.startswith(f"work folder {folder / '.out.png.urst'} cannot be created (")
    assert message.endswith("); choose another folder or name")


def test_without_the_library_of_locks(a_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert refusal(a_run()).endswith("); pip install filelock")


@pytest.mark.slow
@pytest.mark.parametrize("is_stopped", [False, True])
def test_pictures_are_closed_after_a_run(folder, a_run, monkeypatch, is_stopped):
    closed = []
    monkeypatch.setattr(ImageFile, "close", lambda picture: closed.append(picture.path.name))
    save_picture(folder / "clear.png", stored_picture((72, 80), channels=4))
    save_picture(folder / "mask.png", stored_picture(SIZE, channels=1))
    run = a_run(styles=("style.png", "clear.png"), mask=MaskFile(folder / "mask.png"))
    if is_stopped:
        with pytest.raises(Stop):
            run.run(stop_at(2))
    else:
        run.run()
    assert closed == ["content.png", "style.png", "clear.png", "mask.png"]
    run.run(if_interrupted=IfInterrupted.RESUME) if is_stopped else None
    assert run.source.read(Rectangle(0, 0, 1, 1)).shape == (3, 1, 1)


def test_the_lock_is_free_after_a_run(folder, a_run):
    with pytest.raises(Stop):
        a_run().run(stop_at(5))
    with filelock.FileLock(folder / ".out.png.urst" / "lock", timeout=0):
        pass


# A failing disk


@pytest.mark.slow
def test_a_full_disk_while_tiles_are_written(folder, a_run, monkeypatch):
    """What the system refuses is not in the journal; when there is room the run goes on."""
    a_run("whole.png").run()
    write, count = WorkFile.write, []

    def full(work, rectangle, pixels):
        count.append(rectangle)
        if len(count) > 6:
            raise OutputError("the disk is full")
        write(work, rectangle, pixels)

    with monkeypatch.context() as context:
        context.setattr(WorkFile, "write", full)
        assert refusal(a_run()) == "the disk is full"
    assert names(folder) == {"whole.png", ".out.png.urst"}
    done = []
    a_run().run(lambda p: done.append(p.tiles_done), if_interrupted=IfInterrupted.RESUME)
    assert done[0] == 6
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["journal.txt", ".run.json.*", ".stats.safetensors.*"])
def test_a_full_disk_while_notes_are_written(folder, a_run, monkeypatch, name):
    flush = os.fsync

    def full(number):
        paths = (folder / ".out.png.urst").glob(name)
        if any(os.path.samestat(os.fstat(number), path.stat()) for path in paths):
            raise OSError(28, "No space left on device")
        flush(number)

    monkeypatch.setattr(os, "fsync", full)
    message = refusal(a_run())
    assert message.startswith("writing ")
    assert message.endswith(" failed ([Errno 28] No space left on device); free disk space")


def tiny_disk(folder: Path, kilobytes: int) -> Path:
    """A mounted file system of that size; skips where that is not allowed."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs rights that this user has not")
    return disk


@pytest.mark.slow
def test_a_disk_that_is_really_full(folder, a_run, monkeypatch):
    """The forecast is blinded, as if another program had taken the room after it."""
    save_picture(folder / "content.png", stored_picture((72, 104)))
    a_run("whole.png").run()
    disk = tiny_disk(folder, 152)
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes(48 * 1024))
        run = replace(a_run(), output=disk / "out.png")
        message = refusal(run)
        assert message.startswith("the result may take 2.1 MB with its work file, 0.1 MB are free")
        assert message.endswith(f"in {disk}; free some or choose another folder")
        with monkeypatch.context() as context:
            context.setattr("urst_core.runs.plan.Plan.check", lambda *_, **__: None)
            message = refusal(run)
        assert "[Errno 28] No space left on device" in message
        assert message.endswith("free disk space")
        assert WorkFolder(run.output).interruption() is not None
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        run.run(if_interrupted=IfInterrupted.RESUME)
        assert run.output.read_bytes() == (folder / "whole.png").read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# Killed


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_killed_and_resumed(folder, a_run, monkeypatch):
    """A real process gets SIGKILL wherever it is; benchmarks/kill_resume.py does it more often."""
    a_run("whole.png", stats="exact").run()
    monkeypatch.chdir(folder)
    arguments = [
        *("stylize", "content.png", "style.png", "-o", "out.png", "--resume", "--quiet"),
        *("--tile-size", "32", "--thumbnail-size", "64", "--stats", "exact"),
        *("--device", "cpu", "--strokes", "fine"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-m", "urst_core", *arguments], env=environment)
        deadline = time.monotonic() + 300
        while not (folder / ".out.png.urst" / "run.json").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(float(torch.rand((), generator=generator)) * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # The last kill may have come when the result was there and its work folder gone.
    assert cli.main(arguments) == 0 or not (folder / ".out.png.urst").exists()
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()
    assert names(folder) == {"whole.png", "out.png"}


# Larger strokes: a run in levels

LEVELS = {"strokes": "preview", "precision": "fp32"}


@pytest.mark.slow
def test_levels_in_files_equal_levels_in_memory(a_run, folder):
    in_files = a_run(**LEVELS)
    steps = []
    in_files.run(steps.append)
    canvas = TensorCanvas(in_files.source.size, dtype=in_files.source.dtype)
    stylize(in_files.source, in_files.style_sources, canvas, in_files.backbone, in_files.settings)
    result = open_picture(folder / "out.png")
    assert torch.equal(result.read(Rectangle.of_size(result.size)), canvas.pixels)
    sizes = level_sizes(in_files.source.size, in_files.settings)
    assert len(sizes) > 1
    assert {step.frame for step in steps if step.core is not None} == {*sizes[:-1], None}
    assert {step.stage for step in steps} == {"tiles", "encoding"}
    plan = a_run(output="other.png", **LEVELS).plan()
    assert plan.levels == len(sizes)
    fine = a_run(output="other.png").plan()
    between = sum(2 * 3 * 2 * height * width for height, width in sizes[:-1])
    between += 2 * 3 * 2 * sizes[0][0] * sizes[0][1]  # the thumbnail's floats are twice as long
    assert plan.work_bytes - fine.work_bytes == between
    assert plan.tiles == [step.tiles_done for step in steps if step.stage == "tiles"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("tiles", [1, 2, 5])
def test_an_interrupted_level_is_resumed(a_run, folder, tiles):
    a_run(output="whole.png", **LEVELS).run()
    with pytest.raises(Stop):
        a_run(**LEVELS).run(stop_at(tiles))
    with pytest.raises(OutputError, match=r"was interrupted with .*% of its tiles done"):
        a_run(**LEVELS).run()
    steps = []
    a_run(**LEVELS).run(steps.append, if_interrupted=IfInterrupted.RESUME)
    done = [step.tiles_done for step in steps if step.core is not None]
    # Tiles that were on their way when the run was stopped may be finished, too.
    assert tiles < done[0] <= tiles + 4
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()
    assert not (folder / ".out.png.urst").exists()


def test_other_strokes_are_another_run(a_run):
    with pytest.raises(Stop):
        a_run(**LEVELS).run(stop_at(2))
    other = a_run(**LEVELS | {"strokes": "fine"})
    with pytest.raises(OutputError, match="it had: strokes preview, not fine"):
        other.run(if_interrupted=IfInterrupted.RESUME)


@pytest.mark.slow
@pytest.mark.parametrize("stats", ["thumbnail", "exact"])
def test_a_run_in_levels_may_stop_at_any_stage(a_run, folder, stats):
    """While contents, thumbnails, statistics or tiles of any level are made, or the file."""
    settings = LEVELS | {"stats": stats, "tile_size": 64, "thumbnail_size": 32, "style_size": 32}
    events = []
    a_run(output="whole.png", **settings).run(events.append)
    assert len(level_sizes(a_run(**settings).source.size, Settings(thumbnail_size=32))) == 3
    # How often the encoder reports depends on the time it takes.
    encoding = [progress.stage for progress in events].index("encoding")
    assert encoding > 8
    for last in [*range(0, encoding, 5), encoding]:
        seen = []

        def stop(progress, seen=seen, last=last):
            seen.append(progress)
            if len(seen) > last:
                raise Stop

        with pytest.raises(Stop):
            a_run(**settings).run(stop)
        a_run(overwrite=True, **settings).run(if_interrupted=IfInterrupted.RESUME)
        assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()
        (folder / "out.png").unlink()
