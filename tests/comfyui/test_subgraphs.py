"""Blueprints in a real ComfyUI: it lists them, and the page runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from comfyui_page import find_chromium, open_page
from workflow_results import read_picture, stylized

FOLDER = Path(__file__).resolve().parents[2] / "subgraphs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
STEP = 1 / 255 + 1e-4
"""SaveImage truncates to 8 bits."""


@pytest.fixture(scope="module")
def listed(server):
    """What the server lists, by name."""
    try:
        answer = server.ask("/global_subgraphs")
    except AssertionError:
        pytest.skip("this version has no blueprints")
    ours = [(number, each) for number, each in answer.items() if "custom" in each["source"]]
    return {each["name"]: (number, each) for number, each in ours}


@pytest.fixture(scope="module")
def page(server, listed):
    find_chromium()
    assert listed
    server.ask("/settings", {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False})
    with open_page(server.url) as page:
        yield page


def test_the_server_lists_blueprints_with_their_content(server, listed):
    assert sorted(listed) == NAMES
    for name, (number, _) in listed.items():
        content = json.loads(server.ask(f"/global_subgraphs/{number}")["data"])
        assert content == json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


COMMON = {"flags": {}, "order": 0, "mode": 0, "properties": {}}
"""What every node in a file has."""

UPSCALE_MODEL = "tiny2x.safetensors"
"""A model that the tests' server has."""


def in_a_graph(name, pictures):
    """The blueprint between Load Image and Save Image, as the page saves such graphs."""
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    graph = json.loads(text.replace("RealESRGAN_x4plus.pth", UPSCALE_MODEL))
    [node] = graph["nodes"]
    node.update(id=1, pos=[400, 0])
    for slot, picture in enumerate(pictures):
        graph["nodes"].append(
            {
                "id": 2 + slot,
                "type": "LoadImage",
                "pos": [0, 400 * slot],
                "size": [300, 314],
                **COMMON,
                "inputs": [],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1 + slot]}],
                "widgets_values": [picture, "image"],
            }
        )
        graph["links"].append([1 + slot, 2 + slot, 0, 1, slot, "IMAGE"])
        node["inputs"][slot]["link"] = 1 + slot
    graph["nodes"].append(
        {
            "id": 4,
            "type": "SaveImage",
            "pos": [800, 0],
            "size": [300, 300],
            **COMMON,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 3}],
            "outputs": [],
            "widgets_values": [f"subgraph_{NAMES.index(name)}"],
        }
    )
    graph["links"].append([3, 1, 0, 4, 0, "IMAGE"])
    node["outputs"][0]["links"] = [3]
    return {**graph, "last_node_id": 4, "last_link_id": 3}


@pytest.mark.parametrize("name", NAMES)
def test_the_page_runs_a_blueprint(server, page, name):
    pictures = ("landscape.png", "painting.png")
    page.load(in_a_graph(name, pictures))
    assert page.messages() == []
    entry = server.wait(page.run())
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert page.complaints == []
    [saved] = server.saved_results(entry).values()
    content, style = (read_picture(server.base / "input" / picture) for picture in pictures)
    if name == "Stylize any size":
        assert np.abs(saved / 255 - stylized(content[None], style)).max() <= STEP
    else:
        height, width = content.shape[:2]
        assert saved.shape[-3] % height == saved.shape[-2] % width == 0
        assert saved.shape[-3] > height
        assert saved.std() > 10
