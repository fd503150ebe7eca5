"""The pack in a real ComfyUI: every workflow runs, equals the engine, and can be cancelled."""

from __future__ import annotations

import time

import numpy as np
import pytest
from template_names import TEMPLATES
from workflow_results import check_saved

ADDED_OUTPUTS = {
    "GetVideoComponents": [("bit_depth", "INT"), ("color_space", "COMBO")],
    "PreviewAny": [("STRING", "STRING")],
    "PreviewImage": [("images", "IMAGE")],
    "SaveImage": [("images", "IMAGE")],
    "SaveVideo": [("video", "VIDEO")],
}
ADDED_INPUTS = {"CreateVideo": ["bit_depth"]}
"""Of core's nodes, since 0.33."""
WORKFLOWS = sorted(TEMPLATES)

PICTURES = {"content": "landscape.png", "style": "painting.png", "other_style": "painting_2.png"}


@pytest.fixture(scope="session")
def runs():
    """Results by workflow, so that no test runs one twice."""
    return {}


def link_to_pictures(graph, node):
    """Of a node that saves them, alone or in a video."""
    inputs = node["inputs"]
    return inputs["images"] if "images" in inputs else graph[inputs["video"][0]]["inputs"]["images"]


@pytest.fixture
def result_of(server, graph_of, tools, runs):
    """Runs a workflow with probes before what saves its results.

    Gives the probed and the saved pictures, each by the names of the files.
    """

    def run(name):
        if name in runs:
            return runs[name]
        graph = graph_of(name, **PICTURES)
        links = {
            node["inputs"]["filename_prefix"].removeprefix("urst/"): link_to_pictures(graph, node)
            for node in graph.values()
            if "filename_prefix" in node["inputs"]
        }
        for saved, link in links.items():
            tools["add_node"](graph, "URSTTestProbe", image=link, name=saved)
        server.clear_output()
        start = time.perf_counter()
        entry = server.run(graph)
        print(f"{name}: {time.perf_counter() - start:.1f} s")
        probed = {saved: server.probed(saved) for saved in links}
        runs[name] = probed, server.saved_results(entry)
        return runs[name]

    return run


def test_the_pack_loads(server):
    assert "IMPORT FAILED" not in server.log()
    assert "Error while calling" not in server.log()
    ours = [name for name in server.object_info if name.startswith("URST")]
    assert len([name for name in ours if not name.startswith("URSTTest")]) == 19 - len(
        server.missing_nodes
    )
    weights = server.object_info["URSTLoadBackbone"]["input"]["required"]["weights"]
    assert weights[1]["options"] == [
        *("built-in", "microast-hub", "bank.safetensors", "mine.safetensors")
    ]
    assert server.hub.requests == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_equal_the_engine(result_of, engine_results, name):
    probed, saved = result_of(name)
    expected = engine_results(name)
    assert saved.keys() == expected.keys()
    for file, pictures in expected.items():
        assert saved[file].std() > 5
        print(check_saved(file, saved[file], pictures))
    for file, pictures in probed.items():
        difference = np.abs(pictures - expected[file]).max()
        print(f"{file}: {difference:.2g} from the engine before it was saved")
        assert difference <= 1e-4


def test_five_nodes_equal_the_one(result_of):
    five = result_of("five_nodes")[0]["five_nodes"]
    one = result_of("quick_start")[0]["quick_start"]
    difference = np.abs(five - one).max()
    print(f"five nodes are {difference:.2g} from the one")
    assert difference <= 1e-5


def stylized_at_once(graph, tools, **settings):
    """Adds a Stylize Image of the workflow's pictures; returns the link to its result."""
    [stats, *_] = tools["ids_of"](graph, "URSTMakeThumbnailStats")
    [first, *_] = tools["ids_of"](graph, "URSTJoinDetail")
    look = {
        name: graph[stats]["inputs"][name]
        for name in ("backbone", "style", "thumbnail_size", "style_size", "strength", "statistics")
    }
    strokes = {
        name: graph[first]["inputs"][name]
        for name in ("strokes", "detail", "brushwork", "brushwork_seed")
    }
    inputs = {"content": graph[first]["inputs"]["image"], "tile_size": 0, **look, **strokes}
    return tools["add_node"](graph, "URSTStylizeImage", **inputs, **settings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strokes": 0.0, "thumbnail_size": 128, "brushwork": 0.0},
        {"strength": 0.7, "detail": 0.5},
        # Two levels: a third would need exact statistics of its own.
        {"statistics": "exact", "brushwork_seed": 9, "strokes": 2.0},
    ],
    ids=str,
)
def test_strokes_by_hand_equal_the_one_node(server, graph_of, tools, changes):
    graph = graph_of("strokes_by_hand", **PICTURES)
    for node in graph.values():
        # Not links: an input of Merge Strokes has the name of a widget.
        widgets = {n for n, value in node["inputs"].items() if not isinstance(value, list)}
        node["inputs"].update({n: v for n, v in changes.items() if n in widgets})
    [save] = tools["ids_of"](graph, "SaveImage")
    by_hand = graph[save]["inputs"]["images"]
    tools["add_node"](graph, "URSTTestProbe", image=by_hand, name="by_hand")
    at_once = stylized_at_once(graph, tools)
    tools["add_node"](graph, "URSTTestProbe", image=at_once, name="at_once")
    server.run(graph)
    five, one = server.probed("by_hand"), server.probed("at_once")
    assert five.shape == one.shape == (1, 320, 480, 3)
    assert np.abs(five - one).max() == 0.0


