"""Videos in a real ComfyUI: from file to file, and in a graph with core's nodes."""

from __future__ import annotations

import av
import pytest
from clips import moving_frames, save_clip, seconds_of, sound_of


@pytest.fixture(scope="module")
def clip(server):
    return save_clip(server.base / "input" / "moving.mp4", moving_frames(6, (96, 128)))


@pytest.fixture
def models():
    """The nodes that the graphs begin with."""
    return {
        "1": {
            "class_type": "URSTLoadBackbone",
            "inputs": {
                "backbone": "microast",
                "weights": "built-in",
                "precision": "fp32",
                "device": "cpu",
            },
        },
        "2": {"class_type": "LoadImage", "inputs": {"image": "painting.png"}},
    }


LOOK = {
    "thumbnail_size": 1024,
    "style_size": 256,
    "strength": 1.0,
    "statistics": "thumbnail",
    "tile_size": 0,
}


def test_a_video_file_becomes_a_video_file(server, clip, models):
    server.clear_output()
    inputs = {
        **LOOK,
        "content": clip.name,
        "output_name": "films/painted",
        "container": "mp4",
        "quality": 92,
        "resume": True,
        "overwrite": False,
        "backbone": ["1", 0],
        "style": ["2", 0],
    }
    graph = {**models, "3": {"class_type": "URSTStylizeVideoFile", "inputs": inputs}}
    # Its second output is a VIDEO, for core's nodes.
    graph["4"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["3", 1]}}
    graph["5"] = {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}}
    entry = server.run(graph)
    [file] = entry["outputs"]["3"]["files"]
    assert file == {"filename": "painted_00001_.mp4", "subfolder": "films", "type": "output"}
    path = server.base / "output" / "films" / file["filename"]
    assert server.view(file) == path.read_bytes()
    assert sound_of(path) == sound_of(clip)
    assert seconds_of(path) == seconds_of(clip)
    assert len(entry["outputs"]["5"]["images"]) == 6


def test_a_graph_keeps_the_sound(server, clip, models):
    graph = {
        **models,
        "3": {"class_type": "LoadVideo", "inputs": {"file": clip.name}},
        "4": {"class_type": "GetVideoComponents", "inputs": {"video": ["3", 0]}},
        "5": {
            "class_type": "URSTStylizeImage",
            "inputs": {
                **LOOK,
                "backbone": ["1", 0],
                "content": ["4", 0],
                "style": ["2", 0],
                "batch_statistics": "shared",
            },
        },
        "6": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["5", 0], "audio": ["4", 1], "fps": ["4", 2]},
        },
        "7": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["6", 0],
                "filename_prefix": "graph",
                "format": "mp4",
                "codec": "h264",
            },
        },
    }
    server.run(graph)
    [path] = (server.base / "output").glob("graph*.mp4")
    with av.open(str(path)) as saved:
        assert len(saved.streams.audio) == 1
        assert saved.streams.video[0].average_rate == 25
    assert len(seconds_of(path)) == 6
