"""From video to video: interrupted runs resume to the same bytes; memory does not grow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from clips import moving_frames, save_clip, seconds_of, sound_of
from examples import save_picture, stored_picture

import urst_core
from urst_core.cli import main as cli
from urst_core.errors import OutputError, URSTError
from urst_core.formats.clip import Clip
from urst_core.formats.output_options import OutputOptions
from urst_core.runs import clip_run
from urst_core.runs.clip_run import FRAMES_STAGE, ClipRun
from urst_core.runs.description import read_description
from urst_core.runs.work_folder import WorkFolder
from urst_core.tiling.settings import IfInterrupted, Settings

ROOT = Path(urst_core.__file__).parents[1]


class Stop(BaseException):
    """As ComfyUI's cancel may be: not an Exception."""


@pytest.fixture
def a_run(tmp_path, microast, monkeypatch):
    """Makes a run of a clip of seven frames, in segments of two."""
    monkeypatch.setattr(clip_run, "SEGMENT_FRAMES", 2)
    monkeypatch.setattr(clip_run, "SAMPLE_FRAMES", 2)
    save_clip(tmp_path / "clip.mp4", moving_frames(7), times=[0, 5, 8, 13, 16, 21, 30])
    save_picture(tmp_path / "style.png", stored_picture((40, 40), seed=3))

    def make(output="out.mp4", **options):
        names = {"strokes", "strength", "stats", "thumbnail_size"}
        chosen = {name: options.pop(name) for name in names & options.keys()}
        settings = Settings(**{"strokes": "fine", "device": "cpu", "style_size": 40, **chosen})
        content = options.pop("content", tmp_path / "clip.mp4")
        style = str(tmp_path / "style.png")
        return ClipRun(content, [style], tmp_path / output, microast, settings, **options)

    return make


def stop_at(frame, stage=FRAMES_STAGE):
    def listen(progress):
        if progress.stage == stage and progress.tiles_done >= frame:
            raise Stop

    return listen


def refusal(run, **options):
    with pytest.raises(URSTError) as caught:
        run.run(**options)
    return str(caught.value)


def test_result_has_the_clips_frames_times_and_sound(a_run, tmp_path):
    run = a_run()
    stages = []
    run.run(lambda progress: stages.append((progress.stage, progress.pixels_done)))
    result = Clip.open(tmp_path / "out.mp4")
    assert (result.size, result.count) == ((48, 64), 7)
    assert seconds_of(tmp_path / "out.mp4") == seconds_of(tmp_path / "clip.mp4")
    assert sound_of(tmp_path / "out.mp4") == sound_of(tmp_path / "clip.mp4")
    assert list(dict.fromkeys(stage for stage, _ in stages)) == [
        *("sample", "statistics", "frames", "joining"),
    ]
    for name in ("frames", "joining"):
        done = [pixels for stage, pixels in stages if stage == name]
        assert done == sorted(done)
        assert done[-1] == 7 * 48 * 64
    assert not WorkFolder(tmp_path / "out.mp4").path.exists()
    assert read_description(tmp_path / "out.mp4").backbone == "microast"


@pytest.mark.parametrize(
    ("stage", "frame", "kept", "strokes"),
    [
        pytest.param("sample", 0, None, "fine", marks=pytest.mark.slow),
        ("frames", 1, None, "fine"),
        pytest.param("frames", 5, "57% of its frames done", 1.5, marks=pytest.mark.slow),
    ],
)
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(
    a_run, tmp_path, stage, frame, kept, strokes
):
    a_run("whole.mp4", strokes=strokes).run()
    run = a_run(strokes=strokes)
    with pytest.raises(Stop):
        run.run(stop_at(frame, stage))
    interruption = WorkFolder(run.output).interruption()
    assert (interruption and str(interruption)) == kept
    reports = []
    run.run(reports.append, if_interrupted=IfInterrupted.RESUME)
    assert run.output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    painted = [each.tiles_done for each in reports if each.stage == FRAMES_STAGE]
    assert min(painted) == (4 if kept else 0)
    skipped = [each.pixels_done for each in reports if each.stage == "skipping"]
    assert len(skipped) == (4 if kept else 0)


def test_stopped_while_segments_are_joined(a_run, tmp_path):
    a_run("whole.mp4").run()
    run = a_run()
    with pytest.raises(Stop):
        run.run(stop_at(0, "joining"))
    stages = set()
    run.run(lambda p: stages.add(p.stage), if_interrupted=IfInterrupted.RESUME)
    assert stages == {"joining"}
    assert run.output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_segments_whose_bytes_changed_are_painted_again(a_run, tmp_path):
    a_run("whole.mp4").run()
    run = a_run()
    with pytest.raises(Stop):
        run.run(stop_at(5))
    folder = WorkFolder(run.output).path
    damaged = sorted(folder.glob("segment-*"))[1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    run.run(if_interrupted=IfInterrupted.RESUME)
    assert run.output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_another_run_does_not_resume(a_run):
    with pytest.raises(Stop):
        a_run().run(stop_at(5))
    assert a_run().can_resume()
    assert not a_run(strength=0.5).can_resume()
    assert "was interrupted with 57% of its frames done" in refusal(a_run())
    message = refusal(a_run(strength=0.5), if_interrupted=IfInterrupted.RESUME)
    assert "it had: strength 1.0, not 0.5" in message
    better = a_run(options=OutputOptions(quality=95))
    assert "quality default, not 95" in refusal(better, if_interrupted=IfInterrupted.RESUME)
    a_run().discard_interrupted()
    assert not WorkFolder(a_run().output).path.exists()


def test_existing_results_and_the_clip_itself_are_kept(a_run, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"mine")
    assert "out.mp4 exists" in refusal(a_run())
    assert "is the content itself" in refusal(a_run("clip.mp4", overwrite=True))
    a_run(overwrite=True).run()
    assert Clip.open(tmp_path / "out.mp4").count == 7


def test_a_full_disk_is_told(a_run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("urst_core.runs.segments.publish", full)
    with pytest.raises(OutputError, match=r"No space left on device\); free disk space"):
        a_run().run()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_and_resumed_gives_the_same_bytes(tmp_path, monkeypatch):
    """A real process, in segments of four frames, after the first of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clip_run, "SEGMENT_FRAMES", 4)
    save_clip(tmp_path / "clip.mp4", moving_frames(60))
    save_picture(tmp_path / "style.png", stored_picture((40, 40), seed=3))
    arguments = ["stylize", "clip.mp4", "style.png", "--quiet", "--device", "cpu"]
    arguments += ["--thumbnail-size", "48", "--strokes", "fine", "-o"]
    assert cli.main([*arguments, "whole.mp4"]) == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    start = (
        "import sys; from urst_core.cli import main; from urst_core.runs import clip_run; "
        "clip_run.SEGMENT_FRAMES = 4; sys.exit(main.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", start, *arguments, "out.mp4"]
    process = subprocess.Popen(command, env=environment)
    folder = WorkFolder(tmp_path / "out.mp4").path
    while not list(folder.glob("segment-*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert cli.main([*arguments, "out.mp4", "--resume"]) == 0
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
