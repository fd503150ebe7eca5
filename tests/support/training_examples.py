"""What tests of training share: small losses networks, batches and folders of pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from examples import picture, save_picture, stored_picture
from torch import nn
from torch.nn import functional as F

from urst_core.backbones.adain import vgg_to_relu4_1
from urst_core.geometry import Rectangle
from urst_core.training.batches import Batch, Batches
from urst_core.training.pictures import PictureFolder
from urst_core.training.recipes.microast import MicroASTRecipe
from urst_core.training.settings import Schedule, TrainingSettings
from urst_core.training.trainer import Trainer

IMAGE_SIZE = 32
EDGE = IMAGE_SIZE // 2


def random_vgg(*, thinness: int = 1, seed: int = 0) -> nn.Sequential:
    """A VGG-19 to relu4_1 of random weights that keep the size of what they see, frozen.

    Its layers have ``thinness`` times fewer channels than the real ones.
    """
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


def made_up_batch(count: int = 2, *, edge: int = EDGE, seed: int = 0) -> Batch:
    """Thumbnails, patches from an odd place, and styles, without files."""
    pictures = torch.stack([picture((2 * edge, 2 * edge), seed=seed + n) for n in range(count)])
    place = Rectangle(3, 6, 3 + edge, 6 + edge)
    styles = torch.stack([picture((edge, edge), seed=seed + 100 + n) for n in range(count)])
    thumbnails = F.interpolate(pictures, (edge, edge), mode="bilinear", antialias=True)
    return Batch(thumbnails, pictures[(..., *place.slices)], place, styles)


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
    return Batches(contents, styles, size, IMAGE_SIZE, seed)


def settings(*, steps: int | None = 4, minutes: float | None = None, **chosen) -> TrainingSettings:
    """Small and fast; what is ``chosen`` goes to the schedule or to the settings."""
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


def make_trainer(pictures: Path, checkpoint_path: Path, *, recipe=None, **chosen) -> Trainer:
    """A trainer of MicroAST on the pictures of a folder, if nothing else is asked for."""
    chosen = settings(**chosen)
    batches = open_batches(pictures, size=chosen.batch_size, seed=chosen.seed)
    return Trainer(recipe or microast_recipe(), batches, chosen, checkpoint_path)


def ignore(progress: object) -> None:
    """A listener that wants to know nothing."""
