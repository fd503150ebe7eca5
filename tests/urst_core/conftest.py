"""Pictures and a VGG for training, made once, for the trainer and its command."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn
from training_examples import random_vgg, save_pictures


@pytest.fixture(scope="session")
def vgg() -> nn.Sequential:
    """The normalized VGG-19 in its published shape, with random weights."""
    return random_vgg()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folders ``content`` and ``style``; tests must not change it."""
    folder = tmp_path_factory.mktemp("pictures")
    save_pictures(folder / "content", 4, seed=10)
    save_pictures(folder / "style", 4, seed=20, edge=24)
    return folder


@pytest.fixture(scope="session")
def vgg_file(vgg: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The VGG as a safetensors file."""
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    save_file(vgg.state_dict(), path)
    return path
