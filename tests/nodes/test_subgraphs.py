"""Blueprints: what the tool writes, complete, and with links that fit."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "subgraphs").glob("*.json"))
PAGE_ENDS = {-10: "inputs", -20: "outputs"}


@pytest.fixture(scope="module")
def tool():
    """tools/make_subgraphs.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield importlib.import_module("make_subgraphs")


@pytest.fixture
def types(tool, nodes):
    return tool.all_types(nodes.values())


def test_files_are_those_that_the_tool_writes(tool, types):
    assert {path.stem for path in FILES} == set(tool.BLUEPRINTS)
    for path in FILES:
        assert path.read_text(encoding="utf-8") == tool.make_subgraph(path.stem, types), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_links_join_outputs_and_inputs_of_one_type(path, types):
    content = json.loads(path.read_text(encoding="utf-8"))
    [outside], [inside] = content["nodes"], content["definitions"]["subgraphs"]
    assert outside["type"] == inside["id"]
    assert inside["name"] == path.stem
    nodes = {node["id"]: node for node in inside["nodes"]}
    for link in inside["links"]:
        ends = {"origin": ("outputs", "inputs"), "target": ("inputs", "outputs")}
        for end, (of_node, of_graph) in ends.items():
            number, slot = link[f"{end}_id"], link[f"{end}_slot"]
            slots = inside[of_graph] if number in PAGE_ENDS else nodes[number][of_node]
            assert slots[slot]["type"] == link["type"]
            held = slots[slot].get("linkIds", slots[slot].get("links", slots[slot].get("link")))
            assert link["id"] in (held if isinstance(held, list) else [held])
    for number, widget in outside["properties"]["proxyWidgets"]:
        assert widget in [each.name for each in types[nodes[int(number)]["type"]].widgets]
    required = [slot for node in nodes.values() for slot in node["inputs"] if "shape" not in slot]
    assert all(slot["link"] is not None for slot in required)
