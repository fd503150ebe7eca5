"""The training loop, with checkpoints from which it resumes to the same result."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..durable import write_tensors
from ..errors import Change, OutputError, TrainingError
from ..tiling.device import explained_out_of_memory, find_device
from .batches import Batch, Batches, Prefetched
from .checkpoint import Checkpoint, restore
from .grid import picture_grid
from .recipe import Recipe
from .settings import TrainingSettings, training_dtype


@dataclass(frozen=True)
class TrainingProgress:
    """Progress after a training step.

    Attributes:
        step: number of steps so far, including those before resuming.
        done: share of the schedule that is done, 0 to 1.
        seconds: time spent on all steps so far, including those before resuming.
        losses: weighted losses of this step.
        learning_rate: learning rate of this step.
    """

    step: int
    done: float
    seconds: float
    losses: Mapping[str, float]
    learning_rate: float


TrainingListener = Callable[[TrainingProgress], None]
"""Called after each step; if it raises, the run ends with a checkpoint."""


class Trainer:
    """One training run.

    Args:
        recipe: its network is trained in place.
        batches: training pictures.
        settings: settings of the run.
        checkpoint_path: file for checkpoints.

    Attributes:
        step: number of steps so far, including those before resuming.
        seconds: time spent on them, without checkpoints and listeners.
        saved_step: step of this run's last checkpoint; None if there is none yet.

    Raises:
        SettingsError, DeviceError: settings are not valid, or the device cannot be used.
    """

    def __init__(
        self, recipe: Recipe, batches: Batches, settings: TrainingSettings, checkpoint_path: Path
    ) -> None:
        settings.check()
        recipe.check(settings.weights)
        self.recipe = recipe
        self.settings = settings
        self.step = 0
        self.seconds = 0.0
        self.saved_step: int | None = None
        self._batches = batches
        self._checkpoint_path = checkpoint_path
        self._device = find_device(settings.device)
        self._dtype = training_dtype(settings.precision, self._device)
        recipe.prepare(self._device, self._dtype)
        self._learned = dict(recipe.learned_parameters())
        self._average = {name: p.detach().clone() for name, p in self._learned.items()}
        self._optimizer = torch.optim.Adam(self._learned.values(), settings.schedule.learning_rate)
        self._description = self._describe()

    def resume(self) -> None:
        """Resume from the checkpoint.

        Raises:
            TrainingError: it is missing, damaged, or belongs to another training run.
        """
        checkpoint = Checkpoint.load(self._checkpoint_path)
        checkpoint.check_run(self._description)
        self.step, self.seconds = checkpoint.step, checkpoint.seconds
        self.saved_step = checkpoint.step
        restore(self._learned, checkpoint.tensors["weights"])
        restore(self._average, checkpoint.tensors["average"])
        for name, parameter in self._learned.items():
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": checkpoint.tensors["first_moment"][name].to(parameter),
                "exp_avg_sq": checkpoint.tensors["second_moment"][name].to(parameter),
            }

    def run(self, listener: TrainingListener, *, stop_after: int | None = None) -> None:
        """Train to the end of the schedule, or to an earlier step.

        A checkpoint is also written before the first step. So a folder without write permission is
        noticed at once, and an older run's checkpoint is never mistaken for this one's.

        Args:
            listener: called after each step; if it raises, the run ends with a checkpoint.
            stop_after: end, with a checkpoint, after this many steps in total.

        Raises:
            TrainingError: a loss or gradient is not finite, all pictures of a folder are broken, or
                a checkpoint cannot be written.
            DeviceError: a step runs out of memory.
        """
        if self.saved_step is None:
            self.save_checkpoint()
        saved = time.monotonic()
        on_cpu = self._device.type == "cpu"
        with Prefetched(self._batches, self.step, on_cpu=on_cpu) as batches:
            while not self._is_finished(stop_after):
                began = time.monotonic()
                rate = self.settings.schedule.rate(self.step, self.seconds)
                with self._saved_on_error():
                    batch = batches.take()
                losses = self._take_step(batch, rate)
                self.step += 1
                self.seconds += time.monotonic() - began
                with self._saved_on_error():
                    listener(TrainingProgress(self.step, self.done, self.seconds, losses, rate))
                if time.monotonic() - saved > 60.0 * self.settings.checkpoint_minutes:
                    self.save_checkpoint()
                    saved = time.monotonic()
        self.save_checkpoint()

    @property
    def done(self) -> float:
        """Share of the schedule that is done, 0 to 1."""
        return self.settings.schedule.progress(self.step, self.seconds)

    def save_checkpoint(self) -> None:
        """Write the checkpoint that :meth:`resume` reads.

        Raises:
            TrainingError: it cannot be written; the previous one is kept.
        """
        state = self._optimizer.state
        tensors: dict[str, Mapping[str, Tensor]] = {
            "weights": self._learned,
            "average": self._average,
        }
        for kind, key in (("first_moment", "exp_avg"), ("second_moment", "exp_avg_sq")):
            tensors[kind] = {
                name: state[p][key] if p in state else torch.zeros_like(p)
                for name, p in self._learned.items()
            }
        checkpoint = Checkpoint(self.step, self.seconds, tensors, self._description)
        checkpoint.save(self._checkpoint_path)
        self.saved_step = self.step

    def picture_grid(self, batch: Batch) -> Tensor:
        """The current network's results for some pictures; see :func:`picture_grid`."""
        with self._mixed_precision():
            return picture_grid(self.recipe, batch.to(self._device))

    def averaged_weights(self) -> dict[str, Tensor]:
        """The network's weights, the trained ones averaged over the last steps, on the CPU."""
        state = {**self.recipe.network.state_dict(), **self._average}
        return {name: value.detach().cpu().contiguous() for name, value in state.items()}

    def save_weights(self, path: Path) -> None:
        """Write the averaged weights as a file that all commands and nodes can load.

        Raises:
            OutputError: it cannot be written.
        """
        facts = {
            "backbone": self.recipe.network.traits.name,
            "training": dict(self._description),
        }
        try:
            write_tensors(path, self.averaged_weights(), facts)
        except OSError as error:
            raise OutputError(
                f"weights {path} cannot be written ({error})",
                "free some space",
                Change("resume", True),
            ) from error

    def _is_finished(self, stop_after: int | None) -> bool:
        return self.done >= 1.0 or (stop_after is not None and self.step >= stop_after)

    @contextmanager
    def _saved_on_error(self) -> Generator[None, None, None]:
        """Write a checkpoint if anything is raised between two steps."""
        try:
            yield
        except BaseException as error:
            try:
                self.save_checkpoint()
            except TrainingError as failure:
                reason = f"{type(error).__name__} {error}".strip()
                raise TrainingError(
                    f"{failure.message}; training was ended by {reason}", *failure.remedies
                ) from error
            raise

    def _take_step(self, batch: Batch, rate: float) -> dict[str, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        every = self.settings.deep_every
        deep = 0.0 if self.step % every else float(every)
        remedy = "a smaller batch size or image size"
        with explained_out_of_memory(self._device, "a training step", remedy):
            with self._mixed_precision():
                losses = self.recipe.losses(
                    batch.to(self._device), self.settings.weights, deep=deep
                )
            total = torch.stack(list(losses.values())).sum()
            if not bool(total.isfinite()):
                self._refuse(losses)
            self._optimizer.zero_grad(set_to_none=True)
            total.backward()
            norm = nn.utils.clip_grad_norm_(self._learned.values(), self.settings.clip_norm)
            if not bool(norm.isfinite()):
                self._refuse(losses)
            self._optimizer.step()
        self._update_average()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _mixed_precision(self) -> AbstractContextManager[object]:
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, self._dtype)

    def _update_average(self) -> None:
        # After n steps, average over n / 10 at most, or the initial weights would remain in it.
        decay = min(self.settings.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, parameter in self._learned.items():
                self._average[name].lerp_(parameter, 1.0 - decay)

    def _refuse(self, losses: Mapping[str, Tensor]) -> None:
        values = ", ".join(f"{name} {float(loss.detach()):.4g}" for name, loss in losses.items())
        raise TrainingError(
            f"the loss or gradient of step {self.step + 1} is not finite ({values}); the "
            f"checkpoint of step {self.saved_step} is kept",
            Change("start_from", how="start another training run from its weights with"),
            Change("learning_rate", how="lower"),
            Change("precision", "fp32"),
        )

    def _describe(self) -> dict[str, str]:
        """Everything that determines the result, except the length of the schedule."""
        return {
            **self.recipe.description(),
            **self.settings.description(),
            "precision": str(self._dtype),
            **self._batches.description(),
        }
