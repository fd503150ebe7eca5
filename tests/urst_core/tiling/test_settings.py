"""Settings: refused before any work, with the value, the rule and the remedy."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from urst_core.backbones.adain import AdaIN
from urst_core.backbones.microast import MicroAST
from urst_core.errors import DeviceError, SettingsError
from urst_core.tiling.settings import STATS_KINDS, Settings


@pytest.mark.parametrize("network", [MicroAST, AdaIN])
def test_defaults_are_valid_for_every_backbone(network):
    assert Settings().check(network.traits) is None


@pytest.mark.parametrize("network", [MicroAST, AdaIN])
@pytest.mark.parametrize(
    "settings",
    [
        {"thumbnail_size": 0},
        {"style_size": 0},
        {"thumbnail_size": 16, "style_size": 16},
        {"tile_size": 8},
        {"tile_size": 100_000},
        *({"stats": kind} for kind in STATS_KINDS),
        {"strength": 0.0},
        {"strength": 1},
        {"precision": "fp32"},
        {"precision": "bf16"},
        {"device": "cpu"},
    ],
    ids=str,
)
def test_limits_are_included(network, settings):
    assert Settings(**settings).check(network.traits) is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"thumbnail_size": 15},
            SettingsError,
            "thumbnail size 15 is too small for AdaIN; "
            "use 16 or more, or 0 to keep the picture's own",
        ),
        (
            {"style_size": 1},
            SettingsError,
            "style size 1 is too small for AdaIN; use 16 or more, or 0 to keep the picture's own",
        ),
        (
            {"thumbnail_size": -1024},
            SettingsError,
            "thumbnail size -1024 is too small for AdaIN; "
            "use 16 or more, or 0 to keep the picture's own",
        ),
        (
            {"tile_size": 164},
            SettingsError,
            "tile size 164 is not a positive multiple of AdaIN's stride 8; use 160 or 168",
        ),
        (
            {"tile_size": 0},
            SettingsError,
            "tile size 0 is not a positive multiple of AdaIN's stride 8; use 8 or more",
        ),
        (
            {"tile_size": -64},
            SettingsError,
            "tile size -64 is not a positive multiple of AdaIN's stride 8; use 8 or more",
        ),
        (
            {"stats": "median"},
            SettingsError,
            "statistics 'median' are unknown; use thumbnail, exact or local",
        ),
        ({"stats": ""}, SettingsError, "statistics '' are unknown; use thumbnail, exact or local"),
        ({"strength": -0.1}, SettingsError, "strength -0.1 is out of range; use 0 to 1"),
        ({"strength": 2}, SettingsError, "strength 2 is out of range; use 0 to 1"),
        (
            {"device": "gpu"},
            DeviceError,
            "device 'gpu' is unknown; use auto, cpu, cuda, cuda:N or mps",
        ),
        (
            {"colors": "lab"},
            SettingsError,
            "colors 'lab' are unknown; use style, content or matched",
        ),
        (
            {"precision": "half"},
            DeviceError,
            "precision 'half' is unknown; use auto, fp32, fp16, bf16",
        ),
    ],
    ids=str,
)
def test_invalid_settings_are_refused(settings, error, message):
    with pytest.raises(error) as caught:
        Settings(**settings).check(AdaIN.traits)
    assert str(caught.value) == message


def test_unsupported_precision_is_refused():
    traits = dataclasses.replace(AdaIN.traits, half_precision=(torch.bfloat16,))
    assert Settings(precision="bf16").check(traits) is None
    with pytest.raises(DeviceError) as caught:
        Settings(precision="fp16").check(traits)
    assert str(caught.value) == "AdaIN does not work in fp16; use fp32 or auto"


def test_settings_are_values():
    settings = Settings(tile_size=64)
    assert settings == Settings(tile_size=64)
    assert settings != Settings(tile_size=128)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.tile_size = 128
