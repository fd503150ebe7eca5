"""Write workflows/*.json from the nodes' schemas.

    python tools/make_workflows.py

Run it after the inputs of a node change: workflows store values in the order of widgets.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import chinese
from core_nodes import CORE_NODES
from node_types import NodeType, Socket
from recipes_of_several import compare_backbones, regions_with_masks, video_shared_statistics
from recipes_of_steps import (
    five_nodes,
    hundred_megapixels,
    quick_start,
    strokes_by_hand,
    stylize_then_upscale,
    upscale_then_stylize,
    video_file,
)
from template_names import TEMPLATES
from workflow_graph import Graph

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "workflows"

RECIPES: Mapping[str, Callable[[Graph], None]] = {
    recipe.__name__: recipe
    for recipe in (
        quick_start,
        five_nodes,
        strokes_by_hand,
        hundred_megapixels,
        upscale_then_stylize,
        stylize_then_upscale,
        regions_with_masks,
        video_shared_statistics,
        video_file,
        compare_backbones,
    )
}

FILE_CHOICES = ("image", "content", "weights")
"""Combos whose choices are files of a user's folder."""


def node_type(schema: Any) -> NodeType:
    """Convert the schema of one of our nodes to a node type."""
    outputs = tuple(Socket(o.values["display_name"], o.io_type) for o in schema.outputs)
    return NodeType(tuple(map(_input, schema.inputs)), outputs)


def _input(socket: Any) -> Socket:
    values = socket.values
    return Socket(
        socket.id,
        socket.io_type,
        optional=socket.optional,
        default=values.get("default"),
        choices=() if socket.id in FILE_CHOICES else tuple(values.get("options", ())),
        limits=(values["min"], values["max"]) if "min" in values else None,
    )


def all_types(nodes: Iterable[Any]) -> dict[str, NodeType]:
    """All node types by name, ComfyUI's and ours."""
    schemas = [node.define_schema() for node in nodes]
    return {**CORE_NODES, **{schema.node_id: node_type(schema) for schema in schemas}}


def make_workflow(name: str, types: Mapping[str, NodeType]) -> str:
    """The content of a workflow's file; ``name`` is its recipe's."""
    graph = Graph(types)
    RECIPES[name](graph)
    graph.translate_note(chinese.NOTES[name], chinese.NOTE_TITLE)
    return json.dumps(graph.as_json(name), indent=2, ensure_ascii=False) + "\n"


def pack_over_a_stub() -> ModuleType:
    """Import the pack with the tests' stub of ComfyUI."""
    stub = _load("stub_of_comfyui", ROOT / "tests" / "nodes" / "conftest.py")
    sys.modules.update(stub.stub_modules())
    return _load(stub.PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])


def _load(name: str, path: Path, **options: Any) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, **options)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


async def load_nodes() -> list[Any]:
    """Our nodes, over the tests' stub of ComfyUI."""
    return await (await pack_over_a_stub().comfy_entrypoint()).get_node_list()


def main() -> None:
    types = all_types(asyncio.run(load_nodes()))
    for name in RECIPES:
        path = FOLDER / f"{TEMPLATES[name]}.json"
        path.write_text(make_workflow(name, types), encoding="utf-8")


if __name__ == "__main__":
    main()
