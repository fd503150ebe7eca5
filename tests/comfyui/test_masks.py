"""Masks and batches in a real ComfyUI, with its own nodes around them."""

from __future__ import annotations

import numpy as np
import pytest


def left_half_mask(graph, tools, *, width, height):
    """A MASK of 1 in the left half, made by ComfyUI's own nodes; returns the link."""
    add = tools["add_node"]
    black = add(graph, "SolidMask", value=0.0, width=width, height=height)
    white = add(graph, "SolidMask", value=1.0, width=width // 2, height=height)
    return add(graph, "MaskComposite", destination=black, source=white, x=0, y=0, operation="add")


@pytest.fixture
def one_node(graph_of, tools):
    """The workflow on a small picture: its graph, and the inputs of Stylize Image."""
    graph = graph_of("quick_start", content="small.png")
    [node] = tools["ids_of"](graph, "URSTStylizeImage")
    return graph, graph[node]["inputs"], [node, 0]


def probe(graph, tools, link, name):
    tools["add_node"](graph, "URSTTestProbe", image=link, name=name)


def test_a_mask_on_stylize_image(server, one_node, tools):
    graph, inputs, result = one_node
    probe(graph, tools, inputs["content"], "mask_content")
    probe(graph, tools, result, "mask_everywhere")
    server.run(graph)
    inputs["mask"] = left_half_mask(graph, tools, width=300, height=200)
    inputs["mask_feather"] = 40
    for node in tools["ids_of"](graph, "URSTTestProbe"):
        graph[node]["inputs"]["name"] += "_2"
    server.run(graph)
    content, everywhere = server.probed("mask_content"), server.probed("mask_everywhere")
    masked = server.probed("mask_everywhere_2")
    assert np.array_equal(masked[:, :, :111], everywhere[:, :, :111])
    assert np.array_equal(masked[:, :, 150:], content[:, :, 150:])
    assert not np.array_equal(masked[:, :, 111:150], content[:, :, 111:150])


def test_the_empty_mask_of_load_image_keeps_the_picture(server, one_node, tools):
    graph, inputs, result = one_node
    inputs["mask"] = [inputs["content"][0], 1]
    probe(graph, tools, inputs["content"], "empty_mask_content")
    probe(graph, tools, result, "empty_mask")
    server.run(graph)
    assert np.array_equal(server.probed("empty_mask"), server.probed("empty_mask_content"))
    assert "the mask is black everywhere" in server.log()


def test_frames_of_shared_statistics(server, one_node, tools):
    graph, inputs, result = one_node
    dark = tools["add_node"](graph, "ImageInvert", image=inputs["content"])
    inputs["content"] = tools["add_node"](
        graph, "ImageBatch", image1=inputs["content"], image2=dark
    )
    saves = tools["ids_of"](graph, "SaveImage")
    for save in saves:
        del graph[save]
    videos = {}
    for kind in ("per picture", "shared", "smoothed"):
        inputs["batch_statistics"] = kind
        name = f"frames_{kind.split()[0]}"
        for node in tools["ids_of"](graph, "URSTTestProbe"):
            del graph[node]
        probe(graph, tools, result, name)
        server.run(graph)
        videos[kind] = server.probed(name)
        assert videos[kind].shape == (2, 200, 300, 3)
    assert np.abs(videos["shared"] - videos["per picture"]).mean() > 1e-3
    assert np.abs(videos["smoothed"] - videos["per picture"]).mean() > 1e-3


def test_upscaled_tiles_in_a_mask(server, graph_of, tools):
    graph = graph_of("five_nodes", content="small.png")
    [tile] = tools["ids_of"](graph, "URSTTileImage")
    [assemble] = tools["ids_of"](graph, "URSTAssembleTiles")
    inputs = graph[assemble]["inputs"]
    model = tools["add_node"](graph, "UpscaleModelLoader", model_name="tiny2x.safetensors")
    inputs["tiles"] = tools["add_node"](
        graph, "ImageUpscaleWithModel", upscale_model=model, image=inputs["tiles"]
    )
    inputs["original"] = tools["add_node"](
        graph,
        "ImageScale",
        image=graph[tile]["inputs"]["image"],
        upscale_method="lanczos",
        width=600,
        height=400,
        crop="disabled",
    )
    inputs["mask"] = left_half_mask(graph, tools, width=600, height=400)
    inputs["mask_feather"] = 30
    probe(graph, tools, inputs["original"], "upscaled_original")
    probe(graph, tools, [assemble, 0], "upscaled_masked")
    server.run(graph)
    original, masked = server.probed("upscaled_original"), server.probed("upscaled_masked")
    assert masked.shape == (1, 400, 600, 3)
    assert np.array_equal(masked[:, :, 300:], original[:, :, 300:])
    assert np.abs(masked[:, :, :270] - original[:, :, :270]).mean() > 0.01
