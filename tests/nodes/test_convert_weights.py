"""Convert Weights with the stub: published files become weights that load."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")


@pytest.fixture
def folder(host, tmp_path):
    """models/urst, with MicroAST's published files in a folder, and a stranger's."""
    host.folder = tmp_path / "models"
    (host.folder / "microast").mkdir(parents=True)
    return host.folder


@pytest.fixture
def published(folder, part):
    path = part("urst_core.weights.loading").__file__
    state = load_file(path.replace("weights/loading.py", "data/microast_default.safetensors"))
    for name in PARTS:
        values = {
            key.removeprefix(f"{name}."): value
            for key, value in state.items()
            if key.startswith(f"{name}.")
        }
        torch.save(values, folder / "microast" / f"{name}.pth.tar")
    return folder


@pytest.fixture
def convert(nodes):
    inputs = {"files": "microast/", "backbone": "auto", "name": "", "trust": True}
    return lambda **more: nodes["URSTConvertWeights"].execute(**(inputs | more))


def options_of(node):
    return next(s for s in node.define_schema().inputs if s.id == "files").values["options"]


@pytest.mark.usefixtures("published")
def test_files_and_folders_are_offered(nodes, folder):
    (folder / "notes.txt").write_bytes(b"1")
    (folder / "other.t7").write_bytes(b"1")
    names = [f"microast/{name}.pth.tar" for name in sorted(PARTS)]
    assert options_of(nodes["URSTConvertWeights"]) == ["microast/", *names, "other.t7"]


@pytest.mark.slow
@pytest.mark.usefixtures("published")
def test_a_folder_of_published_files_becomes_weights_of_the_network_they_belong_to(
    convert, nodes, folder
):
    name, loaded = convert()
    assert name == "microast-microast.safetensors"
    assert loaded.backbone.traits.name == "microast"
    [again] = nodes["URSTLoadBackbone"].execute(
        backbone="auto", weights=name, precision="auto", device="cpu"
    )
    assert again.backbone.fingerprint == loaded.backbone.fingerprint
    assert (folder / name).is_file()
    assert convert(name="mine", backbone="microast")[0] == "mine.safetensors"


def test_files_are_only_read_if_the_user_trusts_them(convert, nodes, published, errors):
    node = nodes["URSTConvertWeights"]
    assert "switch trust on" in node.validate_inputs(trust=False)
    assert node.validate_inputs(trust=True) is True
    assert node.validate_inputs() is True
    with pytest.raises(errors.WeightsError, match="files are only read if you trust their source"):
        convert(trust=False)
    assert list(published.glob("*.safetensors")) == []


@pytest.mark.slow
@pytest.mark.usefixtures("published")
def test_what_cannot_be_converted_is_told(convert, errors):
    with pytest.raises(
        errors.WeightsError, match=r"decoder\.pth\.tar: not all published files of one network"
    ):
        convert(files="microast/decoder.pth.tar")
    with pytest.raises(errors.WeightsError, match="MicroAST lacks its"):
        convert(files="microast/decoder.pth.tar", backbone="microast")
    with pytest.raises(errors.WeightsError, match=r"'gone\.pth' is not in the folder models/urst"):
        convert(files="gone.pth")
    with pytest.raises(errors.WeightsError, match=r"name '../a' has folders or is none"):
        convert(name="../a")
    convert(name="mine")
    with pytest.raises(errors.OutputError, match=r"mine\.safetensors exists; choose another name"):
        convert(name="mine")


def test_changed_files_are_converted_again(nodes, published):
    node = nodes["URSTConvertWeights"]
    before = node.fingerprint_inputs(files="microast/")
    assert node.fingerprint_inputs(files="microast/") == before
    (published / "microast" / "decoder.pth.tar").write_bytes(b"other")
    assert node.fingerprint_inputs(files="microast/") != before


def test_weights_of_no_network_name_the_node_that_converts(nodes, folder, errors):
    save_file({"a.weight": torch.zeros(3)}, folder / "strange.safetensors")
    with pytest.raises(errors.WeightsError) as told:
        nodes["URSTLoadBackbone"].execute(
            backbone="auto", weights="strange.safetensors", precision="auto", device="cpu"
        )
    assert "do not have the parameter names of any network" in str(told.value)
    assert str(told.value).endswith("convert them with the node Convert Weights")
