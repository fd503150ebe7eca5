"""The pack in a real ComfyUI: every workflow runs, equals the engine, and can be cancelled."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from urst_core.canvas import TensorCanvas, TensorSource
from urst_core.pipeline import stylize
from urst_core.settings import Settings
from urst_core.weights import load_backbone

ROOT = Path(__file__).resolve().parents[2]
FILE_WORKFLOW = "file_to_file"
WORKFLOWS = sorted(
    path.stem for path in (ROOT / "workflows").glob("*.json") if path.stem != FILE_WORKFLOW
)
STEP = 1 / 255 + 1e-4
"""SaveImage truncates to 8 bits."""


@pytest.fixture(scope="session")
def runs():
    """Results by workflow, so that no test runs one twice."""
    return {}


@pytest.fixture
def result_of(server, graph_of, tools, runs):
    """Runs a workflow with probes at the content, the style and the result."""

    def run(name):
        if name in runs:
            return runs[name]
        graph = graph_of(name)
        [looks] = [n for n in graph.values() if {"content", "style"} <= n["inputs"].keys()]
        [save] = tools["ids_of"](graph, "SaveImage")
        links = {
            "content": looks["inputs"]["content"],
            "style": looks["inputs"]["style"],
            "result": graph[save]["inputs"]["images"],
        }
        for kind, link in links.items():
            tools["add_node"](graph, "URSTTestProbe", image=link, name=f"{name}_{kind}")
        start = time.perf_counter()
        entry = server.run(graph)
        print(f"{name}: {time.perf_counter() - start:.1f} s")
        probed = {kind: server.probed(f"{name}_{kind}") for kind in links}
        runs[name] = {**probed, "saved": server.saved_picture(entry)}
        return runs[name]

    return run


def engine_result(content, style):
    """What the engine makes of (1, H, W, 3) pictures with the settings of the workflows."""
    sources = [TensorSource(torch.from_numpy(p[0]).permute(2, 0, 1)) for p in (content, style)]
    canvas = TensorCanvas(sources[0].size, dtype=torch.float32)
    stylize(sources[0], sources[1:], canvas, load_backbone(), Settings(device="cpu"))
    return canvas.pixels.permute(1, 2, 0).numpy()


def test_the_pack_loads(server):
    assert "IMPORT FAILED" not in server.log()
    assert "Error while calling" not in server.log()
    ours = [name for name in server.object_info if name.startswith("URST")]
    assert len([name for name in ours if not name.startswith("URSTTest")]) == 9
    weights = server.object_info["URSTLoadBackbone"]["input"]["required"]["weights"]
    assert weights[1]["options"] == ["built-in", "microast-hub", "mine.safetensors"]
    assert server.hub.requests == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_gives_what_the_engine_gives(result_of, name):
    result = result_of(name)
    height, width = (1440, 2160) if name.startswith("upscale") else (720, 1080)
    assert result["saved"].shape == (height, width, 3)
    assert result["saved"].std() > 5
    expected = engine_result(result["content"], result["style"])
    difference = np.abs(result["result"][0] - expected).max()
    print(f"{name}: {difference:.2g} from the engine")
    assert difference <= 1e-4
    assert np.abs(result["saved"] / 255 - expected).max() <= STEP
    assert np.abs(result["content"][0] - expected).mean() > 0.01


def test_five_nodes_equal_all_in_one(result_of):
    five, one = result_of("five_nodes")["result"], result_of("all_in_one")["result"]
    difference = np.abs(five - one).max()
    print(f"five nodes are {difference:.2g} from the one")
    assert difference <= 1e-5


@pytest.mark.parametrize("before", ["URSTStylizePatches", "URSTAssembleTiles"])
def test_an_upscaler_fits_between_the_nodes(server, graph_of, tools, before):
    graph = graph_of("five_nodes", content="small.png")
    [tile] = tools["ids_of"](graph, "URSTTileImage")
    graph[tile]["inputs"]["tile_size"] = 128
    [after] = tools["ids_of"](graph, before)
    model = tools["add_node"](graph, "UpscaleModelLoader", model_name="tiny2x.safetensors")
    inputs = graph[after]["inputs"]
    inputs["tiles"] = tools["add_node"](
        graph, "ImageUpscaleWithModel", upscale_model=model, image=inputs["tiles"]
    )
    [assemble] = tools["ids_of"](graph, "URSTAssembleTiles")
    graph[assemble]["inputs"]["feather"] = 16
    picture = server.saved_picture(server.run(graph))
    assert picture.shape == (400, 600, 3)
    assert picture.std() > 5


def test_weights_from_the_model_folder(server, graph_of, tools, result_of):
    graph = graph_of("all_in_one")
    [load] = tools["ids_of"](graph, "URSTLoadBackbone")
    graph[load]["inputs"]["weights"] = "mine.safetensors"
    picture = server.saved_picture(server.run(graph))
    assert np.array_equal(picture, result_of("all_in_one")["saved"])


def test_weights_from_the_hub(server, graph_of, tools):
    pictures = []
    for weights in ("built-in", "microast-hub"):
        graph = graph_of("all_in_one", content="small.png")
        [load] = tools["ids_of"](graph, "URSTLoadBackbone")
        graph[load]["inputs"]["weights"] = weights
        pictures.append(server.saved_picture(server.run(graph)))
    assert np.array_equal(*pictures)
    assert server.hub.asked("GET /cdn/") == 1
    server.hub.requests.clear()
    graph = graph_of("all_in_one", content="small.png")
    [load] = tools["ids_of"](graph, "URSTLoadBackbone")
    graph[load]["inputs"] |= {"weights": "microast-hub", "device": "cpu"}
    server.run(graph)
    assert server.hub.requests == []


def test_a_refusal_reaches_the_user_with_its_remedy(server, graph_of, tools):
    graph = graph_of("five_nodes", content="small.png")
    [tile] = tools["ids_of"](graph, "URSTTileImage")
    inputs = graph[tile]["inputs"]
    inputs["image"] = tools["add_node"](graph, "RepeatImageBatch", image=inputs["image"], amount=2)
    status = server.wait(server.queue(graph))["status"]
    assert status["status_str"] == "error"
    [message] = [content for kind, content in status["messages"] if kind == "execution_error"]
    assert message["node_type"] == "URSTTileImage"
    assert "not a batch of 2; pick one with ImageFromBatch" in message["exception_message"]


def test_a_run_can_be_cancelled_and_run_again(server, graph_of, tools):
    graph = graph_of("all_in_one")
    [node] = tools["ids_of"](graph, "URSTStylizeImage")
    # Many small tiles, several times over: slow on any machine.
    graph[node]["inputs"].update(tile_size=16, statistics="exact")
    prompt = server.queue(graph)
    while not server.ask("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(2)
    start = time.perf_counter()
    server.ask("/interrupt", {})
    status = server.wait(prompt)["status"]
    print(f"cancelled after {time.perf_counter() - start:.2f} s")
    [message] = [content for kind, content in status["messages"] if kind == "execution_interrupted"]
    assert message["node_type"] == "URSTStylizeImage"
    graph[node]["inputs"].update(tile_size=0, statistics="thumbnail", strength=0.9)
    assert server.saved_picture(server.run(graph)).std() > 5
