"""A table of small pictures with captions, drawn by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .arrays import array_of_pixels

CAPTION_SHARE = 1 / 10
"""Height of a caption, as a share of a cell's edge."""

LEAST_CAPTION = 12
"""In px, of the smallest text that can be read."""


@dataclass(frozen=True)
class Cell:
    """A small picture, (3, h, w), uint8, at most as large as a cell; and a caption below it."""

    picture: Tensor | None = None
    caption: str = ""


def draw_table(rows: Sequence[Sequence[Cell]], edge: int) -> Tensor:
    """Draw rows of cells on white.

    Args:
        rows: of the same length.
        edge: height and width of the pictures' places, in px.

    Returns:
        (3, H, W), uint8.

    Example:
        >>> cell = Cell(torch.zeros(3, 40, 64, dtype=torch.uint8), "lake")
        >>> draw_table([[cell, cell]], 64).shape
        torch.Size([3, 80, 136])
    """
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - on use

    caption = max(LEAST_CAPTION, round(edge * CAPTION_SHARE))
    gap = caption // 3
    width, height = edge + gap, edge + caption + gap // 2
    sheet = Image.new("RGB", (len(rows[0]) * width, len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(round(0.8 * caption))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            left, top = column * width + gap // 2, row * height + gap // 2
            if cell.picture is not None:
                image = Image.fromarray(array_of_pixels(cell.picture))
                at = left + (edge - image.width) // 2, top + edge - image.height
                sheet.paste(image, at)
            text = cell.caption
            while text and draw.textlength(text, font) > edge:
                text = text[:-1]
            middle = left + edge // 2, top + edge + caption // 2
            draw.text(middle, text, "black", font, anchor="mm")
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1)
