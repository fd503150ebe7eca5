"""The training loop: step by step, with checkpoints, resumable to the same result."""

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
    """What the loop tells after each step.

    Attributes:
        step: how many were taken, from the very beginning.
        done: share of the schedule, 0 to 1.
        seconds: time spent on all steps so far, over all starts.
        losses: weighted, of this step.
        learning_rate: of this step.
    """

    step: int
    done: float
    seconds: float
    losses: Mapping[str, float]
    learning_rate: float


TrainingListener = Callable[[TrainingProgress], None]
"""Told of each step; what it raises ends the run, after a checkpoint."""


class Trainer:
    """One training run.

    Args:
        recipe: what is trained; its network is changed in place.
        batches: what it learns from.
        settings: how.
        checkpoint_path: where the run is kept between starts.

    Attributes:
        step: how many were taken, from the very beginning.
        seconds: time spent on them, over all starts; not on checkpoints and listeners.
        saved_step: the step of the checkpoint of this run; None where there is none yet.

    Raises:
        SettingsError, DeviceError: settings cannot be used.
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
        """Go on from the checkpoint.

        Raises:
            TrainingError: there is none, it is damaged, or of another training.
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
        """Train to the end of the schedule, or to a step before it.

        A checkpoint is written before the first step, too: a folder that cannot be written to
        shows before the work, and an older run's checkpoint is never taken for this one's.

        Args:
            listener: told of each step; what it raises ends the run, after a checkpoint.
            stop_after: end, with a checkpoint, when that many steps were taken in all.

        Raises:
            TrainingError: the loss is no longer a number, all pictures of a folder are broken, or a
                checkpoint cannot be written.
            DeviceError: a step needs more memory than there is.
        """
        if self.saved_step is None:
            self.save_checkpoint()
        saved = time.monotonic()
        with Prefetched(self._batches, self.step) as batches:
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
        """Share of the schedule that is over, 0 to 1."""
        return self.settings.schedule.progress(self.step, self.seconds)

    def save_checkpoint(self) -> None:
        """Write the checkpoint that :meth:`resume` reads.

        Raises:
            TrainingError: it cannot be written; the one before is kept.
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
        """What the network makes of some pictures by now; see :func:`picture_grid`."""
        with self._mixed_precision():
            return picture_grid(self.recipe, batch.to(self._device))

    def averaged_weights(self) -> dict[str, Tensor]:
        """The network's weights, those that learned averaged over the last steps; on the CPU."""
        state = {**self.recipe.network.state_dict(), **self._average}
        return {name: value.detach().cpu().contiguous() for name, value in state.items()}

    def save_weights(self, path: Path) -> None:
        """Write the averaged weights as a file that every command and node loads.

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
        """Between two steps: whatever is raised there, the steps so far are kept."""
        try:
            yield
        except BaseException as error:
            try:
                self.save_checkpoint()
            except TrainingError as failure:
                reason = f"{type(error).__name__} {error}".strip()
                raise TrainingError(
                    f"{failure.message}; training had ended by {reason}", *failure.remedies
                ) from error
            raise

    def _take_step(self, batch: Batch, rate: float) -> dict[str, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        remedy = "a smaller batch size or image size"
        with explained_out_of_memory(self._device, "a training step", remedy):
            with self._mixed_precision():
                losses = self.recipe.losses(batch.to(self._device), self.settings.weights)
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
        # Of n steps no more than n / 10 are averaged, or the first weights would stay in it.
        decay = min(self.settings.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, parameter in self._learned.items():
                self._average[name].lerp_(parameter, 1.0 - decay)

    def _refuse(self, losses: Mapping[str, Tensor]) -> None:
        values = ", ".join(f"{name} {float(loss.detach()):.4g}" for name, loss in losses.items())
        raise TrainingError(
            f"step {self.step + 1} gave no finite loss or gradient ({values}); the checkpoint of "
            f"step {self.saved_step} is kept",
            Change("start_from", how="begin another training from its weights with"),
            Change("learning_rate", how="lower"),
            Change("precision", "fp32"),
        )

    def _describe(self) -> dict[str, str]:
        """All that determines the result, but for the length of the schedule."""
        return {
            **self.recipe.description(),
            **self.settings.description(),
            "precision": str(self._dtype),
            **self._batches.description(),
        }