def test_an_upscaler_fits_between_the_levels(server, graph_of, tools):
    graph = graph_of("strokes_by_hand", **PICTURES)
    [save] = tools["ids_of"](graph, "SaveImage")
    tools["add_node"](graph, "URSTTestProbe", image=graph[save]["inputs"]["images"], name="between")
    server.run(graph)
    plain = server.probed("between")
    model = tools["add_node"](graph, "UpscaleModelLoader", model_name="tiny2x.safetensors")
    for join in tools["ids_of"](graph, "URSTJoinDetail")[1:]:
        inputs = graph[join]["inputs"]
        inputs["enlarged"] = tools["add_node"](
            graph, "ImageUpscaleWithModel", upscale_model=model, image=inputs["painting"]
        )
    server.run(graph)
    picture = server.probed("between")
    assert picture.shape == plain.shape == (1, 320, 480, 3)
    # Other strokes, in the same colors.
    assert np.abs(picture - plain).max() > 0.02
    assert np.abs(picture.mean((0, 1, 2)) - plain.mean((0, 1, 2))).max() < 0.05


def test_types_of_core_nodes_match_the_server(server, core_nodes):
    for name, type_ in core_nodes.items():
        if name == "MarkdownNote":
            # The page alone knows it.
            assert name not in server.object_info
            continue
        info = server.object_info[name]
        assert not info.get("deprecated"), name
        optional = info["input"].get("optional", {})
        inputs = info["input"]["required"] | optional
        names = [socket.name for socket in type_.inputs]
        assert list(inputs) in (names, names + ADDED_INPUTS.get(name, []))
        for socket in type_.inputs:
            kind, options = inputs[socket.name][0], (*inputs[socket.name][1:], {})[0]
            choices = kind if isinstance(kind, list) else options.get("options", [])
            if choices:
                kind = "COMBO"
                choices = {c["key"] if isinstance(c, dict) else c for c in choices}
            assert socket.kind == kind, (name, socket)
            # Newer versions may make an input optional.
            assert socket.name in optional or not socket.optional
            assert set(socket.choices) <= set(choices)
            if socket.limits:
                assert socket.limits == (options["min"], options["max"]), (name, socket)
        outputs = list(zip(info["output_name"], info["output"]))
        known = [(output.name, output.kind) for output in type_.outputs]
        # Links name outputs by number: newer versions may add some behind them, as these have.
        assert outputs in (known, known + ADDED_OUTPUTS.get(name, [])), name


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
    graph = graph_of("quick_start", **PICTURES)
    [load] = tools["ids_of"](graph, "URSTLoadBackbone")
    graph[load]["inputs"]["weights"] = "mine.safetensors"
    picture = server.saved_picture(server.run(graph))
    assert np.array_equal(picture, result_of("quick_start")[1]["quick_start"][0])


def test_weights_from_the_hub(server, graph_of, tools):
    pictures = []
    for weights in ("built-in", "microast-hub"):
        graph = graph_of("quick_start", content="small.png")
        [load] = tools["ids_of"](graph, "URSTLoadBackbone")
        graph[load]["inputs"]["weights"] = weights
        pictures.append(server.saved_picture(server.run(graph)))
    assert np.array_equal(*pictures)
    assert server.hub.asked("GET /cdn/") == 1
    server.hub.requests.clear()
    graph = graph_of("quick_start", content="small.png")
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
    graph = graph_of("quick_start")
    [node] = tools["ids_of"](graph, "URSTStylizeImage")
    # Many small tiles, several times over: slow on any machine.
    graph[node]["inputs"].update(tile_size=64, statistics="exact")
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
