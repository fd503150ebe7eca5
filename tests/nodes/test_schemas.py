"""Properties that every node's schema must have."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = ("INT", "FLOAT", "COMBO", "STRING", "BOOLEAN")
FILE_CHOICES = ("image", "content", "style_file", "files")
"""Combos whose options are files of a user's folder."""
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
)


def test_the_pack_imports_without_comfyui_and_is_not_a_v1_pack(pack):
    assert not hasattr(pack, "NODE_CLASS_MAPPINGS")


def test_the_nodes_and_the_model_folder(nodes, host):
    assert tuple(nodes) == NODE_IDS
    assert len({node.define_schema().display_name for node in nodes.values()}) == len(nodes)
    [folder] = host.registered["urst"]
    assert Path(folder) == Path("models/urst")
    assert not logging.getLogger("pyvips.vobject").isEnabledFor(logging.INFO)


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
def test_execute_accepts_all_inputs_of_the_schema(nodes, node_id):
    parameters = inspect.signature(nodes[node_id].execute).parameters
    inputs = nodes[node_id].define_schema().inputs
    assert list(parameters) == [socket.id for socket in inputs]
    for socket in inputs:
        has_default = parameters[socket.id].default is not inspect.Parameter.empty
        assert has_default == socket.optional, socket.id
        if has_default and "default" in socket.values:
            assert parameters[socket.id].default == socket.values["default"]


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
