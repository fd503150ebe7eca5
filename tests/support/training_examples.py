"""Helpers for tests of training: small VGG networks, batches and folders of pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from examples import picture, save_picture, stored_picture
from torch import nn
from torch.nn import functional as F

from urst_core.backbones.adain import vgg_to_relu4_1
from urst_core.backbones.microast import MicroAST
from urst_core.geometry import Rectangle
from urst_core.networks.network import StylizationNetwork
from urst_core.networks.sites import Site
from urst_core.networks.style import StyleCode
from urst_core.training.batches import Batch, Batches
from urst_core.training.losses import style_signal_contrastive_loss
from urst_core.training.normalization import batch_stats
from urst_core.training.pictures import PictureFolder
from urst_core.training.recipe import Recipe
from urst_core.training.recipes import build_recipe, find_recipe
from urst_core.training.recipes.microast import MicroASTRecipe
from urst_core.training.settings import Schedule, TrainingSettings
from urst_core.training.trainer import Trainer
from urst_core.training.vgg import VGGFeatures

IMAGE_SIZE = 32
EDGE = IMAGE_SIZE // 2


def random_vgg(*, thinness: int = 1, seed: int = 0) -> nn.Sequential:
    """A VGG-19 to relu4_1 of random weights that keep the scale of their inputs, frozen.

    Its layers have ``thinness`` times fewer channels than the real ones.
    """
    with torch.device("meta"):  # for its layers' kinds and widths only
        layers = vgg_to_relu4_1()
    generator = torch.Generator().manual_seed(seed)
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            widths = (
                w if w == 3 else w // thinness for w in (layer.in_channels, layer.out_channels)
            )
            thin = nn.Conv2d(*widths, layer.kernel_size)
            noise = torch.randn(thin.weight.shape, generator=generator)
            thin.weight.data = noise * (2.0 / thin.weight[0].numel()) ** 0.5
            thin.bias.data = 0.05 * torch.randn(thin.bias.shape, generator=generator)
            layers[index] = thin
    return layers.eval().requires_grad_(False)


def recipe_of(name: str, vgg: VGGFeatures) -> Recipe:
    """A recipe of that name on the CPU, for crops of 32 px."""
    recipe = build_recipe(find_recipe(name), vgg, [], edge=32, seed=0)
    recipe.prepare(torch.device("cpu"))
    return recipe


def made_up_batch(count: int = 2, *, edge: int = EDGE, seed: int = 0) -> Batch:
    """Thumbnails, patches from an odd place, and styles, without files."""
    pictures = torch.stack([picture((2 * edge, 2 * edge), seed=seed + n) for n in range(count)])
    place = Rectangle(3, 6, 3 + edge, 6 + edge)
    styles = torch.stack([picture((edge, edge), seed=seed + 100 + n) for n in range(count)])
    thumbnails = F.interpolate(pictures, (edge, edge), mode="bilinear", antialias=True)
    return Batch(thumbnails, pictures[(..., *place.slices)], place, IMAGE_SIZE // EDGE, styles)


def save_pictures(folder: Path, count: int, *, edge: int = 40, seed: int = 0) -> Path:
    """PNG files, all different, none of them square; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = stored_picture((edge, edge + 8), seed=seed + number)
        save_picture(folder / f"picture{number}.png", pixels)
    return folder


def refuse_to_report(sentence: str) -> None:
    raise AssertionError(f"nothing was to be left out, but: {sentence}")


def open_folder(folder: Path, crop: int = IMAGE_SIZE, **options) -> PictureFolder:
    return PictureFolder.open([folder], crop, **{"report": refuse_to_report, **options})


def open_batches(pictures: Path, *, size: int = 2, seed: int = 0, **options) -> Batches:
    """Batches from the folders ``content`` and ``style`` below one."""
    contents = open_folder(pictures / "content", IMAGE_SIZE, **options)
    styles = open_folder(pictures / "style", EDGE, **options)
    return Batches(contents, styles, size, IMAGE_SIZE, EDGE, seed)


def settings(*, steps: int | None = 4, minutes: float | None = None, **chosen) -> TrainingSettings:
    """Small and fast; ``chosen`` values go to the schedule or to the settings."""
    of_schedule = {
        name: chosen.pop(name)
        for name in ("learning_rate", "warmup", "final_share")
        if name in chosen
    }
    schedule = Schedule(steps=steps, minutes=minutes, **{"warmup": 2, **of_schedule})
    defaults = {"batch_size": 2, "image_size": IMAGE_SIZE, "precision": "fp32", "device": "cpu"}
    if "weights" not in chosen:
        chosen["weights"] = MicroASTRecipe.default_weights
    return TrainingSettings(schedule, **{**defaults, **chosen})


def microast_recipe(seed: int = 0) -> MicroASTRecipe:
    """MicroAST from nothing, with losses measured in a thin VGG."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MicroASTRecipe(random_vgg(thinness=16))


class TinyNetwork(StylizationNetwork):
    """Two convolutions and a normalization: all that the loop needs of a network."""

    traits = dataclasses.replace(MicroAST.traits, name="tiny", title="Tiny", stride=1)
    site_names = ("here",)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 3, padding=1)
        self.decoder = nn.Conv2d(8, 3, 3, padding=1)

    def stages(self, image, code):
        target = code.channel_stats("here")
        normalized = yield Site("here", self.encoder(image))
        return self.decoder(torch.relu(normalized * target.std + target.mean))

    def fold(self, code, sites):
        raise NotImplementedError


class TinyFeatures(VGGFeatures):
    """Four levels, each half the size of the one before, of one convolution."""

    def __init__(self, seed: int = 0) -> None:
        nn.Module.__init__(self)
        generator = torch.Generator().manual_seed(seed)
        self.levels = nn.ModuleList()
        for inputs, outputs in ((3, 4), (4, 8), (8, 8), (8, 8)):
            stride = 1 if inputs == 3 else 2
            convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
            noise = torch.randn(convolution.weight.shape, generator=generator)
            convolution.weight.data = noise * (2.0 / (9 * inputs)) ** 0.5
            convolution.bias.data = torch.rand(outputs, generator=generator)
            self.levels.append(nn.Sequential(convolution, nn.ReLU()))
        self.eval().requires_grad_(False)


class TinyRecipe(Recipe):
    """The fastest recipe that has every loss."""

    default_weights = MicroASTRecipe.default_weights
    has_signals = True

    def __init__(self, *, seed: int = 0, vgg_seed: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = TinyNetwork()
        self.vgg = TinyFeatures(vgg_seed)

    def code(self, styles, count):
        del count
        stats = batch_stats(self.network.encoder(styles))
        return StyleCode({"here.mean": stats.mean, "here.std": stats.std})

    def contrastive_loss(self, stylized, code):
        return style_signal_contrastive_loss(self.code(stylized, len(stylized)), code)


def make_trainer(pictures: Path, checkpoint_path: Path, *, recipe=None, **chosen) -> Trainer:
    """A trainer of a tiny network on the pictures of a folder, if nothing else is asked for."""
    chosen = settings(**chosen)
    batches = open_batches(pictures, size=chosen.batch_size, seed=chosen.seed)
    return Trainer(recipe or TinyRecipe(), batches, chosen, checkpoint_path)


def ignore(progress: object) -> None:
    """A listener that wants to know nothing."""
