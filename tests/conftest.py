"""What several tests need: the shared folder, backbones with random weights, pictures."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from examples import random_backbone

from urst_core.backbone import Backbone
from urst_core.backbones import find_backbone
from urst_core.weights import load_backbone

# Machines differ in speed; what a property says does not.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference outputs and pictures that lie beside a checkout and are not part of it."""
    if not SHARED.is_dir():
        pytest.skip("no folder ../shared beside the checkout: nothing to compare with")
    return SHARED


@pytest.fixture(scope="session")
def microast() -> Backbone:
    """The default backbone with its embedded weights."""
    return load_backbone()


@pytest.fixture(scope="session")
def random_backbones() -> RandomBackbones:
    """Every backbone in its published shape, with random weights that give pictures in 0..1."""
    return RandomBackbones()


class RandomBackbones(dict[str, Backbone]):
    """Made when they are asked for: the large ones take seconds."""

    def __missing__(self, name: str) -> Backbone:
        self[name] = random_backbone(find_backbone(name))
        return self[name]
