"""Headers of weights files: the styles in them are told without loading anything."""

from __future__ import annotations

import json
import struct

import pytest
import torch

from urst_core.backbones import all_backbones
from urst_core.weights.header import LARGEST_HEADER, styles_in


def save_header(path, state):
    """A weights file that ends behind its header."""
    facts = {
        name: {"dtype": "F32", "shape": [*value.shape], "data_offsets": [0, 4 * value.numel()]}
        for name, value in state.items()
    }
    text = json.dumps({"__metadata__": {"urst": "{}"}, **facts}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


@pytest.mark.parametrize("network", all_backbones(), ids=lambda each: each.traits.name)
def test_the_header_tells_the_styles_of_every_network_that_has_several(tmp_path, network):
    with torch.device("meta"):
        built = network()
    path = save_header(tmp_path / "header.safetensors", built.state_dict())
    assert path.stat().st_size < LARGEST_HEADER / 16
    assert styles_in(path) == (built.style_names if len(built.style_names) > 1 else ())


@pytest.mark.parametrize("styles", [1, 7])
def test_a_bank_of_any_size(tmp_path, styles):
    state = {"transformer.contract.conv1.gamma": torch.empty(styles, 8)}
    names = styles_in(save_header(tmp_path / "bank.safetensors", state))
    assert names == ("0", "1", "2", "3", "4", "5", "6")[:styles]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no header",
        struct.pack("<Q", LARGEST_HEADER + 1) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b"{",
        struct.pack("<Q", 8) + b'{"\xff": 1}',
        *(
            struct.pack("<Q", 100) + f'{{"transformer.contract.conv1.gamma": {value}}}'.encode()
            for value in ("1", "{}", '{"shape": []}', '{"shape": ["a"]}')
        ),
    ],
)
def test_what_is_no_weights_file_has_no_styles(tmp_path, content):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    assert styles_in(path) == ()


def test_a_missing_file_has_no_styles(tmp_path):
    assert styles_in(tmp_path / "absent.safetensors") == ()
    assert styles_in(tmp_path) == ()
