"""Video files: frames, times and sound, read and written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import moving_frames, save_clip, seconds_of, sound_of

from urst_core.errors import ImageError, OutputError
from urst_core.formats.clip import Clip
from urst_core.formats.clip_endings import is_clip
from urst_core.formats.clip_output import SegmentWriter, check_clip_output, join_segments
from urst_core.formats.output_options import OutputOptions

BEST = OutputOptions(quality=100)
UNEVEN = [0, 5, 8, 13, 16, 21, 30]


def write_again(clip, output, *, lengths=(3, 2, 2)):
    """Write a clip's frames in segments, and join them."""
    segments, frames = [], clip.frames()
    for index, length in enumerate(lengths):
        segments.append(output.with_name(f"{index}.nut"))
        with SegmentWriter(segments[-1], clip, BEST) as writer:
            for _ in range(length):
                writer.write(next(frames))
    join_segments(segments, clip, output, output, comment="painted")
    return Clip.open(output)


def mean_difference(first, second):
    pairs = list(zip(first.frames(), second.frames(), strict=True))
    differences = [a.pixels.float() - b.pixels.float() for a, b in pairs]
    return float(torch.stack(differences).abs().mean())


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_frames_times_and_sound_are_those_of_the_clip(tmp_path, ending):
    path = save_clip(tmp_path / "clip.mp4", moving_frames(7), times=UNEVEN)
    clip = Clip.open(path)
    again = write_again(clip, tmp_path / f"again{ending}")
    assert (again.size, again.count or 7, again.comment) == (clip.size, 7, "painted")
    assert sound_of(again.path) == sound_of(path) != []
    times, others = seconds_of(path), seconds_of(again.path)
    # Matroska has no negative times, with which this sound begins: it shifts everything.
    shift = others[0] - times[0]
    assert shift == 0 or (ending == ".mkv" and shift < 0.03)
    assert others == [time + shift for time in times]
    # Twice halved colors, at a quality at which nobody sees a difference.
    assert mean_difference(clip, again) < 2.5


@pytest.mark.parametrize("space", [1, 2, 5, 9])
def test_colors_are_kept_with_their_description(tmp_path, space):
    plain = [np.full((32, 32, 3), color, np.uint8) for color in ((230, 30, 40), (20, 200, 90))]
    clip = Clip.open(save_clip(tmp_path / "clip.mp4", plain, sound=None, space=space))
    again = write_again(clip, tmp_path / "again.mp4", lengths=(2,))
    assert again.colors == clip.colors
    assert again.colors.space == space
    for before, after in zip(clip.frames(), again.frames()):
        means = [frame.pixels.float().mean((1, 2)) for frame in (before, after)]
        # 8 bits in YUV are coarser than in RGB.
        assert (means[0] - means[1]).abs().max() <= 3


def test_odd_sizes_are_kept(tmp_path):
    clip = Clip.open(save_clip(tmp_path / "clip.mp4", moving_frames(2), sound=None))
    frames = [next(clip.frames())]
    odd = Clip(clip.path, (47, 63), 1, clip.rate, clip.time_base, clip.colors)
    with SegmentWriter(tmp_path / "odd.nut", odd, BEST) as writer:
        writer.write(type(frames[0])(frames[0].pixels[:, :47, :63], 0, 0))
    join_segments([tmp_path / "odd.nut"], odd, tmp_path / "odd.mp4", tmp_path / "odd.mp4")
    assert Clip.open(tmp_path / "odd.mp4").size == (47, 63)


def test_frames_are_turned_upright(tmp_path):
    pytest.importorskip("av", "17.1", reason="older PyAV writes no rotations")
    frames = moving_frames(1)
    plain = Clip.open(save_clip(tmp_path / "plain.mp4", frames, sound=None))
    turned = Clip.open(save_clip(tmp_path / "turned.mp4", frames, sound=None, rotation=90))
    assert turned.size == (64, 48)
    pixels = [next(clip.frames()).pixels for clip in (plain, turned)]
    assert torch.equal(pixels[0].rot90(1, (1, 2)), pixels[1])


def test_frames_from_a_number_on_and_a_sample(tmp_path):
    clip = Clip.open(save_clip(tmp_path / "clip.mp4", moving_frames(9), sound=None))
    every = [frame.pixels for frame in clip.frames()]
    assert [f.time for f in clip.frames(first=7)] == [f.time for f in clip.frames()][7:]
    sample = list(clip.sample(3))
    assert all(torch.equal(a, every[number]) for a, number in zip(sample, (1, 4, 7), strict=True))
    assert len(list(clip.sample(50))) == 9


def test_what_is_no_clip_is_refused(tmp_path):
    sound = save_clip(tmp_path / "sound.mp4", moving_frames(9), pictures=False)
    (tmp_path / "text.mp4").write_text("a text")
    cases = {
        sound: "has no video, only audio",
        tmp_path / "text.mp4": "text.mp4 cannot be read",
        tmp_path / "none.mp4": "none.mp4 cannot be read",
    }
    for path, message in cases.items():
        with pytest.raises(ImageError, match=message):
            Clip.open(path)
    assert is_clip(Path("a.MP4"))
    assert not is_clip(Path("a.png"))


def test_frames_of_another_size_are_refused(tmp_path):
    clip = Clip.open(save_clip(tmp_path / "clip.mp4", moving_frames(2), sound=None))
    other = Clip(clip.path, (40, 64), 2, clip.rate, clip.time_base, clip.colors)
    with pytest.raises(
        ImageError, match=r"frame 0 of clip .* is 64 x 48 px, the first one 64 x 40"
    ):
        next(other.frames())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.png", OutputOptions(), r"out.png: videos are written as .mp4, .mkv, .mov; choose"),
        ("out.mp4", OutputOptions(compression="zstd"), "videos take no choice of compression"),
        ("out.mp4", OutputOptions(quality=0), "quality 0 is out of range"),
        ("out.mp4", OutputOptions(), r"cannot hold the sound of .* \(pcm_u8\); name a .mkv file"),
    ],
)
def test_results_that_cannot_be_written_are_refused(tmp_path, name, options, message):
    clip = Clip.open(save_clip(tmp_path / "clip.mkv", moving_frames(2), sound="pcm_u8"))
    with pytest.raises(OutputError, match=message):
        check_clip_output(clip, tmp_path / name, options)
    check_clip_output(clip, tmp_path / "out.mkv", BEST)


def test_without_pyav_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match=r"read and written with PyAV.*; pip install av"):
        Clip.open(tmp_path / "clip.mp4")


def test_an_old_pyav_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("av.__version__", "14.2.0")
    with pytest.raises(
        ImageError, match=r"PyAV 14.2.0 is too old .* need 15 or newer; pip install"
    ):
        Clip.open(tmp_path / "clip.mp4")
