"""A backbone moves only if it has to."""

from __future__ import annotations

import pytest
import torch

from urst_core.networks.model import is_same_device


@pytest.mark.parametrize(
    ("here", "named", "expected"),
    [
        ("cpu", "cpu", True),
        ("cpu", "cuda", False),
        ("mps:0", "mps", True),
        ("cuda:1", "cuda", True),
        ("cuda:0", "cuda", False),
        ("cuda:0", "cuda:0", True),
        ("cuda:0", "cuda:1", False),
    ],
)
def test_names_of_devices(monkeypatch, here, named, expected):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert is_same_device(torch.device(here), torch.device(named)) is expected


def test_a_backbone_that_is_there_is_not_copied(microast):
    assert microast.on(torch.device("cpu")) is microast
    elsewhere = microast.on(torch.device("meta"))
    assert elsewhere.device.type == "meta"
    assert microast.device.type == "cpu"
