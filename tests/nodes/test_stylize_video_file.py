"""Stylize Video File with the stub: a whole video, resumed, and refused before any node runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from clips import moving_frames, save_clip, sound_of
from examples import picture

INPUTS = {
    "content": "clip.mp4",
    "thumbnail_size": 64,
    "style_size": 40,
    "strength": 1.0,
    "statistics": "thumbnail",
    "tile_size": 64,
    "output_name": "films/painted.mp4",
    "container": "mp4",
    "quality": 90,
    "resume": True,
    "overwrite": False,
    "strokes": 1.0,
}

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def stylize(call, backbone, base, part, monkeypatch):
    """Runs the node on a clip of five frames, in segments of two."""
    save_clip(base / "input" / "clip.mp4", moving_frames(5))
    monkeypatch.setattr(part("urst_core.runs.clip_run"), "SEGMENT_FRAMES", 2)
    style = picture((40, 40), seed=2).permute(1, 2, 0).unsqueeze(0)
    return lambda **inputs: call(
        "StylizeVideoFile", **({"backbone": backbone, "style": style, **INPUTS} | inputs)
    )


def test_a_video_is_painted_and_shown_with_its_sound(stylize, base, host, part, monkeypatch):
    monkeypatch.setattr(part("nodes.progress"), "SECONDS_BETWEEN_PREVIEWS", 0.0)
    output = stylize()
    path, video = output
    assert path == str(base / "output" / "films" / "painted_00001_.mp4")
    assert video == f"video {path}"
    file = {"filename": "painted_00001_.mp4", "subfolder": "films", "type": "output"}
    assert output.ui == {
        "images": [file],
        "animated": (True,),
        "files": [file],
        "text": ["films/painted_00001_.mp4"],
    }
    assert sound_of(Path(path)) == sound_of(base / "input" / "clip.mp4")
    shares = [value / total for value, total in host.progress]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    # Pages would take them for videos.
    assert host.previews == []


def test_a_cancelled_run_resumes_and_other_settings_start_another_file(stylize, base, host):
    whole = Path(stylize()[0]).read_bytes()
    steps = len(host.progress)
    host.progress.clear()
    host.cancel_at = steps - 6
    with pytest.raises(host.cancelled):
        stylize()
    host.cancel_at = None
    assert Path(stylize(strength=0.5)[0]).name == "painted_00003_.mp4"
    host.progress.clear()
    resumed = Path(stylize()[0])
    assert resumed.name == "painted_00002_.mp4"
    assert resumed.read_bytes() == whole
    assert len(host.progress) < steps
    assert not list((base / "output" / "films").glob(".*"))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"content": "none.mp4"}, "'none.mp4' is not in the folder"),
        ({"output_name": "../out"}, "is outside the folder"),
        ({"tile_size": 8}, "tile_size 8 is out of range"),
    ],
)
@pytest.mark.usefixtures("stylize")
def test_what_cannot_work_is_refused_before_any_node_runs(nodes, inputs, message):
    node = nodes["URSTStylizeVideoFile"]
    assert message in node.validate_inputs(**inputs)
    assert node.validate_inputs(content="clip.mp4", output_name="a", tile_size=64) is True


def test_without_pyav_the_message_says_what_to_install(nodes, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    answer = nodes["URSTStylizeVideoFile"].validate_inputs()
    assert answer.endswith(f"; {sys.executable} -m pip install av")


@pytest.mark.usefixtures("stylize")
def test_videos_of_the_input_folder_are_offered(nodes, base):
    (base / "input" / "photo.jpg").write_bytes(b"")
    schema = nodes["URSTStylizeVideoFile"].define_schema()
    [content] = [socket for socket in schema.inputs if socket.id == "content"]
    assert content.values["options"] == ["clip.mp4"]
