"""All recipes, by their name in ``urst train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ...backbones.linear import LinearR31, LinearR41
from ...backbones.metanet import WIDTHS
from ...errors import SettingsError
from ..pictures import load_style
from ..recipe import LossWeights, Recipe
from ..settings import Schedule
from .adain import AdaINRecipe
from .din import DINRecipe
from .johnson import JohnsonRecipe
from .linear import LinearRecipe
from .metanet import MetaNetRecipe
from .microast import MicroASTRecipe

PREDICTORS_RATE = 1e-3
"""Learning rate of networks that predict parameters; a tenth takes long to tell styles apart."""

Builder = Callable[[nn.Sequential, Sequence[Path], int], Recipe]


@dataclass(frozen=True)
class RecipeEntry:
    """Entry of a recipe.

    Attributes:
        name: name on the command line.
        title: short description.
        default_weights: default weights of the losses.
        takes_folders: whether styles are folders of pictures, or a single picture.
        build: builds it from the VGG, the style picture if it takes one, and the edge of styles.
        learning_rate: default peak of the learning rate.
    """

    name: str
    title: str
    default_weights: LossWeights
    takes_folders: bool
    build: Builder
    learning_rate: float = Schedule.learning_rate


def _metanet_entry(width: int) -> RecipeEntry:
    return RecipeEntry(
        f"metanet_{width}",
        f"MetaNets of width {width}, any style",
        MetaNetRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: MetaNetRecipe(vgg, width),
        learning_rate=PREDICTORS_RATE,
    )


def _build_johnson(vgg: nn.Sequential, styles: Sequence[Path], edge: int) -> Recipe:
    if len(styles) != 1:
        raise SettingsError(
            f"Johnson takes one style picture, {len(styles)} given; train one network for each"
        )
    return JohnsonRecipe(vgg, load_style(styles[0], edge))


RECIPES: tuple[RecipeEntry, ...] = (
    RecipeEntry(
        "microast",
        "MicroAST, any style",
        MicroASTRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: MicroASTRecipe(vgg),
    ),
    RecipeEntry(
        "microast_blurred",
        "MicroAST without a grid, any style",
        MicroASTRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: MicroASTRecipe(vgg, blurred=True),
    ),
    RecipeEntry(
        "microast_extended",
        "MicroAST without a grid, with two more blocks, any style",
        MicroASTRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: MicroASTRecipe(vgg, extended=True),
    ),
    RecipeEntry(
        "adain",
        "AdaIN's decoder, any style",
        AdaINRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: AdaINRecipe(vgg),
    ),
    RecipeEntry(
        "linear_r31",
        "LinearWCT at relu3_1, any style",
        LinearRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: LinearRecipe(vgg, LinearR31()),
    ),
    RecipeEntry(
        "linear_r41",
        "LinearWCT at relu4_1, any style",
        LinearRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: LinearRecipe(vgg, LinearR41()),
    ),
    RecipeEntry(
        "din",
        "Dynamic instance normalization, any style",
        DINRecipe.default_weights,
        takes_folders=True,
        build=lambda vgg, _styles, _edge: DINRecipe(vgg),
        learning_rate=PREDICTORS_RATE,
    ),
    *map(_metanet_entry, WIDTHS),
    RecipeEntry(
        "johnson",
        "Johnson, one style",
        JohnsonRecipe.default_weights,
        takes_folders=False,
        build=_build_johnson,
    ),
)


def find_recipe(name: str) -> RecipeEntry:
    """The recipe of that name.

    Raises:
        SettingsError: there is none.
    """
    for entry in RECIPES:
        if entry.name == name:
            return entry
    raise SettingsError(
        f"there is no recipe {name!r}; use one of: {', '.join(e.name for e in RECIPES)}"
    )


def build_recipe(
    entry: RecipeEntry, vgg: nn.Sequential, styles: Sequence[Path], *, edge: int, seed: int
) -> Recipe:
    """Build a recipe whose network has random weights, determined by the seed.

    Args:
        entry: of :data:`RECIPES`.
        vgg: the normalized VGG-19 to relu4_1.
        styles: one picture if the network learns a single style; otherwise ignored.
        edge: edge of thumbnails and styles, in px.
        seed: seed of the weights.

    Raises:
        TrainingError: the style picture cannot be used.
        SettingsError: a single picture is needed, but none or several are given.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would also change the generators of GPUs.
        torch.default_generator.manual_seed(seed)
        return entry.build(vgg, styles, edge)
