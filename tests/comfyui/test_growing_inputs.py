"""Nodes with any number of styles in a real ComfyUI, if it has inputs that grow."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def two_styles(server, graph_of, tools):
    """The quick start without its style: graph, inputs of Stylize Image, result, two styles."""
    if server.missing_nodes:
        assert not server.object_info.keys() & server.missing_nodes
        pytest.skip("this ComfyUI has no inputs that grow")
    graph = graph_of("quick_start", content="small.png")
    [node] = tools["ids_of"](graph, "URSTStylizeImage")
    inputs = graph[node]["inputs"]
    style = inputs.pop("style")
    other = tools["add_node"](graph, "ImageInvert", image=style)
    return graph, inputs, [node, 0], (style, other)


def test_a_mixture_of_growing_inputs_is_that_of_two_styles(server, two_styles, tools):
    graph, inputs, result, (style, other) = two_styles
    tools["add_node"](graph, "URSTTestProbe", image=result, name="mixed")
    mixed = tools["add_node"](
        graph,
        "URSTMixStyles",
        **{"styles.style_1": style, "styles.style_2": other},
        style_weights="3, 1",
    )
    inputs["saved_style"] = mixed
    server.run(graph)
    del inputs["saved_style"], graph[mixed[0]]
    inputs.update({"style": style, "style_2": other, "style_2_weight": 0.25})
    [probe] = tools["ids_of"](graph, "URSTTestProbe")
    graph[probe]["inputs"]["name"] = "two_inputs"
    server.run(graph)
    assert np.array_equal(server.probed("mixed"), server.probed("two_inputs"))


def test_regions_of_growing_inputs_are_those_of_a_row(server, two_styles, tools):
    graph, inputs, result, (style, other) = two_styles
    add = tools["add_node"]
    white = add(graph, "SolidMask", value=1.0, width=150, height=200)
    black = add(graph, "SolidMask", value=0.0, width=300, height=200)
    left = add(graph, "MaskComposite", destination=black, source=white, x=0, y=0, operation="add")
    add(graph, "URSTTestProbe", image=result, name="at_once")
    at_once = add(
        graph,
        "URSTStyleRegions",
        **{"styles.style_1": style, "styles.style_2": other, "masks.mask_2": left},
        mask_feather=8,
        strengths="1, 0.7",
    )
    inputs["regions"] = at_once
    server.run(graph)
    del graph[at_once[0]]
    below = add(graph, "URSTStyleRegion", style=style, mask_feather=8)
    inputs["regions"] = add(
        graph,
        "URSTStyleRegion",
        style=other,
        mask=left,
        mask_feather=8,
        strength=0.7,
        regions=below,
    )
    [probe] = tools["ids_of"](graph, "URSTTestProbe")
    graph[probe]["inputs"]["name"] = "in_a_row"
    server.run(graph)
    assert np.array_equal(server.probed("at_once"), server.probed("in_a_row"))
