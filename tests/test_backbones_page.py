"""docs/backbones.md: its table lists every network with its size and halo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.backbones.metanet import MetaNet
from urst_core.backbones.microast import MicroAST

PAGE = Path(__file__).resolve().parents[1] / "docs" / "backbones.md"


@pytest.fixture(scope="module")
def rows():
    text = PAGE.read_text(encoding="utf-8")
    row = r"^\| (\w+)(?:, (?:width )?(\w+)(?: \(built in\))?)? \| ([\d,]+) \|.*$"
    lines = re.findall(row, text, re.MULTILINE)
    halos = re.findall(r"\| (\d+) \| \d+ \|$", text, re.MULTILINE)
    assert len(lines) == len(halos)
    return [(*line, int(halo)) for line, halo in zip(lines, halos)]


def test_every_network_is_listed(rows):
    assert list(dict.fromkeys(name for name, *_ in rows)) == list(REGISTRY)


@pytest.mark.slow
def test_sizes_and_halos_are_those_of_the_networks(rows):
    for name, variant, parameters, halo in rows:
        with torch.device("meta"):
            network = network_of(name, variant)
        count = sum(parameter.numel() for parameter in network.parameters())
        assert f"{count:,}" == parameters, (name, variant)
        assert network.traits.halo == halo, name


def network_of(name: str, variant: str) -> nn.Module:
    if not variant:
        return find_backbone(name)()
    return MetaNet(int(variant)) if name == "metanet" else MicroAST(**{variant: True})
