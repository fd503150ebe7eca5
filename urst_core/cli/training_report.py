"""Reports on training: a bar, TensorBoard, grids of pictures."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Install, OutputError, SettingsError
from ..training.batches import Batches
from ..training.grid import save_grid
from ..training.pictures import Report
from ..training.trainer import Trainer, TrainingListener, TrainingProgress
from .bars import Bar

BAR_FORMAT = "{percentage:5.1f}%|{bar}| {elapsed}<{remaining} {postfix}"

GRID_STEP = -1
"""The step of the batch that grids show; it is never trained on."""


@contextmanager
def listening(
    trainer: Trainer,
    batches: Batches,
    *,
    grid_folder: Path,
    grid_every: int,
    board_folder: Path | None,
    warn: Report,
    quiet: bool,
) -> Generator[TrainingListener, None, None]:
    """A listener for :meth:`Trainer.run`.

    Args:
        trainer: the trainer whose steps it reports.
        batches: source of the pictures in grids.
        grid_folder: folder for grids; made with the first one.
        grid_every: steps from one grid to the next; 0 for none.
        board_folder: folder for TensorBoard's files; None for none.
        warn: called for each grid that cannot be written, which does not end the training.
        quiet: draw no bar.

    Raises:
        SettingsError: TensorBoard or tqdm is not installed.
        OutputError: the board's folder cannot be written to.
    """
    shown = batches.at(GRID_STEP) if grid_every else None
    bar = None if quiet else _bar(trainer.done)
    board = ScalarBoard(board_folder) if board_folder else None

    def listen(progress: TrainingProgress) -> None:
        if bar is not None:
            losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
            bar.show(_thousandths(progress.done), f"step {progress.step}, {losses}")
        if board is not None:
            board.add(progress)
        if shown is not None and progress.step % grid_every == 0:
            grid = trainer.picture_grid(shown)
            try:
                save_grid(grid, grid_folder / f"step-{progress.step:06d}.jpg")
            except OutputError as error:
                warn(f"{error}; training continues without this grid")

    try:
        yield listen
    finally:
        if bar is not None:
            bar.close()
        if board is not None:
            board.close()


def _bar(done: float) -> Bar:
    """A bar in thousandths; the time left is estimated from the steps of this run only."""
    return Bar(total=1000, initial=_thousandths(done), bar_format=BAR_FORMAT)


def _thousandths(share: float) -> int:
    return round(1000 * share)


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
                f"--board needs TensorBoard, which did not load ({error})", Install("tensorboard")
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
        """Flush and close the files."""
        self._writer.close()
