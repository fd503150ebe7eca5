"""A recipe and its pictures, from what a user names: files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..backbones.microast import MicroAST
from ..errors import SettingsError, TrainingError
from ..weights.checkpoint import build_backbone, read_weights, used_weights
from .batches import Batches
from .blur_fit import fit_blurred
from .checkpoint import Checkpoint, restore
from .pictures import PictureFolder, Report
from .recipe import Recipe
from .recipes import RecipeEntry, build_recipe
from .recipes.microast import BLURRED, MicroASTRecipe
from .settings import TrainingSettings
from .vgg import load_vgg

CHECKPOINT_ENDING = ".checkpoint.safetensors"


def checkpoint_of(output: Path) -> Path:
    """The path of the checkpoint of a training whose weights go to ``output``."""
    return output.with_name(output.stem + CHECKPOINT_ENDING)


def assemble_recipe(
    entry: RecipeEntry,
    settings: TrainingSettings,
    *,
    vgg: Path,
    styles: Sequence[Path],
    start_from: Path | None,
) -> Recipe:
    """A recipe with the network that training begins with.

    Args:
        entry: of :data:`~urst_core.training.recipes.RECIPES`.
        settings: of which the size of pictures and the seed are used.
        vgg: the normalized VGG-19.
        styles: one picture, where the recipe takes one.
        start_from: weights to begin with; those of ``seed`` if None.

    Raises:
        WeightsError: a file of weights is missing or does not fit.
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
    """The pictures to train with.

    Raises:
        SettingsError: folders of styles and of contents are the same, or nested.
        TrainingError: a folder is missing or holds no picture that can be used.
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
    )


def begin_with(recipe: Recipe, path: Path) -> None:
    """Give what learns the values of a weights file, or the averaged ones of a checkpoint.

    What does not learn, AdaIN's encoder, stays what it is: the VGG that losses are measured in.

    Raises:
        WeightsError: the file is missing, or of another network.
        TrainingError: it is a checkpoint of another network.
    """
    learned = dict(recipe.learned_parameters())
    if path.name.endswith(CHECKPOINT_ENDING) and path.is_file():
        checkpoint = Checkpoint.load(path)
        theirs, ours = checkpoint.run.get("backbone"), recipe.network.traits.name
        if theirs != ours:
            raise TrainingError(
                f"checkpoint {path} is of backbone {theirs!r}, not {ours!r}; choose another file"
            )
        restore(learned, checkpoint.tensors["average"])
        return
    network_class = type(recipe.network)
    state = used_weights(network_class, read_weights(path))
    build_backbone(network_class, state, origin=str(path))  # which says what does not fit
    restore(learned, state)


def fit_start(recipe: Recipe, start_from: Path, batches: Batches) -> None:
    """Fit a network with blurs to weights without: as they are, its pictures would be soft.

    Does nothing to other networks, nor where the weights are of a network with blurs.

    Args:
        recipe: that began with these weights.
        start_from: the file that they were in.
        batches: whose first pictures are used.
    """
    if not isinstance(recipe, MicroASTRecipe) or not recipe.blurred or _has_blurs(start_from):
        return
    learned = dict(recipe.learned_parameters())
    plain = MicroAST()
    restore(dict(plain.named_parameters()), learned)
    fitted = fit_blurred(plain.requires_grad_(False), batches)
    restore(learned, dict(fitted.named_parameters()))


def _has_blurs(path: Path) -> bool:
    if path.name.endswith(CHECKPOINT_ENDING):
        return Checkpoint.load(path).run.get("variant") == BLURRED
    return any(name.endswith(".blur") for name in read_weights(path))


def _check_apart(contents: Sequence[Path], styles: Sequence[Path]) -> None:
    for style in styles:
        for content in contents:
            one, other = style.resolve(), content.resolve()
            if one == other:
                raise SettingsError(f"folder {style} is both content and style; name two folders")
            if one.is_relative_to(other) or other.is_relative_to(one):
                raise SettingsError(
                    f"style folder {style} and content folder {content} are nested, so "
                    "pictures would be both; name two folders side by side"
                )
