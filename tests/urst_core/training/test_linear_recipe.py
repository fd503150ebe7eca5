"""LinearWCT's recipe: what learns, with which losses, picture by picture."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from training_examples import IMAGE_SIZE, made_up_batch, make_trainer, recipe_of

from urst_core.networks.sites import collect, replay
from urst_core.training.losses import content_loss, mean_std_loss, stroke_perceptual_loss
from urst_core.training.recipe import LossWeights
from urst_core.training.recipes import build_recipe, find_recipe

NAMES = ("linear_r31", "linear_r41")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_transform_and_decoder_learn(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(2, edge=32)
    losses = recipe.losses(batch, recipe.default_weights)
    assert list(losses) == ["content", "style", "stroke"]
    torch.stack(list(losses.values())).sum().backward()
    learned = dict(recipe.learned_parameters())
    assert {key.split(".")[0] for key in learned} == {"matrix", "decoder"}
    for key, parameter in learned.items():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.isfinite().all()), key
        assert float(parameter.grad.abs().max()) > 0, key
    assert all(parameter.grad is None for parameter in recipe.network.vgg.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_encoder_is_the_vgg_of_the_losses(vgg, name):
    recipe, pictures = recipe_of(name, vgg), made_up_batch(2, edge=32).thumbnails
    layer = {"linear_r31": 2, "linear_r41": 3}[name]
    assert torch.allclose(recipe.network.vgg(pictures), recipe.vgg(pictures)[layer], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_losses_by_their_definitions(vgg, name):
    """Each picture as the engine stylizes it alone, with the code of its own style."""
    recipe, batch = recipe_of(name, vgg), made_up_batch(2, edge=32)
    thumbnails, patches = [], []
    for n in range(2):
        one = slice(n, n + 1)
        code = recipe.network.style_code(batch.styles[one])
        sites, thumbnail = collect(recipe.network.stages(batch.thumbnails[one], code))
        thumbnails.append(thumbnail)
        patches.append(replay(recipe.network.stages(batch.patches[one], code), sites))
    shown, parts = torch.cat(thumbnails), torch.cat(patches)
    features, contents = recipe.vgg(shown), recipe.vgg(batch.thumbnails)
    expected = {
        "content": 2 * content_loss(features[3], contents[3]),
        "style": 3 * mean_std_loss(features, recipe.vgg(batch.styles)),
        "stroke": 5
        * stroke_perceptual_loss(recipe.vgg(parts)[3], recipe.vgg(batch.patch_of(shown))[3]),
    }
    losses = recipe.losses(batch, LossWeights(2.0, 3.0, 5.0))
    assert losses.keys() == expected.keys()
    for key, loss in losses.items():
        assert loss.item() == pytest.approx(float(expected[key]), rel=1e-3), key
    assert torch.allclose(recipe.show(batch.thumbnails, batch.styles), shown.clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_transforms_begin_near_the_identity(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(1, edge=32)
    matrix = recipe.code(batch.styles, 1).tensors["matrix"][0]
    assert float((matrix - torch.eye(32)).abs().max()) < 0.2


@pytest.mark.slow
def test_losses_fall(vgg, pictures, tmp_path):
    """The same pictures again and again."""
    recipe = build_recipe(find_recipe("linear_r31"), vgg, [], edge=IMAGE_SIZE // 2, seed=0)
    trainer = make_trainer(
        pictures,
        tmp_path / "run.checkpoint.safetensors",
        recipe=recipe,
        weights=recipe.default_weights,
        steps=15,
        learning_rate=3e-4,
    )
    batch = trainer._batches.at(0)
    trainer._batches = SimpleNamespace(at=lambda _step: batch, description=dict)
    totals = []
    trainer.run(lambda progress: totals.append(sum(progress.losses.values())))
    assert sum(totals[-3:]) / 3 < 0.7 * totals[0]
