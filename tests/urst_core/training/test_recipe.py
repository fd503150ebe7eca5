"""Recipes: losses of a step, trained parameters, and frozen ones."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from examples import picture, random_state, save_picture, slow_where_large, stored_picture
from torch.nn import functional as F
from training_examples import made_up_batch, microast_recipe, random_vgg

from urst_core.backbones.johnson import BLOCKS
from urst_core.backbones.metanet import WIDTHS
from urst_core.errors import SettingsError, TrainingError
from urst_core.networks.sites import collect, replay
from urst_core.training import recipe as recipe_module
from urst_core.training.losses import (
    color_loss,
    content_loss,
    gram_loss,
    grid_loss,
    mean_std_loss,
    ssim_loss,
    style_signal_contrastive_loss,
)
from urst_core.training.normalization import measure_batch, stylize_thumbnail_and_patch
from urst_core.training.recipe import LossWeights
from urst_core.training.recipes import RECIPES, build_recipe, find_recipe
from urst_core.training.recipes.adain import AdaINRecipe
from urst_core.training.recipes.johnson import JohnsonRecipe
from urst_core.training.recipes.microast import MicroASTRecipe
from urst_core.training.vgg import VGGFeatures

NAMES = ("microast", "microast_blurred", "microast_extended", "adain", "johnson")
CPU = torch.device("cpu")

# The bias of a convolution before a normalization is subtracted with the mean, so its gradient is
# rounding.
BEFORE_MICROASTS_SITES = {
    "content_encoder.enc2.0.conv2.conv_layer.bias",
    "decoder.dec1.conv2.conv_layer.bias",
}
WITHOUT_EFFECT = {
    "microast": BEFORE_MICROASTS_SITES,
    "microast_blurred": BEFORE_MICROASTS_SITES,
    "microast_extended": BEFORE_MICROASTS_SITES,
    "adain": set(),
    "johnson": {
        *(f"{name}.conv2d.bias" for name in ("conv1", "conv2", "conv3", "deconv1", "deconv2")),
        *(f"{block}.conv{number}.conv2d.bias" for block in BLOCKS for number in (1, 2)),
    },
}


def recipe_of(name: str, vgg, *, seed: int = 0):
    """A recipe whose network has random weights of a useful size.

    Losses are measured in a thin VGG, to be faster, but for AdaIN's, which is its encoder.
    """
    vgg = vgg if name == "adain" else random_vgg(thinness=8)
    style = picture((16, 24), seed=9)[None]
    classes = {
        "microast": MicroASTRecipe,
        "microast_blurred": partial(MicroASTRecipe, blurred=True),
        "microast_extended": partial(MicroASTRecipe, extended=True),
        "adain": AdaINRecipe,
    }
    recipe = classes[name](vgg) if name in classes else JohnsonRecipe(vgg, style)
    state = random_state(recipe.network, seed)
    with torch.no_grad():
        for key, parameter in recipe.learned_parameters():
            parameter.copy_(state[key])
    recipe.prepare(CPU)
    return recipe


def weights_of(recipe, **chosen) -> LossWeights:
    return dataclasses.replace(recipe.default_weights, **chosen)


ALL = LossWeights(1.0, 1.0, 1.0, 0.0, 1.0, 1.0)


# What learns


@pytest.mark.slow
@pytest.mark.parametrize("stroke", [0.0, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_exactly_the_trained_parameters(vgg, name, stroke):
    recipe = recipe_of(name, vgg)
    batch = made_up_batch(2)
    losses = recipe.losses(batch, weights_of(recipe, stroke=stroke))
    assert ("stroke" in losses) == bool(stroke)
    torch.stack(list(losses.values())).sum().backward()
    learned = dict(recipe.learned_parameters())
    for key, parameter in learned.items():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.isfinite().all()), key
        if key not in WITHOUT_EFFECT[name]:
            assert float(parameter.grad.abs().max()) > 0, key
    assert WITHOUT_EFFECT[name] <= learned.keys()
    frozen = set(recipe.network.parameters()) - set(learned.values()) | set(recipe.vgg.parameters())
    assert all(p.grad is None and not p.requires_grad for p in frozen)
    for tensor in (batch.thumbnails, batch.patches, batch.styles):
        assert tensor.grad is None


@pytest.mark.slow
def test_how_much_learns(vgg):
    """Everything in MicroAST and Johnson; in AdaIN the decoder."""
    for name in NAMES:
        recipe = recipe_of(name, vgg)
        expected = {
            key
            for key, _ in recipe.network.named_parameters()
            if name != "adain" or key.startswith("decoder.")
        }
        assert {key for key, _ in recipe.learned_parameters()} == expected
        assert len(expected) > 17


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["content", "style", "stroke", "contrastive"])
def test_each_loss_alone_teaches_microast(vgg, loss):
    """One loss's gradient reaches the decoder and the content's encoder."""
    recipe = recipe_of("microast", vgg)
    recipe.losses(made_up_batch(2), recipe.default_weights)[loss].backward()
    network = recipe.network
    for part in (
        network.content_encoder,
        network.decoder,
        network.style_encoder,
        network.modulator,
    ):
        norms = [float(p.grad.norm()) for p in part.parameters() if p.grad is not None]
        assert sum(norms) > 0


@pytest.mark.slow
def test_the_stroke_loss_does_not_reach_its_target(vgg):
    """AdaIN's statistics come from the frozen encoder, so the decoder's gradient from the
    stroke loss is the same as if the stylized thumbnail were a constant."""
    recipe, batch = recipe_of("adain", vgg), made_up_batch(2)
    recipe.losses(batch, ALL)["stroke"].backward()
    gradients = [p.grad.clone() for _, p in recipe.learned_parameters()]
    with torch.no_grad():
        code = recipe.code(batch.styles, 2)
        sites, thumbnails = collect(recipe.network.stages(batch.thumbnails, code), measure_batch)
        target = recipe.vgg(batch.patch_of(thumbnails))[-1]
    for _, parameter in recipe.learned_parameters():
        parameter.grad = None
    patches = replay(recipe.network.stages(batch.patches, code), sites)
    F.mse_loss(recipe.vgg(patches)[-1], target).backward()
    for (key, parameter), gradient in zip(recipe.learned_parameters(), gradients):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-7), key


# Losses


def stylized_of(recipe, batch):
    """Thumbnails and patches, stylized by the engine's own drivers one by one and joined."""
    code = recipe.code(batch.styles, len(batch.thumbnails))
    thumbnails, patches = [], []
    for n in range(len(batch.thumbnails)):
        own = type(code)({k: v[n : n + 1] for k, v in code.tensors.items()})
        sites, thumbnail = collect(recipe.network.stages(batch.thumbnails[n : n + 1], own))
        thumbnails.append(thumbnail)
        patches.append(replay(recipe.network.stages(batch.patches[n : n + 1], own), sites))
    return code, torch.cat(thumbnails), torch.cat(patches)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_losses_by_their_definitions(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(3, edge=32)
    weights = LossWeights(
        2.0, 3.0, 5.0, 7.0 if name.startswith("microast") else 0.0, 11.0, 17.0, 13.0
    )
    losses = recipe.losses(batch, weights)
    code, thumbnails, patches = stylized_of(recipe, batch)
    patches = patches.clamp(*recipe_module.PATCH_RANGE)
    features, contents = recipe.vgg(thumbnails), recipe.vgg(batch.thumbnails)
    expected = {
        "stroke": 5
        * F.mse_loss(recipe.vgg(patches)[-1], recipe.vgg(batch.patch_of(thumbnails))[-1]),
        "total_variation": 11 * sum(thumbnails.diff(dim=d).square().mean() for d in (-2, -1)),
        "grid": 17 * grid_loss(thumbnails),
        "out_of_range": 13
        * sum((p - p.clamp(0, 1)).square().mean() for p in (thumbnails, patches))
        / 2,
    }
    if name == "johnson":
        # Content at relu3_1, Gram matrices at all four levels.
        expected["content"] = 2 * content_loss(features[2], contents[2])
        style = recipe.vgg(picture((16, 24), seed=9)[None])
        expected["style"] = 3 * gram_loss(features, style)
    else:
        expected["style"] = 3 * mean_std_loss(features, recipe.vgg(batch.styles))
    if name.startswith("microast"):
        expected["content"] = 2 * content_loss(features[3], contents[3])
        results = recipe.code(thumbnails, 3)
        expected["contrastive"] = 7 * style_signal_contrastive_loss(results, code)
        assert len(results.tensors) == 8  # means, deviations, filters and biases at two levels
    if name == "adain":
        # What the decoder was given: equation 12.
        mean, std = code.tensors["relu4_1.mean"], code.tensors["relu4_1.std"]
        deviation = (contents[3].var((2, 3), keepdim=True) + 1e-5).sqrt()
        normalized = (contents[3] - contents[3].mean((2, 3), keepdim=True)) / deviation
        expected["content"] = 2 * content_loss(features[3], normalized * std + mean)
    assert losses.keys() == expected.keys()
    for key, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(float(expected[key]), rel=1e-3), key


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_weight_zero_are_left_out(vgg, name):
    recipe = recipe_of(name, vgg)
    with torch.no_grad():
        losses = recipe.losses(made_up_batch(2), LossWeights(1.0, 1.0, 0.0))
    assert list(losses) == ["content", "style"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_deep_losses_of_one_step_in_three_count_as_much_as_in_all(vgg, name):
    """Over a cycle, on one batch: the mean gradient is that of steps with all losses."""
    recipe, batch = recipe_of(name, vgg), made_up_batch(2)
    has_signals = name.startswith("microast")
    weights = weights_of(
        recipe, ssim=1.0, total_variation=1.0, contrastive=3.0 if has_signals else 0.0
    )

    def gradients(deep):
        recipe.network.zero_grad(set_to_none=True)
        losses = recipe.losses(batch, weights, deep=deep)
        torch.stack(list(losses.values())).sum().backward()
        return losses, torch.cat([p.grad.flatten() for _, p in recipe.learned_parameters()])

    _, everything = gradients(1.0)
    deep_losses, deep = gradients(3.0)
    shallow_losses, shallow = gradients(0.0)
    left_out = {"stroke"} if name == "johnson" else {"stroke", "content"}
    assert deep_losses.keys() - shallow_losses.keys() == left_out
    error = (deep + 2 * shallow) / 3 - everything
    assert float(error.norm()) < 1e-4 * float(everything.norm())
    assert float((shallow - everything).norm()) > 1e-2 * float(everything.norm())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_shallow_steps_do_not_compute_the_deepest_layer(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(2)

    def refuse(*_):
        raise AssertionError("relu4_1 was computed")

    recipe.vgg.levels[-1].register_forward_pre_hook(refuse)
    with torch.no_grad():
        recipe.losses(batch, recipe.default_weights, deep=0.0)
        with pytest.raises(AssertionError, match="relu4_1 was computed"):
            recipe.losses(batch, recipe.default_weights)


def test_styles_with_names_are_measured_once(vgg):
    recipe, batch = recipe_of("microast", vgg), made_up_batch(2)
    named = dataclasses.replace(batch, style_names=("first", "second"))
    weights = LossWeights(stroke=0.0)
    with torch.no_grad():
        expected = recipe.losses(batch, weights)["style"].item()
        assert recipe.losses(named, weights)["style"].item() == pytest.approx(expected, rel=1e-5)
        broken = dataclasses.replace(named, styles=torch.full_like(batch.styles, torch.nan))
        targets = recipe.style_targets.of(broken.styles, broken.style_names, 4)
    assert all(bool(layer.mean.isfinite().all()) for layer in targets)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_patches_are_not_stylized_without_the_stroke_loss(vgg, name):
    """It would be half of the work."""
    recipe, batch = recipe_of(name, vgg), made_up_batch(2)
    with torch.no_grad():
        expected = recipe.losses(batch, LossWeights(1.0, 1.0, 0.0, 0.0, 0.0, 1.0))
        broken = dataclasses.replace(batch, patches=torch.full_like(batch.patches, torch.nan))
        losses = recipe.losses(broken, LossWeights(1.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    assert losses == expected


def test_patches_of_flat_thumbnails_count_no_more_than_patches_can(vgg, monkeypatch):
    recipe = recipe_of("microast", vgg)
    batch = made_up_batch()
    plain = recipe_module.stylize_thumbnail_and_patch
    patches = torch.full_like(batch.patches, recipe_module.PATCH_RANGE[1])

    def with_patches(factor: float):
        def stylize(*runs):
            return plain(*runs)[0], patches * factor

        monkeypatch.setattr(recipe_module, "stylize_thumbnail_and_patch", stylize)
        return recipe.losses(batch, weights_of(recipe, stroke=1.0, out_of_range=1.0))

    largest, beyond = with_patches(1.0), with_patches(1e6)
    assert {name: float(loss.detach()) for name, loss in largest.items()} == {
        name: float(loss.detach()) for name, loss in beyond.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(NAMES))
def test_bfloat16_is_near_float32(vgg, name):
    # AdaIN normalizes an eighth of the size, and blurs leave less to normalize: of smaller
    # pictures deviations are those of a few values.
    edge = 64 if name in ("adain", "microast_blurred", "microast_extended") else 16
    recipe, batch = recipe_of(name, vgg), made_up_batch(2, edge=edge)
    weights = weights_of(recipe, total_variation=1.0)
    exact = recipe.losses(batch, weights)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = recipe.losses(batch, weights)
    for key, loss in narrow.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[key].item(), rel=0.05), key
    torch.stack(list(narrow.values())).sum().backward()
    for key, parameter in recipe.learned_parameters():
        assert parameter.grad.dtype == torch.float32
        assert bool(parameter.grad.isfinite().all()), key


@pytest.mark.slow
def test_contrastive_loss_of_networks_without_signals(vgg):
    weights = LossWeights(contrastive=1.0)
    for name, title in (("adain", "AdaIN"), ("johnson", "Johnson (PyTorch examples)")):
        recipe = recipe_of(name, vgg)
        with pytest.raises(SettingsError) as caught:
            recipe.check(weights)
        assert str(caught.value) == (
            f"{title} has no style signals to contrast; leave the contrastive loss at weight 0"
        )
        assert recipe.check(recipe.default_weights) is None
    assert recipe_of("microast", vgg).check(weights) is None


# Frozen parts


def test_color_loss_of_networks_of_one_style(vgg):
    with pytest.raises(SettingsError) as caught:
        recipe_of("johnson", vgg).check(LossWeights(color=1.0))
    assert str(caught.value) == (
        "Johnson (PyTorch examples) is trained for one style, and its batches have no styles; "
        "leave the color loss at weight 0"
    )
    assert recipe_of("adain", vgg).check(LossWeights(color=1.0)) is None


def test_brushed_thumbnails_are_stylized_and_plain_ones_compared_with(vgg):
    recipe, batch = recipe_of("microast", vgg), made_up_batch(2)
    other = made_up_batch(2, seed=50).thumbnails
    brushed = dataclasses.replace(batch, brushed=other)
    losses = recipe.losses(brushed, LossWeights(ssim=1.0, stroke=0.0))
    shown, _ = stylize_thumbnail_and_patch(
        recipe.network.stages(other, recipe.code(batch.styles, 2)), None
    )
    assert losses["ssim"].item() == pytest.approx(ssim_loss(shown, batch.thumbnails).item())
    contents = recipe.vgg(batch.thumbnails)[-1]
    expected = content_loss(recipe.vgg(shown)[-1], contents).item()
    assert losses["content"].item() == pytest.approx(expected, rel=1e-4)


def test_structure_and_color_of_the_stylized_thumbnail(vgg):
    recipe, batch = recipe_of("microast", vgg), made_up_batch(2)
    losses = recipe.losses(batch, LossWeights(ssim=2.0, color=3.0))
    shown, _ = stylize_thumbnail_and_patch(
        recipe.network.stages(batch.thumbnails, recipe.code(batch.styles, 2)), None
    )
    assert losses["ssim"].item() == pytest.approx(2 * ssim_loss(shown, batch.thumbnails).item())
    assert losses["color"].item() == pytest.approx(3 * color_loss(shown, batch.styles).item())


def test_adains_encoder_is_the_vgg_of_the_losses(vgg):
    recipe = recipe_of("adain", vgg)
    pictures = made_up_batch(2).thumbnails
    assert torch.equal(recipe.network.vgg(pictures), recipe.vgg(pictures)[-1])


@pytest.mark.slow
def test_description_identifies_the_training(vgg):
    described = {name: recipe_of(name, vgg).description() for name in NAMES}
    backbones = [description["backbone"] for description in described.values()]
    assert backbones == ["microast", "microast", "microast", "adain", "johnson_examples"]
    assert len({str(described[name]) for name in NAMES[:3]}) == 3
    digests = {d["VGG"] for name, d in described.items() if name != "adain"}
    assert len(digests) == 1
    assert len(digests.pop()) == 12
    assert described["adain"]["VGG"] == MicroASTRecipe(vgg).description()["VGG"]
    other = MicroASTRecipe(random_vgg(thinness=8, seed=1)).description()
    assert other["VGG"] != described["microast"]["VGG"]
    another = JohnsonRecipe(vgg, picture((16, 24), seed=10)[None]).description()
    assert another["style"] != described["johnson"]["style"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_shown_pictures_are_the_network_results(vgg, name):
    recipe, batch = recipe_of(name, vgg), made_up_batch(3)
    shown = recipe.show(batch.thumbnails, batch.styles)
    assert not shown.requires_grad
    with torch.no_grad():
        _, thumbnails, _ = stylized_of(recipe, batch)
    assert torch.allclose(shown, thumbnails.clamp(0, 1), atol=1e-4)


# By name


def test_every_recipe_is_found_by_its_name():
    metanets = [f"metanet_{width}" for width in WIDTHS]
    names = [*NAMES[:4], "linear_r31", "linear_r41", "din", *metanets, "johnson"]
    assert [entry.name for entry in RECIPES] == names
    for entry in RECIPES:
        assert find_recipe(entry.name) is entry
    with pytest.raises(SettingsError) as caught:
        find_recipe("stylegan")
    message = (
        "there is no recipe 'stylegan'; use one of: microast, microast_blurred, "
        "microast_extended, adain, linear_r31, "
        "linear_r41, din, metanet_8, metanet_16, metanet_32, johnson"
    )
    assert str(caught.value) == message


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_first_weights_depend_on_the_seed_alone(vgg, tmp_path, name):
    style = save_picture(tmp_path / "style.png", stored_picture((16, 16)))
    entry = find_recipe(name)

    def built(seed):
        recipe = build_recipe(entry, vgg, [style], edge=16, seed=seed)
        return torch.cat([p.detach().flatten() for _, p in recipe.learned_parameters()])

    torch.manual_seed(5)
    first = built(3)
    torch.manual_seed(6)
    before = torch.get_rng_state()
    assert torch.equal(first, built(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, built(4))


def test_first_weights_leave_the_generators_of_gpus_alone(vgg, monkeypatch):
    def seeded(seed):
        raise AssertionError(f"a GPU's generator was set to {seed}")

    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, seeded)
    build_recipe(find_recipe("microast"), vgg, [], edge=16, seed=3)


@pytest.mark.parametrize("count", [0, 2])
def test_johnson_takes_one_style(vgg, tmp_path, count):
    style = save_picture(tmp_path / "style.png", stored_picture((16, 16)))
    with pytest.raises(SettingsError) as caught:
        build_recipe(find_recipe("johnson"), vgg, [style] * count, edge=16, seed=0)
    assert str(caught.value) == (
        f"Johnson takes one style picture, {count} given; train one network for each"
    )


def test_johnson_refuses_a_style_smaller_than_thumbnails(vgg, tmp_path):
    style = save_picture(tmp_path / "style.png", stored_picture((15, 16)))
    with pytest.raises(TrainingError, match=r"is smaller than 16 px; use a larger one"):
        build_recipe(find_recipe("johnson"), vgg, [style], edge=16, seed=0)


def test_thin_networks_of_other_tests_are_recipes_too():
    recipe = microast_recipe()
    assert isinstance(recipe.vgg, VGGFeatures)
    assert [f.shape[1] for f in recipe.vgg(made_up_batch(1).thumbnails)] == [4, 8, 16, 32]
