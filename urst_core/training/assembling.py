"""Builds a recipe and its batches from the files and folders that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..backbones.microast import MicroAST, is_of_extra_block
from ..errors import SettingsError, TrainingError
from ..weights.checkpoint import build_backbone, read_weights, used_weights
from .batches import Batches
from .blur_fit import fit_blurred
from .checkpoint import Checkpoint, restore
from .pictures import PictureFolder, Report
from .recipe import Recipe
from .recipes import RecipeEntry, build_recipe
from .recipes.microast import MicroASTRecipe
from .settings import TrainingSettings
from .vgg import load_vgg

CHECKPOINT_ENDING = ".checkpoint.safetensors"


def checkpoint_of(output: Path) -> Path:
    """Path of the checkpoint of a training run that writes its weights to ``output``."""
    return output.with_name(output.stem + CHECKPOINT_ENDING)


def assemble_recipe(
    entry: RecipeEntry,
    settings: TrainingSettings,
    *,
    vgg: Path,
    styles: Sequence[Path],
    start_from: Path | None,
) -> Recipe:
    """Build a recipe with its initial network.

    Args:
        entry: of :data:`~urst_core.training.recipes.RECIPES`.
        settings: only the size of pictures and the seed are used.
        vgg: the normalized VGG-19.
        styles: one picture, if the recipe takes one.
        start_from: initial weights; random ones from ``seed`` if None.

    Raises:
        WeightsError: a weights file is missing or does not fit.
        TrainingError, SettingsError: the style picture, or the checkpoint, cannot be used.
    """
    edge = settings.edge
    recipe = build_recipe(entry, load_vgg(vgg), styles, edge=edge, seed=settings.seed)
    if start_from is not None:
        begin_with(recipe, start_from)
    return recipe


def assemble_batches(
    entry: RecipeEntry,
    settings: TrainingSettings,
    *,
    contents: Sequence[Path],
    styles: Sequence[Path],
    keep_in_memory: bool,
    report: Report,
) -> Batches:
    """Open the folders of training pictures.

    Raises:
        SettingsError: style and content folders are the same, or nested.
        TrainingError: a folder is missing or has no usable picture.
    """

    def opened(folders: Sequence[Path], crop: int) -> PictureFolder:
        return PictureFolder.open(folders, crop, report=report, keep_in_memory=keep_in_memory)

    style_pictures = None
    if entry.takes_folders:
        _check_apart(contents, styles)
        style_pictures = opened(styles, settings.edge)
    return Batches(
        opened(contents, settings.image_size),
        style_pictures,
        size=settings.batch_size,
        image_size=settings.image_size,
        thumbnail_size=settings.edge,
        seed=settings.seed,
        brushwork=settings.brushwork,
        style_crops=settings.style_crops,
    )


def begin_with(recipe: Recipe, path: Path) -> None:
    """Load the trained parameters from a weights file, or the averaged ones from a checkpoint.

    Parameters that are not trained (AdaIN's encoder) stay those of the VGG that losses use, but
    blurs have the file's taps. Extra blocks that the file does not have stay as they are: at first
    they change nothing.

    Raises:
        WeightsError: the file is missing, or belongs to another network.
        TrainingError: the checkpoint belongs to another network, or the file has extra blocks and
            the network has none.
    """
    ours = recipe.network.traits.name
    network_class = type(recipe.network)
    if _is_checkpoint(path):
        checkpoint = Checkpoint.load(path)
        theirs = checkpoint.run.get("backbone")
        if theirs != ours:
            raise TrainingError(
                f"checkpoint {path} is of backbone {theirs!r}, not {ours!r}; choose another file"
            )
        state = checkpoint.tensors["average"]
    else:
        state = used_weights(network_class, read_weights(path))
        build_backbone(network_class, state, origin=str(path))  # raises if the weights do not fit
    learned = dict(recipe.learned_parameters())
    if any(is_of_extra_block(name) and name not in learned for name in state):
        raise TrainingError(
            f"{path} is of the network with two more blocks; train it with microast_extended"
        )
    blurs = {name: taps for name, taps in recipe.network.named_buffers() if name in state}
    added = {name for name in learned if is_of_extra_block(name) and name not in state}
    restore({name: value for name, value in learned.items() if name not in added} | blurs, state)


def fit_start(recipe: Recipe, start_from: Path, batches: Batches) -> None:
    """Fit a network with blurs to weights of one without, which would give soft pictures otherwise.

    Does nothing for other networks, or if the weights already belong to a network with blurs.

    Args:
        recipe: has these weights loaded.
        start_from: the weights file.
        batches: their first pictures are used.
    """
    if not isinstance(recipe, MicroASTRecipe) or not recipe.variant or _has_blurs(start_from):
        return
    learned = dict(recipe.learned_parameters())
    plain = MicroAST()
    restore(dict(plain.named_parameters()), learned)
    fitted = dict(fit_blurred(plain.requires_grad_(False), batches).named_parameters())
    restore({name: value for name, value in learned.items() if name in fitted}, fitted)


def _has_blurs(path: Path) -> bool:
    if _is_checkpoint(path):
        return "variant" in Checkpoint.load(path).run  # both variants have blurs
    return any(name.endswith(".blur") for name in read_weights(path))


def _is_checkpoint(path: Path) -> bool:
    return path.name.endswith(CHECKPOINT_ENDING) and path.is_file()


def _check_apart(contents: Sequence[Path], styles: Sequence[Path]) -> None:
    for style in styles:
        for content in contents:
            one, other = style.resolve(), content.resolve()
            if one == other:
                raise SettingsError(f"folder {style} is both content and style; name two folders")
            if one.is_relative_to(other) or other.is_relative_to(one):
                raise SettingsError(
                    f"style folder {style} and content folder {content} are nested, so some "
                    "pictures would be both; use two separate folders"
                )
