"""Write subgraphs/*.json, blueprints that ComfyUI 0.8.0 and newer list among their nodes.

    python tools/make_subgraphs.py

Run it after the inputs of a node change: graphs store values in the order of widgets.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from make_workflows import all_types, load_nodes
from node_types import NodeType
from recipe_parts import MODELS, OTHERS, load_upscale_model, stylize
from workflow_graph import TITLE, Graph, Group, Node

FOLDER = Path(__file__).resolve().parents[1] / "subgraphs"

INPUT_NODE, OUTPUT_NODE = -10, -20
"""Numbers of a subgraph's own ends, which the page gives them."""

END_WIDTH, END_GAP = 140, 60
"""Width of an end, and its distance from the nodes, in px."""

CATEGORY = "Image Tools/Style transfer"


@dataclass
class Blueprint:
    """A subgraph that grows node by node.

    Attributes:
        name: shown by the page.
        description: of the whole.
        graph: the nodes inside.
        inputs: names, each with the inputs inside that it feeds: a node, and the name there.
        output: the node inside whose first output is the result.
        widgets: widgets inside that the node shows: a node, and the widget's name.
    """

    name: str
    description: str
    graph: Graph
    inputs: Mapping[str, Sequence[tuple[Node, str]]] = field(default_factory=dict)
    output: Node = field(default_factory=dict)
    widgets: Sequence[tuple[Node, str]] = ()


def stylize_any_size(graph: Graph) -> Blueprint:
    backbone = graph.add("URSTLoadBackbone")
    painted = stylize(graph, backbone=(backbone, 0))
    graph.lay_out([Group("Model", [backbone], MODELS)], [Group("Stylize", [painted])])
    return Blueprint(
        "Stylize any size",
        "Paints a photograph of any size in the style of a painting, tile by tile, without seams.",
        graph,
        {"content": [(painted, "content")], "style": [(painted, "style")]},
        painted,
        [(painted, "strength"), (painted, "strokes"), (painted, "colors"), (backbone, "backbone")],
    )


FINISHING = {"strength": 0.5, "strokes": 1.0}
"""Fine strokes on top of enlarged ones, which an upscale model leaves smooth."""


def stylize_upscale_finish(graph: Graph) -> Blueprint:
    backbone = graph.add("URSTLoadBackbone")
    model = load_upscale_model(graph)
    painted = stylize(graph, "1. Stylize", backbone=(backbone, 0))
    upscaled = graph.add("ImageUpscaleWithModel", upscale_model=(model, 0), image=(painted, 0))
    finished = stylize(
        graph, "3. Finish", values=FINISHING, backbone=(backbone, 0), content=(upscaled, 0)
    )
    graph.lay_out(
        [Group("Models", [backbone, model], MODELS)],
        [Group("1. Stylize", [painted])],
        [Group("2. Upscale", [upscaled], OTHERS)],
        [Group("3. Fine strokes", [finished])],
    )
    return Blueprint(
        "Stylize, upscale, finish",
        "Paints a small picture, enlarges the painting with an upscale model, and finishes it with "
        "fine strokes at the final size.",
        graph,
        {"content": [(painted, "content")], "style": [(painted, "style"), (finished, "style")]},
        finished,
        [
            (painted, "strength"),
            (painted, "strokes"),
            (model, "model_name"),
            (finished, "strength"),
        ],
    )


BLUEPRINTS: Mapping[str, Callable[[Graph], Blueprint]] = {
    "Stylize any size": stylize_any_size,
    "Stylize, upscale, finish": stylize_upscale_finish,
}
"""By the name of the file, which the page shows."""


