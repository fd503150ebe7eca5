"""The VGG for losses: loading and refusals."""

from __future__ import annotations

import pytest
import torch
from examples import picture
from safetensors.torch import save_file
from torch import nn

from urst_core.errors import WeightsError
from urst_core.training.vgg import VGGFeatures, features_without_gradient, load_vgg


def test_features_are_taken_after_each_relu(vgg):
    pictures = torch.stack([picture((32, 40), seed=n) for n in range(2)])
    features = VGGFeatures(vgg)(pictures)
    assert [tuple(f.shape) for f in features] == [
        (2, 64, 32, 40),
        (2, 128, 16, 20),
        (2, 256, 8, 10),
        (2, 512, 4, 5),
    ]
    hidden = pictures
    expected = []
    for index, layer in enumerate(vgg):
        hidden = layer(hidden)
        # By the numbers of pytorch-AdaIN: the first ReLU of each level.
        if index in (3, 10, 17, 30):
            assert isinstance(layer, nn.ReLU)
            expected.append(hidden)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(features, expected))


@pytest.mark.parametrize("size", [(16, 16), (16, 96), (23, 17)])
def test_smallest_pictures(vgg, size):
    assert VGGFeatures(vgg)(picture(size)[None])[-1].isfinite().all()


def test_layers_that_are_given_stay_as_they_are(vgg):
    """Although their memory layout is changed for fast convolutions."""
    features = VGGFeatures(vgg).to(memory_format=torch.channels_last)
    assert features.levels[1][1].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(parameter.is_contiguous() for parameter in vgg.parameters())


def test_features_of_targets_have_no_gradient(vgg):
    pictures = picture((16, 16))[None].requires_grad_()
    assert not features_without_gradient(VGGFeatures(vgg), pictures)[-1].requires_grad
    assert VGGFeatures(vgg)(pictures)[-1].requires_grad


def test_loads_frozen_in_float32(vgg, tmp_path):
    """Also from half precision, with AdaIN's prefix, and with the layers beyond relu4_1."""
    state = {f"vgg.{name}": value.half() for name, value in vgg.state_dict().items()}
    path = tmp_path / "vgg.safetensors"
    save_file({**state, "vgg.32.weight": torch.zeros(512, 512, 3, 3)}, path)
    loaded = load_vgg(path)
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, vgg.state_dict()[name].half().float())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert not loaded.training


def refusal(path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_vgg(path)
    return str(caught.value)


def test_other_layouts(vgg, tmp_path):
    path = tmp_path / "vgg.safetensors"
    save_file({f"features.{name}": value for name, value in vgg.state_dict().items()}, path)
    assert refusal(path) == (
        f"VGG file {path} has no '0.weight'; use the normalized VGG-19 in the key layout of "
        "pytorch-AdaIN (0.weight to 28.weight)"
    )
    state = vgg.state_dict()
    save_file({**state, "12.weight": torch.zeros(128, 128, 1, 1)}, path)
    assert refusal(path) == (
        f"VGG file {path}: 12.weight has shape (128, 128, 1, 1), not (128, 128, 3, 3); "
        "use the normalized VGG-19, not a VGG-16"
    )
    save_file({**state, "12.weight": torch.full((128, 128, 3, 3), float("nan"))}, path)
    assert refusal(path) == f"VGG file {path}: 12.weight has NaN or infinite values; get it again"


def test_missing_files_and_pickles(vgg, tmp_path):
    path = tmp_path / "vgg.pth"
    assert refusal(path) == f"weights file {path} does not exist; check the path"
    torch.save(vgg.state_dict(), path)
    assert refusal(path) == (
        f"weights file {path} is a pickle, which can run any code when it is loaded; "
        "use its safetensors version"
    )
    path.write_bytes(b"garbage")
    assert "is not a readable safetensors file" in refusal(path)
