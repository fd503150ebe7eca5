"""Grids of pictures: their layout, and errors when they cannot be written."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch
from examples import load_picture
from training_examples import EDGE, TinyRecipe, made_up_batch, make_trainer

from urst_core.errors import OutputError
from urst_core.training.batches import Batch
from urst_core.training.grid import picture_grid, save_grid


def constant(value: float, count: int) -> torch.Tensor:
    return torch.stack([torch.full((3, 2, 2), value + n / 255) for n in range(count)])


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (3, 3), (11, 8)])
@pytest.mark.parametrize("with_styles", [True, False])
def test_content_style_and_result_below_one_another(count, columns, with_styles):
    styles = constant(0.4, count) if with_styles else None
    batch = Batch(constant(0.2, count), constant(0.9, count), None, 2, styles)
    shown = []

    def show(contents, given):
        shown.append((len(contents), None if given is None else len(given)))
        return (contents + 0.4).bfloat16()

    grid = picture_grid(SimpleNamespace(show=show), batch)
    rows = (51, 102, 153) if with_styles else (51, 153)
    assert grid.dtype == torch.uint8
    assert grid.shape == (3, 2 * len(rows), 2 * columns)
    for row, value in enumerate(rows):
        for column in range(columns):
            cell = grid[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert abs(int(cell.float().mean()) - value - column) <= 1  # bfloat16 rounds
    assert shown == [(columns, columns if with_styles else None)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_grid_of_a_trainer(pictures, tmp_path, precision):
    trainer = make_trainer(pictures, tmp_path / "checkpoint", precision=precision)
    batch = made_up_batch(3)
    grid = trainer.picture_grid(batch)
    assert grid.shape == (3, 3 * EDGE, 3 * EDGE)
    assert torch.equal(grid[:, :EDGE, EDGE : 2 * EDGE], (255 * batch.thumbnails[1]).round().byte())
    expected = TinyRecipe().show(batch.thumbnails, batch.styles)[2]
    difference = grid[:, 2 * EDGE :, 2 * EDGE :].float() - 255 * expected
    assert float(difference.abs().max()) < (1 if precision == "fp32" else 8)


def test_saved_and_replaced(tmp_path):
    path = tmp_path / "new" / "grids" / "step-000001.jpg"
    for value, width in ((20, 32), (200, 48)):
        save_grid(torch.full((3, 16, width), value, dtype=torch.uint8), path)
        stored = load_picture(path)
        assert stored.shape == (3, 16, width)
        assert abs(int(stored.float().mean()) - value) <= 1
    assert os.listdir(path.parent) == [path.name]


def test_file_in_the_way(tmp_path):
    path = tmp_path / "grids"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError) as caught:
        save_grid(torch.zeros(3, 16, 16, dtype=torch.uint8), path / "step.jpg")
    message = str(caught.value)
    assert message.startswith(f"folder {path} cannot be created (")
    assert message.endswith("); choose another")
    assert path.read_bytes() == b"precious"
