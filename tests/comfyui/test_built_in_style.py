"""Built-in Style in a real ComfyUI, if its choices may have inputs of their own."""

from __future__ import annotations

import numpy as np
import pytest

NODE, BANK = "URSTBuiltInStyle", "bank.safetensors"
COMPUTING = {"precision": "auto", "device": "auto"}


@pytest.fixture
def graph(server, graph_of, tools):
    """The quick start without a style: graph, inputs of Stylize Image, id of Load Backbone."""
    if NODE in server.missing_nodes:
        assert NODE not in server.object_info
        pytest.skip("this ComfyUI has no choices with inputs of their own")
    graph = graph_of("quick_start", content="small.png")
    [node] = tools["ids_of"](graph, "URSTStylizeImage")
    [load] = tools["ids_of"](graph, "URSTLoadBackbone")
    del graph[node]["inputs"]["style"]
    tools["add_node"](graph, "URSTTestProbe", image=[node, 0], name="built_in")
    return graph, graph[node]["inputs"], load


@pytest.mark.usefixtures("graph")
def test_the_server_lists_the_styles_of_installed_weights(server):
    kind, told = server.object_info[NODE]["input"]["required"]["weights"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    [option] = told["options"]
    assert option["key"] == BANK
    assert option["inputs"]["required"]["style"][1]["options"] == ["0", "1", "2"]


@pytest.mark.parametrize("style", ["0", "2"])
def test_the_picture_is_that_of_the_name_as_text(server, graph, tools, style):
    graph, inputs, load = graph
    graph[load]["inputs"] |= {"backbone": "auto", "weights": BANK}
    inputs["style_names"] = style
    server.run(graph)
    as_text = server.probed("built_in")
    assert as_text.std() > 0.02
    del graph[load]
    inputs["style_names"] = ""
    chosen = {"weights": BANK, "weights.style": style}
    node, _ = tools["add_node"](graph, NODE, **chosen, **COMPUTING)
    inputs |= {"backbone": [node, 0], "saved_style": [node, 1]}
    server.run(graph)
    assert np.array_equal(server.probed("built_in"), as_text)


def test_weights_that_are_not_installed_are_refused(server, graph, tools):
    graph, inputs, load = graph
    del graph[load]
    chosen = {"weights": "absent.safetensors", "weights.style": "0"}
    node, _ = tools["add_node"](graph, NODE, **chosen, **COMPUTING)
    inputs |= {"backbone": [node, 0], "saved_style": [node, 1]}
    status = server.wait(server.queue(graph))["status"]
    [message] = [content for kind, content in status["messages"] if kind == "execution_error"]
    assert message["node_type"] == NODE
    assert f"choose one of: {BANK}" in message["exception_message"]


def test_a_style_that_the_weights_do_not_have_is_refused_before_the_run(server, graph, tools):
    graph, inputs, load = graph
    del graph[load]
    node, _ = tools["add_node"](graph, NODE, weights=BANK, **{"weights.style": "3"}, **COMPUTING)
    inputs |= {"backbone": [node, 0], "saved_style": [node, 1]}
    with pytest.raises(AssertionError, match=r"weights\.style: '3' not in"):
        server.queue(graph)
