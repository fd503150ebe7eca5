"""Loading a backbone by name: embedded weights, a file, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import urst_core
from urst_core.backbones import REGISTRY
from urst_core.errors import SettingsError, WeightsError
from urst_core.weights.checkpoint import fingerprint
from urst_core.weights.loading import EMBEDDED_FILES, load_backbone

EMBEDDED = Path(urst_core.__file__).parent / "data" / EMBEDDED_FILES["microast"]


def test_embedded_weights(microast):
    assert microast.traits.name == "microast"
    assert microast.fingerprint == fingerprint(load_file(EMBEDDED))
    assert not microast.network.training
    for parameter in microast.network.parameters():
        assert parameter.dtype == torch.float32
        assert not parameter.requires_grad
        assert bool(parameter.isfinite().all())


def test_a_given_file_equals_the_embedded_one(microast):
    given = load_backbone("microast", EMBEDDED)
    assert given.fingerprint == microast.fingerprint
    for ours, theirs in zip(
        given.network.state_dict().values(), microast.network.state_dict().values()
    ):
        assert torch.equal(ours, theirs)


def test_backbone_without_embedded_weights():
    with pytest.raises(WeightsError) as caught:
        load_backbone("adain")
    assert str(caught.value) == (
        "AdaIN has no embedded weights; give a safetensors file as weights, or make one from "
        "the published files with 'urst weights convert FILES --backbone adain -o OUT'"
    )


def test_unknown_backbone(tmp_path):
    with pytest.raises(SettingsError, match="backbone 'stylegan' is unknown; use one of: microast"):
        load_backbone("stylegan", tmp_path / "absent.safetensors")


def test_every_embedded_file_belongs_to_a_backbone():
    names = set(REGISTRY)
    assert set(EMBEDDED_FILES) <= names
    for name in EMBEDDED_FILES:
        assert load_backbone(name).traits.name == name
