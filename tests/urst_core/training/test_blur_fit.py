"""Fitting the network with blurs to weights without."""

from __future__ import annotations

import pytest
import torch
from examples import picture, random_backbone, save_picture, stored_picture
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from training_examples import open_folder, random_vgg

from urst_core.backbones.microast import MicroAST
from urst_core.errors import TrainingError
from urst_core.networks.sites import collect
from urst_core.training import blur_fit
from urst_core.training.assembling import begin_with, checkpoint_of, fit_start
from urst_core.training.batches import Batches
from urst_core.training.blur_fit import fit_blurred
from urst_core.training.checkpoint import KINDS, Checkpoint
from urst_core.training.losses import fine_detail, repeated_pattern
from urst_core.training.normalization import batch_stats, measure_batch
from urst_core.training.recipes.microast import MicroASTRecipe

EDGE = 64


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> Batches:
    """Of larger pictures than other tests have: grids are told in blocks of 32 px."""
    folder = tmp_path_factory.mktemp("larger")
    for kind, seed in (("content", 10), ("style", 20)):
        (folder / kind).mkdir()
        for number in range(4):
            pixels = stored_picture((EDGE, EDGE + 8), seed=seed + number)
            save_picture(folder / kind / f"picture{number}.png", pixels)
    contents, styles = (open_folder(folder / kind, EDGE) for kind in ("content", "style"))
    return Batches(contents, styles, 2, EDGE, EDGE, seed=0)


@pytest.fixture(scope="module", autouse=True)
def few_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blur_fit, "PICTURES", 4)
        yield


@pytest.fixture(scope="module")
def random_fit(batches, few_pictures) -> tuple[MicroAST, MicroAST]:
    """A network of random weights without blurs, and one with blurs that is fitted to it."""
    del few_pictures  # is in effect
    plain = plain_network(random_backbone(MicroAST).network.state_dict())
    return plain, fit_blurred(plain, batches)


def stylized(network: MicroAST) -> torch.Tensor:
    """A picture that layers were not fitted to."""
    content, style = picture((96, 128), seed=4)[None], picture((80, 64), seed=3)[None]
    with torch.no_grad():
        code = network.style_signals(style, batch_stats)
        return collect(network.stages(content, code), measure_batch)[1]


def plain_network(state) -> MicroAST:
    network = MicroAST()
    network.load_state_dict(state)
    return network.requires_grad_(False)


def with_blurs(plain: MicroAST) -> MicroAST:
    network = MicroAST(blurred=True)
    network.load_state_dict(plain.state_dict(), strict=False)
    return network.requires_grad_(False)


@pytest.mark.slow
def test_a_fit_is_nearer_than_the_same_weights_behind_blurs(random_fit):
    plain, fitted = random_fit
    before = random_backbone(MicroAST).network.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())
    wanted = stylized(plain)
    copied, error = (F.mse_loss(stylized(n), wanted) for n in (with_blurs(plain), fitted))
    assert float(error) < 0.85 * float(copied)


@pytest.mark.slow
def test_the_published_weights_keep_their_detail_and_lose_their_grid(batches, shared):
    state = load_file(shared / "golden" / "microast_official_weights.safetensors")
    plain = plain_network(state)
    pictures = [stylized(n) for n in (plain, with_blurs(plain), fit_blurred(plain, batches))]
    detail = [float(fine_detail(p).square().mean()) for p in pictures]
    grid = [float(repeated_pattern(fine_detail(p)).square().mean()) for p in pictures]
    assert detail[2] > 1.5 * detail[1]
    assert grid[2] / detail[2] < 0.5 * grid[0] / detail[0]


@pytest.mark.slow
def test_the_style_side_stays(random_fit):
    plain, fitted = random_fit[0], random_fit[1].state_dict()
    for name, value in plain.state_dict().items():
        if name.startswith(("style_encoder.", "modulator.", "decoder.dec1.", "decoder.dec2.")):
            assert torch.equal(fitted[name], value), name


def learned(recipe: MicroASTRecipe) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in recipe.learned_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "start", "fits"),
    [
        ("blurred", None, True),
        ("blurred", "blurred", False),
        (None, None, False),
        ("extended", None, True),
        ("extended", "blurred", False),
        ("extended", "extended", False),
    ],
)
def test_start_of_a_training(batches, tmp_path, monkeypatch, variant, start, fits):
    """Only a network with blurs is fitted, and only to weights without; here, to few pixels."""
    monkeypatch.setattr(blur_fit, "PIXELS", 100)
    vgg = random_vgg(thinness=16)
    source = recipe_of(vgg, start).network.state_dict()
    weights = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in source.items()}, weights)
    checkpoint = checkpoint_of(weights)
    names = {name for name in source if not name.endswith(".blur")}
    tensors = {kind: {name: source[name].clone() for name in names} for kind in KINDS}
    run = {"backbone": "microast", **({"variant": start} if start else {})}
    Checkpoint(5, 1.0, tensors, run).save(checkpoint)
    for path in (weights, checkpoint):
        recipe = recipe_of(vgg, variant)
        begin_with(recipe, path)
        before = learned(recipe)
        added = before.keys() - source.keys()
        assert len(added) == (12 if variant == "extended" != start else 0)
        assert all(torch.equal(before[name], source[name]) for name in before.keys() - added)
        fit_start(recipe, path, batches)
        after = learned(recipe)
        assert all(torch.equal(v, before[name]) for name, v in after.items()) is not fits


def recipe_of(vgg, variant: str | None) -> MicroASTRecipe:
    return MicroASTRecipe(vgg, **({variant: True} if variant else {}))


def test_blurs_have_the_taps_of_the_weights(tmp_path):
    vgg = random_vgg(thinness=16)
    source = recipe_of(vgg, "blurred").network.state_dict()
    narrow = torch.tensor([0.2, 0.6, 0.2])
    name = "decoder.dec3.6.blur"
    weights = tmp_path / "weights.safetensors"
    save_file({**source, name: narrow}, weights)
    recipe = recipe_of(vgg, "extended")
    begin_with(recipe, weights)
    assert torch.equal(recipe.network.state_dict()[name], narrow)


def test_extra_blocks_are_not_dropped(tmp_path):
    vgg = random_vgg(thinness=16)
    weights = tmp_path / "weights.safetensors"
    save_file(recipe_of(vgg, "extended").network.state_dict(), weights)
    with pytest.raises(TrainingError) as caught:
        begin_with(recipe_of(vgg, "blurred"), weights)
    assert str(caught.value) == (
        f"{weights} is of the network with two more blocks; train it with microast_extended"
    )
