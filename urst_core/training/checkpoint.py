"""Checkpoints: everything a run needs to go on as if it had never stopped.

One safetensors file holds weights, their moving average and the optimizer's moments; its header
holds the step, the time spent, and what was being trained. It is written beside the old one and
renamed, so that a full disk or a crash leaves the old one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import Change, TrainingError

CHECKPOINT_FORMAT = "urst-training-1"

KINDS = ("weights", "average", "first_moment", "second_moment")
"""What is kept of each parameter that learns."""


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps.

    Attributes:
        step: how many were taken.
        seconds: how long that took.
        tensors: by kind (all of :data:`KINDS`) and name.
        run: what determines the result beside the step: a flat description, to be compared.
    """

    step: int
    seconds: float
    tensors: Mapping[str, Mapping[str, Tensor]]
    run: Mapping[str, str]

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            TrainingError: it cannot be written; a checkpoint that was there is still there.
        """
        flat = {
            f"{kind}:{name}": value.detach().cpu().contiguous()
            for kind, tensors in self.tensors.items()
            for name, value in tensors.items()
        }
        header = {
            "format": CHECKPOINT_FORMAT,
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "run": json.dumps(dict(self.run)),
        }
        try:
            write_whole(path, save(flat, header))
        except OSError as error:
            kept = "; the one before is kept" if path.exists() else ""
            remedies = ("free some space", *([Change("resume", True)] if kept else []))
            raise TrainingError(
                f"checkpoint {path} of step {self.step} cannot be written ({error}){kept}",
                *remedies,
            ) from error

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what :meth:`save` wrote.

        Raises:
            TrainingError: there is no checkpoint, or it is not readable.
        """
        if not path.is_file():
            raise TrainingError(
                f"there is no checkpoint {path} to resume from", Change("resume", False)
            )
        tensors: dict[str, dict[str, Tensor]] = {kind: {} for kind in KINDS}
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
                if header.get("format") != CHECKPOINT_FORMAT:
                    raise TrainingError(
                        f"{path} is not a checkpoint of this version; begin again without it"
                    )
                for key in file.keys():  # noqa: SIM118 - it is no dictionary
                    kind, _, name = key.partition(":")
                    # Cloned, or they would stay mapped from the file, which could then not be
                    # replaced on Windows.
                    tensors[kind][name] = file.get_tensor(key).clone()
            run = json.loads(header["run"])
            return cls(int(header["step"]), float(header["seconds"]), tensors, run)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise TrainingError(
                f"checkpoint {path} is damaged ({error}); begin again without it"
            ) from error

    def check_run(self, run: Mapping[str, str]) -> None:
        """Refuse to go on with something else.

        Raises:
            TrainingError: names all that changed.
        """
        changes = [
            f"{name} was {self.run.get(name, 'not there')}, is {run.get(name, 'not there')}"
            for name in sorted(self.run.keys() | run.keys())
            if self.run.get(name) != run.get(name)
        ]
        if changes:
            raise TrainingError(
                f"the checkpoint is of another training: {'; '.join(changes)}",
                "use the same settings",
                Change("start_from", how="begin another training from its weights with"),
            )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, durably, and rename it.

    Raises:
        OSError: the folder cannot be written to, or the disk is full; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def restore(into: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy tensors over others of the same names."""
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])
