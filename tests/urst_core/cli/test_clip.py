"""urst stylize of a video."""

from __future__ import annotations

import pytest
from clips import moving_frames, save_clip, sound_of
from examples import save_picture, stored_picture

from urst_core.cli import main as cli


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_clip(tmp_path / "clip.mp4", moving_frames(2))
    save_picture(tmp_path / "monet.png", stored_picture((40, 40), seed=2))
    return lambda content, output, *more: cli.main(
        ["stylize", content, "monet.png", "--device", "cpu", "-o", output, *more]
    )


def test_a_video_is_painted_with_its_sound(run, tmp_path, capsys):
    assert run("clip.mp4", "painted.mkv") == 0
    output, bars = capsys.readouterr()
    assert "painted.mkv: 2 frames of 64 x 48 px in" in output
    assert "s a frame" in output
    assert "frame 1/2" in bars
    assert sound_of(tmp_path / "painted.mkv") == sound_of(tmp_path / "clip.mp4")
    assert cli.main(["describe", "painted.mkv"]) == 0
    assert "microast" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "output", "more", "message"),
    [
        ("clip.mp4", "out.mp4", ["--crop", "9x9"], "--crop 9x9 does not work with videos"),
        ("clip.mp4", "out.mp4", ["--mask", "monet.png"], "--mask monet.png does not work with"),
        ("clip.mp4", "out.png", [], "out.png: videos are written as .mp4, .mkv, .mov"),
        ("monet.png", "out.mp4", [], "out.mp4 is a video, and monet.png is not; give both"),
        ("s3://bucket/clip.mp4", "out.mp4", [], "is a URL; videos are read and written as local"),
    ],
)
def test_what_does_not_work_with_videos_is_refused(
    run, tmp_path, capsys, content, output, more, message
):
    assert run(content, output, *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / output).exists()


@pytest.mark.usefixtures("run")
def test_a_video_has_no_plan(capsys):
    assert cli.main(["plan", "clip.mp4", "monet.png"]) == 1
    assert "clip.mp4 is a video, and plans are made for pictures" in capsys.readouterr().err
