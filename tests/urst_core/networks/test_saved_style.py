"""Style files: the same code comes back, and other files and other weights are refused."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from damage import flip_bit
from examples import picture, random_backbone, save_picture, stored_picture
from safetensors.torch import load_file

from urst_core.backbones.microast import MicroAST
from urst_core.durable import write_tensors
from urst_core.errors import OutputError, StatsError
from urst_core.formats.styles import open_style
from urst_core.method.style_saving import PREVIEW_SIZE, make_saved_style
from urst_core.networks.saved_style import SavedStyle, is_style_file
from urst_core.networks.style import blend
from urst_core.pictures.source import TensorSource


@pytest.fixture(scope="module")
def painting():
    return TensorSource(stored_picture((200, 320), seed=3))


@pytest.fixture(scope="module")
def style(microast, painting):
    return make_saved_style([painting], microast, title="Stars, 星夜")


@pytest.fixture
def path(tmp_path, style):
    path = tmp_path / "stars.style.safetensors"
    style.save(path)
    return path


def test_the_same_style_comes_back(microast, style, path):
    loaded = SavedStyle.load(path)
    assert (loaded.title, loaded.backbone) == ("Stars, 星夜", "microast")
    assert loaded.code.fingerprint == microast.fingerprint
    assert loaded.code.tensors.keys() == style.code.tensors.keys()
    for name, value in style.code.tensors.items():
        assert torch.equal(loaded.code.tensors[name], value)
    assert torch.equal(loaded.preview, style.preview)
    assert path.stat().st_size < 100_000


def test_the_code_is_that_of_the_picture(microast, style, painting):
    expected = microast.encode_style([painting.pixels[None] / 255])
    for name, value in expected.tensors.items():
        assert torch.equal(style.code.tensors[name], value)


def test_the_preview_is_the_picture_in_small(style, painting):
    assert style.preview.shape == (3, 100, PREVIEW_SIZE)
    assert style.preview.dtype == torch.uint8
    halves = painting.pixels.float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4))
    assert float((style.preview - halves).abs().mean()) < 8


def test_without_a_preview(tmp_path, style):
    path = tmp_path / "plain.style.safetensors"
    replace(style, preview=None).save(path)
    assert SavedStyle.load(path).preview is None


def test_built_in_styles_are_saved_without_a_preview(random_backbones, tmp_path):
    backbone = random_backbones["cin"]
    saved = make_saved_style(["3", "12"], backbone, style_weights=[1, 2])
    assert saved.preview is None
    path = tmp_path / "mixture.style.safetensors"
    saved.save(path)
    code = open_style(str(path), backbone)
    expected = backbone.encode_style(["3", "12"], [1, 2])
    assert code.fingerprint == backbone.fingerprint
    for name, value in expected.tensors.items():
        assert torch.equal(code.tensors[name], value)
    assert open_style("3", backbone) == "3"


def test_codes_mix_with_pictures(microast, style):
    other = picture((48, 56), seed=5)[None]
    mixed = microast.encode_style([style.code, other], [1, 3])
    expected = blend([style.code, microast.encode_style([other])], [1, 3])
    for name, value in expected.tensors.items():
        assert torch.equal(mixed.tensors[name], value)


def test_names_of_style_files():
    assert is_style_file("a.style.safetensors")
    assert is_style_file("A.SafeTensors")
    assert not is_style_file("a.safetensors.jpg")
    assert not is_style_file("3")


def test_pictures_are_still_pictures(microast, tmp_path):
    path = save_picture(tmp_path / "style.png", stored_picture((20, 30)))
    assert open_style(str(path), microast).size == (20, 30)


# Refused


def test_another_network(path, random_backbones):
    with pytest.raises(StatsError) as caught:
        open_style(str(path), random_backbones["cin"])
    assert str(caught.value) == (
        "style 'Stars, 星夜' of backbone 'microast' does not fit 'cin'; "
        "pass backbone='microast', or save the style again with this one"
    )


def test_other_weights(path, microast):
    other = random_backbone(MicroAST, seed=5)
    with pytest.raises(StatsError) as caught:
        open_style(str(path), other)
    assert str(caught.value) == (
        f"a style that was encoded with weights {microast.fingerprint[:12]} does not fit weights "
        f"{other.fingerprint[:12]}; encode it with the same weights"
    )
    with pytest.raises(StatsError):
        other.encode_style([SavedStyle.load(path).code])


def test_missing_file(tmp_path):
    path = tmp_path / "absent.style.safetensors"
    with pytest.raises(StatsError) as caught:
        SavedStyle.load(path)
    assert str(caught.value) == f"style file {path} does not exist; check the path"


def test_a_flipped_bit_is_noticed(path):
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(20):
        path.write_bytes(whole)
        flip_bit(path, chance)
        with pytest.raises(StatsError, match=r"cannot be read as a style \("):
            SavedStyle.load(path)


def test_other_files_of_ours(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"weight": torch.zeros(3)}, {"format": "urst-stats-2"})
    with pytest.raises(StatsError) as caught:
        SavedStyle.load(path)
    assert str(caught.value) == (
        f"{path} has the format 'urst-stats-2', not 'urst-style-1'; "
        "save the style with 'urst style save'"
    )


def test_an_incomplete_header(path):
    facts = {"format": "urst-style-1", "backbone": "microast", "title": ""}
    write_tensors(path, load_file(path), facts)
    with pytest.raises(StatsError) as caught:
        SavedStyle.load(path)
    assert str(caught.value) == f"{path} is damaged (KeyError('fingerprint')); save it again"


def test_a_folder_that_cannot_be_written_to(tmp_path, style):
    path = tmp_path / "absent" / "a.style.safetensors"
    with pytest.raises(OutputError) as caught:
        style.save(path)
    assert str(caught.value).startswith(f"style {path} cannot be written (")