def make_subgraph(name: str, types: Mapping[str, NodeType]) -> str:
    """The content of a blueprint's file."""
    blueprint = BLUEPRINTS[name](Graph(types))
    inside = str(uuid.uuid5(uuid.NAMESPACE_URL, f"urst/subgraphs/{name}"))
    content = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"urst/subgraphs/{name}/graph")),
        "revision": 0,
        "last_node_id": len(blueprint.graph.nodes) + 1,
        "last_link_id": 0,
        "nodes": [_outside(blueprint, inside)],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [_inside(blueprint, inside)]},
        "config": {},
        "extra": {},
        "version": 0.4,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _outside(blueprint: Blueprint, inside: str) -> Node:
    """The node that stands for the subgraph."""
    return {
        "id": len(blueprint.graph.nodes) + 1,
        "type": inside,
        "pos": [0, 0],
        "size": [320, 220],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{"name": name, "type": "IMAGE", "link": None} for name in blueprint.inputs],
        "outputs": [{"name": "image", "type": "IMAGE", "links": []}],
        "properties": {
            "proxyWidgets": [[str(node["id"]), widget] for node, widget in blueprint.widgets],
            "cnr_id": "urst",
        },
        "widgets_values": [],
    }


def _inside(blueprint: Blueprint, number: str) -> dict[str, Any]:
    graph = blueprint.graph
    links = [
        dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), link))
        for link in graph.links
    ]
    inputs = [
        _input(graph, index, name, targets, links)
        for index, (name, targets) in enumerate(blueprint.inputs.items())
    ]
    last = len(links) + 1
    result = blueprint.output["outputs"][0]
    result["links"] = [*(result["links"] or []), last]
    links.append(_link(last, blueprint.output["id"], 0, OUTPUT_NODE, 0))
    output = {"id": _id(number, "image"), "name": "image", "type": "IMAGE", "linkIds": [last]}
    width = max(node["pos"][0] + node["size"][0] for node in graph.nodes)
    return {
        "id": number,
        "version": 1,
        "state": {
            "lastGroupId": len(graph.groups),
            "lastNodeId": len(graph.nodes) + 1,
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": blueprint.name,
        "inputNode": _end(INPUT_NODE, -END_WIDTH - END_GAP, len(inputs)),
        "outputNode": _end(OUTPUT_NODE, width + END_GAP, 1),
        "inputs": inputs,
        "outputs": [output],
        "widgets": [],
        "nodes": graph.nodes,
        "groups": graph.groups,
        "links": links,
        "extra": {},
        "category": CATEGORY,
        "description": blueprint.description,
    }


def _input(
    graph: Graph,
    index: int,
    name: str,
    targets: Sequence[tuple[Node, str]],
    links: list[dict[str, Any]],
) -> dict[str, Any]:
    """An input of the subgraph, and its links to the nodes inside."""
    first = len(links) + 1
    for number, (node, socket) in enumerate(targets, start=first):
        names = [each["name"] for each in node["inputs"]]
        slot = names.index(socket)
        node["inputs"][slot]["link"] = number
        links.append(_link(number, INPUT_NODE, index, node["id"], slot))
    numbers = list(range(first, len(links) + 1))
    return {
        "id": _id(name, str(len(graph.nodes))),
        "name": name,
        "type": "IMAGE",
        "linkIds": numbers,
    }


def _link(number: int, origin: int, slot: int, target: int, target_slot: int) -> dict[str, Any]:
    return {
        "id": number,
        "origin_id": origin,
        "origin_slot": slot,
        "target_id": target,
        "target_slot": target_slot,
        "type": "IMAGE",
    }


def _end(number: int, left: int, slots: int) -> dict[str, Any]:
    return {"id": number, "bounding": [left, TITLE, END_WIDTH, 40 + 20 * slots]}


def _id(*names: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("urst/subgraphs", *names))))


def main() -> None:
    types = all_types(asyncio.run(load_nodes()))
    FOLDER.mkdir(exist_ok=True)
    for name in BLUEPRINTS:
        (FOLDER / f"{name}.json").write_text(make_subgraph(name, types), encoding="utf-8")


if __name__ == "__main__":
    main()
