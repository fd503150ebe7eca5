"""Building a recipe and its batches from files and folders."""

from __future__ import annotations

import pytest
import torch
from examples import random_backbone, random_state, save_picture, stored_picture
from safetensors.torch import save_file
from training_examples import (
    EDGE,
    TinyRecipe,
    ignore,
    make_trainer,
    open_batches,
    refuse_to_report,
    save_pictures,
    settings,
)

from urst_core.backbones.adain import AdaIN
from urst_core.backbones.johnson import JohnsonExamples
from urst_core.backbones.microast import MicroAST
from urst_core.errors import SettingsError, TrainingError, WeightsError
from urst_core.training.assembling import (
    assemble_batches,
    assemble_recipe,
    begin_with,
    checkpoint_of,
)
from urst_core.training.checkpoint import KINDS, Checkpoint
from urst_core.training.recipes import find_recipe


@pytest.fixture
def style(tmp_path):
    return save_picture(tmp_path / "style.png", stored_picture((EDGE, EDGE)))


def recipe_of(name, vgg_file, style, start_from=None, **chosen):
    return assemble_recipe(
        find_recipe(name), settings(**chosen), vgg=vgg_file, styles=[style], start_from=start_from
    )


def batches_of(name, contents, styles, report=refuse_to_report):
    return assemble_batches(
        find_recipe(name),
        settings(seed=5),
        contents=contents,
        styles=styles,
        keep_in_memory=False,
        report=report,
    )


def test_checkpoint_is_beside_the_result(tmp_path):
    path = tmp_path / "my.weights.safetensors"
    assert checkpoint_of(path) == tmp_path / "my.weights.checkpoint.safetensors"


# The first weights


@pytest.mark.slow
@pytest.mark.parametrize("network_class", [MicroAST, JohnsonExamples])
def test_start_from_a_result(vgg_file, style, tmp_path, network_class):
    name = {MicroAST: "microast", JohnsonExamples: "johnson"}[network_class]
    state = random_state(network_class(), 3)
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    recipe = recipe_of(name, vgg_file, style, path)
    for key, value in recipe.network.state_dict().items():
        assert torch.equal(value, state[key]), key
    other = recipe_of(name, vgg_file, style)
    assert not all(torch.equal(v, state[k]) for k, v in other.network.state_dict().items())


@pytest.mark.slow
def test_start_from_takes_adains_decoder_and_keeps_the_encoder(vgg_file, style, tmp_path):
    """Or its encoder would be another than the VGG that losses are measured in."""
    state = random_backbone(AdaIN, seed=3).network.state_dict()
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    started = recipe_of("adain", vgg_file, style, path).network.state_dict()
    fresh = recipe_of("adain", vgg_file, style).network.state_dict()
    for key, value in started.items():
        assert torch.equal(value, (state if key.startswith("decoder.") else fresh)[key]), key


@pytest.mark.slow
def test_start_from_a_checkpoint_takes_its_average(vgg_file, style, tmp_path):
    recipe = recipe_of("microast", vgg_file, style)
    states = {kind: random_state(recipe.network, number) for number, kind in enumerate(KINDS)}
    path = checkpoint_of(tmp_path / "other.safetensors")
    Checkpoint(5, 1.0, states, {"backbone": "microast"}).save(path)
    started = recipe_of("microast", vgg_file, style, path).network.state_dict()
    assert all(torch.equal(value, states["average"][key]) for key, value in started.items())
    with pytest.raises(TrainingError) as caught:
        recipe_of("adain", vgg_file, style, path)
    assert str(caught.value) == (
        f"checkpoint {path} is of backbone 'microast', not 'adain'; choose another file"
    )


@pytest.mark.slow
def test_another_training_from_the_weights_of_a_refused_checkpoint(pictures, tmp_path):
    """What the refusal proposes works: changed settings, and --start-from the checkpoint."""
    path = checkpoint_of(tmp_path / "first.safetensors")
    first = make_trainer(pictures, path, steps=3)
    first.run(ignore)
    changed = make_trainer(pictures, path, steps=3, learning_rate=0.01)
    with pytest.raises(TrainingError, match="start another training run from its weights"):
        changed.resume()
    recipe = TinyRecipe(seed=9)
    begin_with(recipe, path)
    expected = first.averaged_weights()
    second = make_trainer(pictures, tmp_path / "second", recipe=recipe, learning_rate=0.01)
    assert all(torch.equal(v, expected[k]) for k, v in recipe.network.state_dict().items())
    second.run(ignore)


def test_refused_first_weights(vgg_file, style, tmp_path):
    path = tmp_path / "weights.safetensors"
    for missing in (path, checkpoint_of(path)):
        with pytest.raises(WeightsError, match="does not exist; check the path"):
            recipe_of("microast", vgg_file, style, missing)
    save_file(random_state(JohnsonExamples(), 0), path)
    with pytest.raises(WeightsError, match=r"are Johnson \(PyTorch examples\)'s, not MicroAST's"):
        recipe_of("microast", vgg_file, style, path)


def test_missing_vgg(style, tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.safetensors does not exist"):
        recipe_of("microast", tmp_path / "absent.safetensors", style)


def test_johnsons_style_is_as_large_as_thumbnails(vgg_file, style):
    """Larger thumbnails, larger styles: strokes stay in proportion."""
    message = r"\(16 x 16 px\) is smaller than 32 px; use a larger one"
    with pytest.raises(TrainingError, match=message):
        recipe_of("johnson", vgg_file, style, image_size=64)


# Pictures


def test_batches_of_folders(pictures):
    folders = [pictures / "content"], [pictures / "style"]
    batches = batches_of("microast", *folders)
    expected = open_batches(pictures, seed=5)
    assert batches.description() == expected.description()
    assert torch.equal(batches.at(3).styles, expected.at(3).styles)


def test_johnson_has_no_folder_of_styles(pictures):
    """Its style may even lie among the contents."""
    batches = batches_of("johnson", [pictures / "content"], [pictures / "content" / "picture0.png"])
    assert batches.styles is None
    assert batches.at(0).styles is None


def test_the_same_folder_twice(pictures, tmp_path):
    folder = pictures / "content"
    with pytest.raises(SettingsError) as caught:
        batches_of("microast", [pictures / "style", folder], [folder])
    message = f"folder {folder} is both content and style; name two folders"
    assert str(caught.value) == message
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    with pytest.raises(SettingsError, match="is both content and style; name two folders"):
        batches_of("adain", [folder], [link])


@pytest.mark.parametrize(("content", "style"), [("", "style"), ("content", "")])
def test_nested_folders_are_refused(pictures, content, style):
    with pytest.raises(SettingsError) as caught:
        batches_of("microast", [pictures / content], [pictures / style])
    assert str(caught.value) == (
        f"style folder {pictures / style} and content folder {pictures / content} are "
        "nested, so some pictures would be both; use two separate folders"
    )


def test_contents_are_whole_pictures_and_styles_half(tmp_path):
    """So contents must be twice as large."""
    for name in ("content", "style"):
        save_pictures(tmp_path / name, 1, edge=20)
    with pytest.raises(TrainingError, match=r"can be cropped to 32 px \(largest short side: 20\)"):
        batches_of("microast", [tmp_path / "content"], [tmp_path / "style"], report=ignore)
