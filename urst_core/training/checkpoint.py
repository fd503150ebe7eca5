"""Checkpoints: everything needed to resume training as if it had never stopped.

One safetensors file with weights, their moving average and the optimizer's moments; its header has
the step, the time spent, the identity of the run, and a digest of everything. If the disk is full
or the process crashes, the previous checkpoint is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..durable import read_tensors, write_tensors
from ..errors import Change, TrainingError
from ..identity import Identity, differences

CHECKPOINT_FORMAT = "urst-training-2"

KINDS = ("weights", "average", "first_moment", "second_moment")
"""Tensors that are kept for each trained parameter."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two steps.

    Attributes:
        step: number of steps taken.
        seconds: time they took.
        tensors: by kind (all of :data:`KINDS`) and name.
        run: everything besides the step that determines the result.
    """

    step: int
    seconds: float
    tensors: Mapping[str, Mapping[str, Tensor]]
    run: Identity

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            TrainingError: it cannot be written; an earlier checkpoint is kept.
        """
        flat = {
            f"{kind}:{name}": value
            for kind, tensors in self.tensors.items()
            for name, value in tensors.items()
        }
        facts = {
            "format": CHECKPOINT_FORMAT,
            "step": self.step,
            "seconds": self.seconds,
            "run": dict(self.run),
        }
        try:
            write_tensors(path, flat, facts)
        except OSError as error:
            kept = "; the previous one is kept" if path.exists() else ""
            remedies = ("free some space", *([Change("resume", True)] if kept else []))
            raise TrainingError(
                f"checkpoint {path} of step {self.step} cannot be written ({error}){kept}",
                *remedies,
            ) from error

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what :meth:`save` wrote.

        Raises:
            TrainingError: there is no checkpoint, or it cannot be read.
        """
        if not path.is_file():
            raise TrainingError(
                f"there is no checkpoint {path} to resume from", Change("resume", False)
            )
        tensors: dict[str, dict[str, Tensor]] = {kind: {} for kind in KINDS}
        try:
            facts, flat = read_tensors(path)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"checkpoint {path} is damaged ({error})", "start over without it"
            ) from error
        if facts.get("format") != CHECKPOINT_FORMAT:
            raise TrainingError(
                f"{path} is not a checkpoint of this version", "start over without it"
            )
        for key, value in flat.items():
            kind, _, name = key.partition(":")
            tensors[kind][name] = value
        return cls(facts["step"], facts["seconds"], tensors, facts["run"])

    def check_run(self, run: Identity) -> None:
        """Check that the checkpoint belongs to the same run.

        Raises:
            TrainingError: it does not; names all differences.
        """
        changes = differences(self.run, run)
        if changes:
            raise TrainingError(
                f"the checkpoint belongs to another training run, it had: {'; '.join(changes)}",
                "use the same settings",
                Change("start_from", how="start another training run from its weights with"),
            )


def restore(into: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values into the tensors of the same names."""
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])
