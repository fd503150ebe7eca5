"""The nodes for files of any size in a real ComfyUI."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from urst_core.formats.open import ImageFile, ImageFileCanvas
from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone


@pytest.fixture
def file_graph(graph_of, tools):
    """The workflow from file to file, with other inputs for its node; and that node's number."""

    def build(**inputs):
        graph = graph_of("hundred_megapixels")
        [node] = tools["ids_of"](graph, "URSTStylizeFile")
        graph[node]["inputs"].update(inputs)
        return graph, node

    return build


@pytest.fixture(scope="session")
def expected(server, tmp_path_factory):
    """What the engine makes of the same files, (H, W, 3), uint8."""
    pictures = server.base / "input"
    content = ImageFile(pictures / "example.png")
    style = np.asarray(Image.open(pictures / "style.png"), np.float32) / 255
    path = tmp_path_factory.mktemp("expected") / "painted.tif"
    with ImageFileCanvas(path, content) as canvas:
        source = TensorSource(torch.from_numpy(style).permute(2, 0, 1))
        stylize(content, [source], canvas, load_backbone(), Settings(device="cpu"))
    return pixels_of(path)


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def kinds_shown(entry):
    return {image["type"] for out in entry["outputs"].values() for image in out.get("images", [])}


def hidden_files(server):
    folders = (server.base / "output", server.base / "temp")
    return [path for folder in folders for path in folder.rglob(".*")]


def test_a_file_becomes_a_file(server, tools, file_graph, expected):
    server.clear_output()
    graph, node = file_graph()
    tools["add_node"](graph, "URSTTestProbe", image=[node, 1], name="file_preview")
    entry = server.run(graph)
    [file] = entry["outputs"][node]["files"]
    assert file == {"filename": "stylized_00001_.tif", "subfolder": "urst", "type": "output"}
    path = server.base / "output" / "urst" / file["filename"]
    assert server.view(file) == path.read_bytes()
    painted = pixels_of(path)
    difference = np.abs(painted.astype(int) - expected).max()
    print(f"file to file: {difference} of 255 from the engine")
    assert painted.shape == (720, 1080, 3)
    assert difference <= 1
    assert np.abs(server.probed("file_preview")[0] - painted / 255).max() < 1e-4
    assert kinds_shown(entry) == {"temp"}
    assert hidden_files(server) == []


def test_a_cancelled_file_run_resumes(server, file_graph, expected):
    graph, node = file_graph(output_name="resumed", tile_size=128)
    prompt = server.queue(graph)
    output = server.base / "output"
    work = output / ".resumed_00001_.tif.urst" / "journal.txt"
    end = time.monotonic() + 180
    while not (work.is_file() and work.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    start = time.perf_counter()
    server.ask("/interrupt", {})
    status = server.wait(prompt)["status"]
    print(f"cancelled after {time.perf_counter() - start:.2f} s")
    [message] = [content for kind, content in status["messages"] if kind == "execution_interrupted"]
    assert message["node_type"] == "URSTStylizeFile"
    done = len(work.read_text().splitlines())
    assert 0 < done < 6 * 9
    graph[node]["inputs"]["strength"] = 0.9
    server.run(graph)
    assert [path.name for path in output.glob("resumed*")] == ["resumed_00002_.tif"]
    graph[node]["inputs"]["strength"] = 1.0
    server.run(graph)
    painted = pixels_of(output / "resumed_00001_.tif")
    assert np.abs(painted.astype(int) - expected).max() <= 1
    assert hidden_files(server) == []


def test_the_script_in_the_docs_fetches_a_file(server, tmp_path):
    docs = Path(__file__).resolve().parents[2] / "docs"
    printed = subprocess.run(
        [sys.executable, docs / "comfyui_script.py", docs / "comfyui_graph.json", server.url],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed == "script_00001_.jpg\n"
    fetched = (tmp_path / "script_00001_.jpg").read_bytes()
    assert fetched == (server.base / "output" / "urst" / "script_00001_.jpg").read_bytes()


@pytest.mark.parametrize("file_format", ["TIFF", "PNG", "JPEG", "WebP"])
def test_a_picture_is_loaded_and_saved(server, tools, file_format):
    graph = {"1": {"class_type": "URSTLoadImage", "inputs": {"image": "example.png"}}}
    options = {"file_format": file_format, "quality": 95, "bits": "8"}
    save, _ = tools["add_node"](
        graph, "URSTSaveImage", images=["1", 0], filename_prefix="ultra/a", **options
    )
    workflow = {"nodes": [], "made by": file_format}
    entry = server.run(graph, workflow=workflow)
    [file] = entry["outputs"][save]["files"]
    path = server.base / "output" / "ultra" / file["filename"]
    assert server.view(file) == path.read_bytes()
    loaded = pixels_of(server.base / "input" / "example.png").astype(int)
    difference = np.abs(pixels_of(path) - loaded)
    assert difference.max() == 0 if file_format in ("TIFF", "PNG") else difference.mean() < 4
    # The page shows files that browsers read, and previews of others.
    shown = {image["type"] for image in entry["outputs"][save].get("images", [])}
    assert shown == ({"temp"} if file_format == "TIFF" else {"output"})
    with Image.open(path) as image:
        if file_format == "PNG":
            assert json.loads(image.text["workflow"]) == workflow
            assert json.loads(image.text["prompt"])[save]["inputs"] == graph[save]["inputs"]
        elif file_format != "TIFF":
            assert json.loads(image.getexif()[0x010F].removeprefix("workflow:")) == workflow
        else:
            assert b"comfyui:graph" in bytes(image.tag_v2[700])


def test_a_replaced_file_is_loaded_again(server, tools):
    path = server.base / "input" / "changing.png"
    for value in (10, 20):
        Image.new("RGB", (40, 30), (value, 0, 0)).save(path)
        graph = {"1": {"class_type": "URSTLoadImage", "inputs": {"image": "changing.png"}}}
        tools["add_node"](graph, "URSTTestProbe", image=["1", 0], name="changing")
        server.run(graph)
        assert server.probed("changing")[0, 0, 0, 0] == pytest.approx(value / 255)


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/hostname", "gone.png"])
def test_a_file_outside_is_refused_before_the_graph_runs(server, tools, file_graph, name):
    graph = {"1": {"class_type": "URSTLoadImage", "inputs": {"image": name}}}
    tools["add_node"](graph, "PreviewImage", images=["1", 0])
    reason = "is not in the folder" if name == "gone.png" else "is outside the folder"
    with pytest.raises(AssertionError, match=reason):
        server.queue(graph)
    graph, _ = file_graph(content=name)
    # Its other outputs cannot run either.
    with pytest.raises(AssertionError, match=reason):
        server.queue(graph)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output_name": "../escaped"}, "is outside the folder"),
        ({"tile_size": 4}, "tile_size 4 is out of range"),
        ({"file_format": "BMP"}, "is unknown; use TIFF"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_refused_before_the_graph_runs(
    server, file_graph, changes, reason
):
    graph, _ = file_graph(**changes)
    with pytest.raises(AssertionError, match=reason):
        server.queue(graph)


def test_names_have_dates_and_widgets(server, file_graph):
    graph, node = file_graph(output_name="%date:yyyy%/%Load Backbone.precision%_%width%")
    [number] = [number for number, n in graph.items() if n["class_type"] == "URSTLoadBackbone"]
    graph[number]["_meta"] = {"title": "Load Backbone"}
    [file] = server.run(graph)["outputs"][node]["files"]
    assert file["subfolder"].isdigit()
    assert file["filename"] == "auto_1080_00001_.tif"
