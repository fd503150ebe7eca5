"""Reports on each step: the bar, TensorBoard, grids."""

from __future__ import annotations

import os
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
import torch
from training_examples import make_trainer, open_batches

from urst_core.cli import training_report as listening_module
from urst_core.cli.training_report import ScalarBoard, listening
from urst_core.errors import OutputError, SettingsError
from urst_core.training.trainer import TrainingProgress


class Writer:
    """Stands for TensorBoard's, which the tests do not need."""

    made: ClassVar[list[Writer]] = []

    def __init__(self, folder: str) -> None:
        if "full" in folder:
            raise OSError("No space left on device")
        self.folder, self.scalars, self.closed = folder, [], False
        Writer.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def close(self):
        self.closed = True


@pytest.fixture
def tensorboard(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


@pytest.fixture
def trainer(pictures, tmp_path):
    return make_trainer(pictures, tmp_path / "checkpoint", steps=4)


def listeners(trainer, pictures, folder, **chosen):
    defaults = {"grid_every": 0, "board_folder": None, "warn": pytest.fail, "quiet": True}
    return listening(
        trainer, open_batches(pictures), grid_folder=folder / "grids", **{**defaults, **chosen}
    )


def test_bar_shows_share_step_and_losses(trainer, pictures, tmp_path, capsys):
    with listeners(trainer, pictures, tmp_path, quiet=False) as listen:
        listen(TrainingProgress(1, 0.125, 1.0, {"content": 1.5, "style": 22.25}, 1e-4))
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert re.search(r"^ 12\.\d%\|.*\| 00:00<\S+ , step 1, content 1\.500 style 22\.250\n$", last)


def test_time_left_of_a_resumed_training(trainer):
    """Three quarters that another start took are no reason to expect the rest at once."""
    trainer.step = 3
    bar = listening_module._bar(trainer.done)
    drawn = bar._bar
    bar.close()
    assert (drawn.initial, drawn.n) == (750, 750)


def test_quiet(trainer, pictures, tmp_path, capfd, monkeypatch):
    """Without tqdm, too."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with listeners(trainer, pictures, tmp_path) as listen:
        listen(TrainingProgress(1, 0.25, 1.0, {"content": 1.5}, 1e-4))
    assert capfd.readouterr() == ("", "")


def test_tqdm_missing(trainer, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with (
        pytest.raises(SettingsError) as caught,
        listeners(trainer, pictures, tmp_path, quiet=False),
    ):
        pass
    message = str(caught.value)
    assert message.startswith("progress is shown with tqdm, which did not load (")
    assert message.endswith("); pip install tqdm, or pass progress=False")


def test_grids_every_so_many_steps(trainer, pictures, tmp_path):
    with listeners(trainer, pictures, tmp_path, grid_every=2) as listen:
        trainer.run(listen)
    assert sorted(os.listdir(tmp_path / "grids")) == ["step-000002.jpg", "step-000004.jpg"]


@pytest.mark.slow
def test_grids_do_not_affect_the_training(trainer, pictures, tmp_path):
    other = make_trainer(pictures, tmp_path / "other", steps=4)
    other.run(lambda _: None)
    with listeners(trainer, pictures, tmp_path, grid_every=1) as listen:
        trainer.run(listen)
    for name, value in other.averaged_weights().items():
        assert torch.equal(value, trainer.averaged_weights()[name])


@pytest.mark.slow
def test_a_grid_that_cannot_be_written_does_not_end_the_training(trainer, pictures, tmp_path):
    (tmp_path / "grids").write_bytes(b"in the way")
    said = []
    with listeners(trainer, pictures, tmp_path, grid_every=2, warn=said.append) as listen:
        trainer.run(listen)
    assert trainer.step == 4
    assert len(said) == 2
    assert said[0].startswith(f"folder {tmp_path / 'grids'} cannot be created (")
    assert said[0].endswith("; training continues without this grid")


def test_board(trainer, pictures, tmp_path, tensorboard):
    folder = tmp_path / "board"
    with listeners(trainer, pictures, tmp_path, board_folder=folder) as listen:
        listen(TrainingProgress(7, 0.25, 1.0, {"content": 1.5, "style": 2.5}, 1e-4))
        (writer,) = tensorboard
        assert not writer.closed
    assert writer.folder == str(folder)
    assert writer.scalars == [
        ("loss/content", 1.5, 7),
        ("loss/style", 2.5, 7),
        ("learning rate", 1e-4, 7),
    ]
    assert writer.closed


def test_all_is_closed_after_an_error(trainer, pictures, tmp_path, tensorboard):
    options = {"board_folder": tmp_path / "board"}
    with pytest.raises(ZeroDivisionError), listeners(trainer, pictures, tmp_path, **options):
        raise ZeroDivisionError
    assert tensorboard[0].closed


def test_tensorboard_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError) as caught:
        ScalarBoard(tmp_path)
    message = str(caught.value)
    assert message.startswith("--board needs TensorBoard, which did not load (")
    assert message.endswith("); pip install tensorboard")


@pytest.mark.usefixtures("tensorboard")
def test_board_folder_that_cannot_be_written_to(tmp_path):
    folder = tmp_path / "full"
    with pytest.raises(OutputError) as caught:
        ScalarBoard(folder)
    assert str(caught.value) == (
        f"board folder {folder} cannot be written to (No space left on device); choose another"
    )


def test_a_step_of_the_grid_that_is_none(trainer, pictures, tmp_path):
    """No grid is written at steps that are no multiples."""
    progress = SimpleNamespace(step=3, done=0.5, losses={}, learning_rate=0.0)
    with listeners(trainer, pictures, tmp_path, grid_every=2) as listen:
        listen(progress)
    assert not (tmp_path / "grids").exists()
