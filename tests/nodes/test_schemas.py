"""Properties that every node's schema must have."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = ("INT", "FLOAT", "COMBO", "STRING", "BOOLEAN")
FILE_CHOICES = ("image", "content", "style_file", "files")
"""Combos whose options are files of a user's folder."""
GROWING_IDS = ("URSTMixStyles", "URSTStyleRegions")
"""Nodes for versions of ComfyUI that have inputs that grow."""
NESTING_ID = "URSTBuiltInStyle"
"""The node for versions whose choices may have inputs of their own."""
NODE_IDS = (
    "URSTLoadBackbone",
    "URSTMakeThumbnailStats",
    "URSTTileImage",
    "URSTStylizePatches",
    "URSTAssembleTiles",
    "URSTJoinDetail",
    "URSTMergeStrokes",
    "URSTStylizeImage",
    "URSTStyleRegion",
    "URSTLoadImage",
    "URSTSaveImage",
    "URSTStylizeFile",
    "URSTStylizeVideoFile",
    "URSTLoadStyle",
    "URSTSaveStyle",
    "URSTConvertWeights",
    *GROWING_IDS,
    NESTING_ID,
)


def test_the_pack_imports_without_comfyui_and_is_not_a_v1_pack(pack):
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS")


def test_the_nodes_and_the_model_folder(nodes, host):
    assert tuple(nodes) == NODE_IDS
    assert len({node.define_schema().display_name for node in nodes.values()}) == len(nodes)
    [folder] = host.registered["urst"]
    assert Path(folder) == Path("models/urst")
    assert not logging.getLogger("pyvips.vobject").isEnabledFor(logging.INFO)


@pytest.mark.parametrize(
    ("inputs", "missing"), [("Autogrow", GROWING_IDS), ("DynamicCombo", (NESTING_ID,))]
)
def test_versions_without_newer_inputs_lack_the_nodes_that_need_them(
    pack, part, monkeypatch, inputs, missing
):
    monkeypatch.delattr(part("nodes.sockets").io, inputs)
    extension = asyncio.run(pack.comfy_entrypoint())
    found = [node.define_schema().node_id for node in asyncio.run(extension.get_node_list())]
    assert tuple(found) == tuple(name for name in NODE_IDS if name not in missing)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_every_socket_is_explained_and_has_an_id_of_its_own(nodes, node_id):
    schema = nodes[node_id].define_schema()
    sockets = [*schema.inputs, *schema.outputs]
    assert schema.category == "image/style transfer"
    assert schema.description
    assert all(socket.tooltip for socket in sockets)
    assert all(output.values.get("display_name") for output in schema.outputs)
    assert len({socket.id for socket in sockets}) == len(sockets)
    assert len({id(socket) for socket in sockets}) == len(sockets)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_execute_accepts_all_inputs_of_the_schema(nodes, part, node_id):
    own, shared = parameters_of(nodes[node_id].execute, part("nodes.look").settings_of)
    inputs = {socket.id: socket for socket in nodes[node_id].define_schema().inputs}
    parameters = {**shared, **own}
    assert set(own) <= set(inputs) <= set(parameters)
    for name, socket in inputs.items():
        default = parameters[name].default
        # ComfyUI leaves out a value that is none of the options.
        may_be_absent = socket.optional or bool(socket.nested)
        assert (default is not inspect.Parameter.empty) == may_be_absent, name
        if socket.optional and "default" in socket.values:
            assert default == socket.values["default"]
    unused = [shared[name] for name in set(shared) - set(inputs)]
    assert all(each.default is not inspect.Parameter.empty for each in unused)


def parameters_of(
    execute: Callable[..., Any], settings_of: Callable[..., Any]
) -> tuple[dict[str, inspect.Parameter], dict[str, inspect.Parameter]]:
    """Parameters of a node by name: its own, and those that ``**look`` passes on."""
    own = dict(inspect.signature(execute).parameters)
    if own.pop("look", None) is None:
        return own, {}
    shared = dict(inspect.signature(settings_of).parameters)
    del shared["backbone"]
    return own, {name: shared[name] for name in shared if name not in own}


def test_pages_fold_away_what_few_users_change_and_show_shares_as_sliders(nodes):
    sockets = [s for node in nodes.values() for s in node.define_schema().inputs]
    folded = {s.id for s in sockets if s.extra_dict == {"advanced": True}}
    assert folded >= {"precision", "device", "tile_size", "style_names", "brushwork_seed"}
    assert not folded & {"content", "style", "strength", "strokes", "backbone", "weights"}
    for socket in sockets:
        is_share = socket.io_type == "FLOAT" and socket.values["max"] == 1.0
        assert (socket.values.get("display_mode") == "slider") == is_share, socket.id


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_defaults_are_in_range(nodes, node_id):
    for socket in nodes[node_id].define_schema().inputs:
        values = socket.values
        if socket.io_type == "COMBO" and socket.id in FILE_CHOICES:
            assert values["options"] == []
            assert "default" not in values
        elif socket.io_type == "COMBO":
            assert values["default"] in values["options"]
        elif socket.io_type == "STRING":
            assert isinstance(values["default"], str)
        elif socket.io_type == "BOOLEAN":
            assert isinstance(values["default"], bool)
        elif socket.io_type in WIDGETS:
            assert values["min"] <= values["default"] <= values["max"]
