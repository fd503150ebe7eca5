"""Preview of training progress: contents, styles and results side by side."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..errors import OutputError
from ..formats.open import write_picture
from ..pictures.source import TensorSource, from_unit
from .batches import Batch
from .recipe import Recipe

MOST_COLUMNS = 8


def picture_grid(recipe: Recipe, batch: Batch) -> Tensor:
    """Arrange pictures in columns: content, style if the recipe takes one, result.

    Returns:
        (3, rows * T, columns * T), uint8, on the CPU.
    """
    contents = batch.thumbnails[:MOST_COLUMNS]
    styles = None if batch.styles is None else batch.styles[:MOST_COLUMNS]
    shown = recipe.show(contents, styles)
    rows = [contents, shown] if styles is None else [contents, styles, shown]
    grid = torch.cat([torch.cat(list(row.float().cpu()), dim=-1) for row in rows], dim=-2)
    return from_unit(grid, torch.uint8)


def save_grid(grid: Tensor, path: Path) -> None:
    """Write a grid, replacing an older one.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {path.parent} cannot be created ({error}); choose another"
        ) from error
    write_picture(TensorSource(grid), path)
