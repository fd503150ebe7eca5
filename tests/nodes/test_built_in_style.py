"""Built-in Style: a style by its name, from weights that have several."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from examples import picture
from safetensors.torch import save_file

from urst_core.backbones.conditional import ConditionalNormalization

CONTENT = picture((40, 56), seed=3).permute(1, 2, 0)[None]
LOOK = {"thumbnail_size": 32, "style_size": 32, "strength": 1.0, "statistics": "thumbnail"}
COMPUTING = {"precision": "fp32", "device": "cpu"}
WIDTHS = (8, 8, 8, 4, 4)

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def folder(host, tmp_path, pack):
    """models/urst, with weights of three styles, and others of any painting."""
    host.folder = tmp_path / "models"
    host.folder.mkdir()
    data = Path(pack.__file__).parent / "urst_core" / "data"
    shutil.copy(data / "microast_default.safetensors", host.folder / "any.safetensors")
    save_bank(host.folder / "sub" / "bank.safetensors", styles=3)
    return host.folder


def save_bank(path, styles, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = ConditionalNormalization(styles, WIDTHS).state_dict()
    path.parent.mkdir(exist_ok=True)
    save_file({n: 0.3 * torch.randn(v.shape, generator=generator) for n, v in state.items()}, path)


@pytest.fixture
def node(nodes):
    return nodes["URSTBuiltInStyle"]


@pytest.fixture
def manifest(part, tmp_path, monkeypatch):
    """Names the styles of a file, and has other weights on the hub."""
    entry = {
        "backbone": "cin",
        "variant": "named",
        "title": "Three styles",
        "description": "For tests.",
        "license": "MIT",
        "paper": "arXiv:1610.07629",
        "source": "a test",
        "styles": ["dawn", "noon", "dusk"],
    }
    here = {"unpublished": True, "conversion": {"command": "urst weights convert a.pth"}}
    home = {
        "variant": "hub",
        "repo_id": "owner/weights",
        "revision": "0" * 40,
        "files": [{"path": "a.safetensors", "bytes": 1, "sha256": "0" * 64}],
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": 1, "weights": [entry | here, entry | home]}))
    monkeypatch.setattr(part("urst_core.weights.manifest"), "manifest_path", lambda: path)


def offered(node):
    """The styles that the node offers, by weights."""
    weights = node.define_schema().inputs[0]
    assert all(len(inputs) == 1 for inputs in weights.nested.values())
    return {choice: style.values["options"] for choice, [style] in weights.nested.items()}


def chosen(node, style, weights="sub/bank.safetensors"):
    return node.execute(weights={"weights": weights, "style": style}, **COMPUTING)


@pytest.mark.usefixtures("folder")
def test_weights_with_several_styles_are_offered_with_their_names(node):
    assert offered(node) == {"sub/bank.safetensors": ["0", "1", "2"]}
    [style] = node.define_schema().inputs[0].nested["sub/bank.safetensors"]
    assert style.id == "style"
    assert style.tooltip


@pytest.mark.usefixtures("folder")
def test_the_picture_is_that_of_the_name_as_text(call, node):
    [plain] = call("LoadBackbone", backbone="auto", weights="sub/bank.safetensors", **COMPUTING)
    pictures = []
    for name in ("0", "2"):
        backbone, style = chosen(node, name)
        assert repr(style) == f"SavedStyle({name} of sub/bank.safetensors, of cin)"
        for inputs in (
            {"backbone": backbone, "saved_style": style},
            {"backbone": plain, "saved_style": style},
            {"backbone": plain, "style_names": name},
        ):
            pictures += call("StylizeImage", content=CONTENT, tile_size=0, **inputs, **LOOK)
    assert all(torch.equal(pictures[0], each) for each in pictures[1:3])
    assert all(torch.equal(pictures[3], each) for each in pictures[4:])
    assert not torch.allclose(pictures[0], pictures[3], atol=0.02)


@pytest.mark.usefixtures("folder")
def test_built_in_styles_are_mixed_and_saved_like_others(call, node):
    styles = {}
    for number, name in enumerate(("0", "2"), 1):
        backbone, styles[f"style_{number}"] = chosen(node, name)
    [mixed] = call("MixStyles", styles=styles)
    results = [
        call("StylizeImage", content=CONTENT, backbone=backbone, tile_size=0, **inputs, **LOOK)[0]
        for inputs in ({"saved_style": mixed}, {"style_names": "0, 2"})
    ]
    assert torch.equal(*results)


@pytest.mark.usefixtures("manifest")
def test_names_of_the_manifest_take_the_place_of_numbers(call, node, folder):
    shutil.move(folder / "sub" / "bank.safetensors", folder / "cin-named.safetensors")
    names = ["dawn", "noon", "dusk"]
    assert offered(node) == {"cin-hub": names, "cin-named.safetensors": names}
    _, style = chosen(node, "dusk", "cin-named.safetensors")
    [plain] = call("LoadBackbone", backbone="cin", weights="cin-named.safetensors", **COMPUTING)
    code = plain.backbone.encode_style(["2"])
    assert all(torch.equal(value, style.code.tensors[name]) for name, value in code.tensors.items())
    # Another file of that name.
    save_bank(folder / "cin-named.safetensors", styles=2)
    assert offered(node)["cin-named.safetensors"] == ["0", "1"]


def test_where_there_are_none_the_list_says_so(node, errors):
    assert offered(node) == {"no weights with several styles": ["no style"]}
    message = (
        "no weights in the folder models/urst have several built-in styles; put a file there that "
        "has, such as weights of cin, and reload the page"
    )
    nothing = {"weights": "no weights with several styles", "style": "no style"}
    assert node.validate_inputs(weights=nothing) == message
    with pytest.raises(errors.WeightsError) as caught:
        node.execute(weights=nothing, **COMPUTING)
    assert str(caught.value) == message


@pytest.mark.usefixtures("folder")
def test_weights_that_are_not_in_the_list_are_refused(node, errors):
    message = (
        "these weights are not in the folder models/urst, or do not have several built-in styles; "
        "choose one of: sub/bank.safetensors"
    )
    assert node.validate_inputs(weights={"weights": "any.safetensors"}) == message
    assert node.validate_inputs(weights={"weights": "sub/bank.safetensors"}) is True
    # ComfyUI leaves out a choice that is not in the list, and does not ask for its validity.
    assert node.validate_inputs() is True
    assert node.fingerprint_inputs(**COMPUTING) == ""
    for inputs in ({}, {"weights": {"weights": "any.safetensors", "style": "0"}}):
        with pytest.raises(errors.WeightsError) as caught:
            node.execute(**inputs, **COMPUTING)
        assert str(caught.value) == message


@pytest.mark.usefixtures("folder")
def test_a_style_that_the_weights_do_not_have_is_refused(node, errors):
    with pytest.raises(errors.WeightsError) as caught:
        chosen(node, "3")
    assert str(caught.value) == (
        "weights sub/bank.safetensors have no style '3'; reload the page, and choose another"
    )


def test_a_changed_file_reruns_the_node(node, folder):
    choice = {"weights": "sub/bank.safetensors", "style": "0"}
    before = node.fingerprint_inputs(weights=choice, **COMPUTING)
    assert node.fingerprint_inputs(weights=choice, **COMPUTING) == before
    os.utime(folder / "sub" / "bank.safetensors", (1, 1))
    assert node.fingerprint_inputs(weights=choice, **COMPUTING) != before
