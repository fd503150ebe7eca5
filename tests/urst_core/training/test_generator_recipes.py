"""Recipes of networks that predict parameters, and learning from the built-in network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from training_examples import IMAGE_SIZE, made_up_batch, make_trainer, recipe_of

from urst_core.backbones.style_statistics import StyleStatistics
from urst_core.errors import SettingsError
from urst_core.networks.sites import collect, replay
from urst_core.training.losses import painting_loss
from urst_core.training.recipe import LossWeights
from urst_core.training.recipes import build_recipe, find_recipe
from urst_core.training.recipes.johnson import JohnsonRecipe
from urst_core.training.style_statistics import CachedStatistics
from urst_core.training.teacher import Teacher

NAMES = ("din", "metanet_8")
TEACHER = LossWeights(content=0.0, style=0.0, stroke=0.0, teacher=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_but_the_encoder_of_styles_learns(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(2, edge=32)
    losses = recipe.losses(batch, recipe.default_weights)
    assert {"content", "style", "stroke"} <= losses.keys()
    torch.stack(list(losses.values())).sum().backward()
    learned = dict(recipe.learned_parameters())
    for key, parameter in recipe.network.named_parameters():
        assert (key in learned) == (not key.startswith("style.")), key
        assert (parameter.grad is not None) == (key in learned), key
    assert all(bool(parameter.grad.isfinite().all()) for parameter in learned.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_each_picture_is_stylized_as_the_engine_does(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(2, edge=32)
    code = recipe.code(batch.styles, 2)
    stylized, patches = recipe.stylize(batch.thumbnails, code, batch.patches)
    assert patches is not None
    for index in range(2):
        one = slice(index, index + 1)
        own = recipe.network.style_code(batch.styles[one])
        sites, expected = collect(recipe.network.stages(batch.thumbnails[one], own))
        assert torch.allclose(stylized[one], expected, atol=1e-3)
        patch = replay(recipe.network.stages(batch.patches[one], own), sites)
        assert torch.allclose(patches[one], patch, atol=1e-3)


def test_statistics_of_crops_are_measured_once(vgg, monkeypatch):
    measured = []
    encoder = StyleStatistics()
    original = encoder.statistics
    monkeypatch.setattr(encoder, "statistics", lambda style: measured.append(1) or original(style))
    cached = CachedStatistics(encoder, vgg)
    styles = made_up_batch(2, edge=16).styles
    first = cached.of(styles)
    again = cached.of(styles.flip(0))
    assert torch.equal(first, again.flip(0))
    assert len(measured) == 2
    cached.of(styles[:1] + 0.01)
    assert len(measured) == 3


def test_the_teacher_is_the_built_in_network(microast):
    batch = made_up_batch(2, edge=32)
    painted = Teacher().paint(batch.thumbnails, batch.styles)
    for index in range(2):
        code = microast.encode_style([batch.styles[index : index + 1]])
        with torch.inference_mode():
            _, expected = collect(microast.network.stages(batch.thumbnails[index][None], code))
        assert torch.allclose(painted[index], expected[0].clamp(0, 1), atol=1e-3)


def test_the_teacher_encodes_each_style_once(monkeypatch):
    teacher, batch, encoded = Teacher(), made_up_batch(2, edge=32), []
    encode = teacher.network.style_signals
    monkeypatch.setattr(
        teacher.network, "style_signals", lambda *given: encoded.append(1) or encode(*given)
    )
    first = teacher.paint(batch.thumbnails, batch.styles)
    again = teacher.paint(batch.thumbnails.flip(0), batch.styles.flip(0))
    assert torch.allclose(first, again.flip(0), atol=1e-4)
    assert not torch.allclose(first, again, atol=1e-2)
    assert len(encoded) == 2


def test_learning_from_the_teacher_alone_needs_no_vgg(vgg):
    recipe, batch = recipe_of("din", vgg), made_up_batch(2, edge=32)
    recipe.vgg.forward = None
    losses = recipe.losses(batch, TEACHER)
    assert list(losses) == ["teacher"]
    stylized, _ = recipe.stylize(batch.thumbnails, recipe.code(batch.styles, 2), None)
    painted = recipe.teacher.paint(batch.thumbnails, batch.styles)
    assert losses["teacher"].item() == pytest.approx(2 * painting_loss(stylized, painted).item())


def test_teacher_loss_of_networks_of_one_style(vgg):
    recipe = JohnsonRecipe(vgg, made_up_batch(1).styles)
    with pytest.raises(SettingsError) as caught:
        recipe.check(TEACHER)
    assert str(caught.value) == (
        "Johnson (PyTorch examples) is trained for one style, and its batches have no styles; "
        "leave the teacher loss at weight 0"
    )
    assert recipe_of("din", vgg).check(TEACHER) is None
    assert TEACHER.check() is None


@pytest.mark.slow
def test_losses_fall(vgg, pictures, tmp_path):
    """The same pictures again and again."""
    recipe = build_recipe(find_recipe("din"), vgg, [], edge=IMAGE_SIZE // 2, seed=0)
    trainer = make_trainer(
        pictures,
        tmp_path / "run.checkpoint.safetensors",
        recipe=recipe,
        weights=TEACHER,
        steps=12,
        learning_rate=1e-3,
    )
    batch = trainer._batches.at(0)
    trainer._batches = SimpleNamespace(at=lambda _step: batch, description=dict)
    totals = []
    trainer.run(lambda progress: totals.append(sum(progress.losses.values())))
    assert sum(totals[-3:]) / 3 < 0.7 * totals[0]
