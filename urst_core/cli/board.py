"""Losses for TensorBoard, where it is installed."""

from __future__ import annotations

from pathlib import Path

from ..errors import OutputError, SettingsError
from ..training.trainer import TrainingProgress


class ScalarBoard:
    """Writes losses and the learning rate of each step into a folder.

    Raises:
        SettingsError: TensorBoard is not installed.
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional
        except ImportError as error:
            raise SettingsError(
                f"--board needs TensorBoard, which did not load ({error}); pip install tensorboard"
            ) from error
        try:
            self._writer = SummaryWriter(str(folder))
        except OSError as error:
            raise OutputError(
                f"board folder {folder} cannot be written to ({error}); choose another"
            ) from error

    def add(self, progress: TrainingProgress) -> None:
        """Write one step."""
        for name, value in progress.losses.items():
            self._writer.add_scalar(f"loss/{name}", value, progress.step)
        self._writer.add_scalar("learning rate", progress.learning_rate, progress.step)

    def close(self) -> None:
        """Write out what is kept back."""
        self._writer.close()
