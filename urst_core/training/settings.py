"""Settings of a training run, checked once, before any work."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import torch

from ..errors import Change, SettingsError
from .recipe import LossWeights
from .vgg import MINIMUM_SIZE

TRAINING_PRECISIONS: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Schedule:
    """Length of the training and its learning rate.

    The rate rises linearly over ``warmup`` steps, then falls as a half cosine to ``final_share`` of
    its peak. With a time limit the cosine follows the clock.

    Attributes:
        steps: number of steps, or None.
        minutes: duration, or None; training ends at the first limit that is reached.
        learning_rate: peak of the learning rate.
        warmup: number of steps until the peak.
        final_share: share of the peak at the end; 1 keeps the rate constant.
    """

    steps: int | None = None
    minutes: float | None = None
    learning_rate: float = 1e-4
    warmup: int = 100
    final_share: float = 0.01

    def check(self) -> None:
        """Check that the schedule ends, and that its values are in range.

        Raises:
            SettingsError: see the messages.
        """
        if self.steps is None and self.minutes is None:
            raise SettingsError(
                "training has no limit",
                Change("steps", how="give"),
                Change("minutes", how="give"),
            )
        if self.steps is not None and self.steps < 1:
            raise SettingsError(f"{self.steps} steps are too few; use 1 or more")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise SettingsError(f"{self.minutes} minutes cannot be used; use more than 0")
        if not 0 < self.learning_rate < 1:
            raise SettingsError(
                f"learning rate {self.learning_rate} is out of range; use more than 0, below 1"
            )
        if self.warmup < 0 or not 0 <= self.final_share <= 1:
            raise SettingsError(
                f"warmup {self.warmup} and final share {self.final_share} cannot be used; "
                "use a warmup of 0 or more, and a share of 0 to 1"
            )

    def progress(self, step: int, seconds: float) -> float:
        """Share of the training that is done after ``step`` steps and that time, 0 to 1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(step / self.steps)
        if self.minutes is not None:
            shares.append(seconds / (60.0 * self.minutes))
        return min(1.0, max(shares))

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate after ``step`` steps."""
        falling = 0.5 * (1.0 + math.cos(math.pi * self.progress(step, seconds)))
        share = self.final_share + (1.0 - self.final_share) * falling
        return self.learning_rate * share * min(1.0, (step + 1) / max(1, self.warmup))


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training run.

    Attributes:
        schedule: length and learning rate.
        weights: weights of the losses.
        batch_size: pictures per step.
        image_size: edge of the pictures, in px.
        thumbnail_size: edge of thumbnails, patches and styles; divides ``image_size``, and must be
            smaller for the stroke perceptual loss; None for half of it. URST uses 512 and 256.
            With both equal, a step is that of the method's own paper.
        brushwork: strength of the noise on every other thumbnail, 0 to 1.
        style_crops: number of fixed crops per painting; their statistics are kept, so that the VGG
            sees each crop once. 0 draws new crops each time.
        deep_every: number of steps from one with losses at relu4_1 to the next. In such a step
            they are multiplied by this number, so that the mean gradient is unchanged; the other
            steps are faster.
        precision: precision of forward passes, ``fp32`` or ``bf16``, or ``auto`` for the faster
            one on the device; weights stay float32.
        clip_norm: maximum norm of gradients; longer ones are scaled down.
        ema_decay: decay of the moving average of weights that is saved, below 1; the first steps
            average over fewer.
        seed: seed of the initial weights and of all choices of pictures, 0 to 2**63 - 1.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        checkpoint_minutes: time between checkpoints; 0 writes one after each step.
    """

    schedule: Schedule
    weights: LossWeights = field(default_factory=LossWeights)
    batch_size: int = 8
    image_size: int = 512
    thumbnail_size: int | None = None
    brushwork: float = 0.0
    style_crops: int = 0
    deep_every: int = 1
    precision: str = "auto"
    clip_norm: float = 10.0
    ema_decay: float = 0.999
    seed: int = 0
    device: str = "auto"
    checkpoint_minutes: float = 5.0

    @property
    def edge(self) -> int:
        """Edge of thumbnails, patches and styles, in px."""
        return self.image_size // 2 if self.thumbnail_size is None else self.thumbnail_size

    def check(self) -> None:
        """Check that all settings are valid.

        Raises:
            SettingsError: see the messages.
        """
        self.schedule.check()
        self.weights.check()
        if self.batch_size < 1:
            raise SettingsError(f"batch size {self.batch_size} is too small; use 1 or more")
        if self.weights.contrastive and self.batch_size < 2:
            raise SettingsError(
                f"batch size {self.batch_size} leaves the contrastive loss nothing to contrast",
                "use 2 or more",
                Change("contrastive_weight", 0),
            )
        edge = self.edge
        if edge < MINIMUM_SIZE or edge % 8:
            raise SettingsError(
                f"thumbnail size {edge} cannot be used; "
                f"use a multiple of 8 px, {MINIMUM_SIZE} or more"
            )
        if self.image_size < edge or self.image_size % edge:
            raise SettingsError(
                f"image size {self.image_size} is not a multiple of thumbnail size {edge}; "
                f"use {max(1, self.image_size // edge) * edge}"
            )
        if self.weights.stroke and self.image_size == edge:
            raise SettingsError(
                f"thumbnails as large as the pictures ({edge} px) leave the stroke loss no effect",
                Change("image_size", 2 * edge),
                Change("stroke_weight", 0),
            )
        if not 0 <= self.brushwork <= 1:
            raise SettingsError(f"brushwork {self.brushwork:g} is out of range; use 0 to 1")
        if self.style_crops < 0 or self.deep_every < 1:
            raise SettingsError(
                f"{self.style_crops} crops of each style, and relu4_1 in one of {self.deep_every} "
                "steps, cannot be used; use 0 or more crops, and 1 or more steps"
            )
        if self.precision not in ("auto", *TRAINING_PRECISIONS):
            raise SettingsError(
                f"precision {self.precision!r} is unknown; "
                f"use auto, {' or '.join(TRAINING_PRECISIONS)}"
            )
        if not 0 < self.clip_norm < math.inf or not 0 <= self.ema_decay < 1:
            raise SettingsError(
                f"gradient norm {self.clip_norm} and average decay {self.ema_decay} cannot be "
                "used; use a norm above 0, and a decay of 0 or more, below 1"
            )
        if not 0 <= self.seed < 2**63:
            raise SettingsError(f"seed {self.seed} is out of range; use 0 to 2**63 - 1")
        if not 0 <= self.checkpoint_minutes < math.inf:
            raise SettingsError(
                f"{self.checkpoint_minutes} minutes between checkpoints cannot be used; "
                "use 0 or more"
            )

    def description(self) -> dict[str, str]:
        """The settings that determine the result: all but length, precision and device."""
        schedule = self.schedule
        chosen = {
            "learning rate": schedule.learning_rate,
            "warmup": schedule.warmup,
            "final share": schedule.final_share,
            "batch size": self.batch_size,
            "image size": self.image_size,
            "thumbnail size": self.edge,
            "brushwork": self.brushwork,
            "style crops": self.style_crops,
            "deep every": self.deep_every,
            "gradient norm": self.clip_norm,
            "average decay": self.ema_decay,
            "seed": self.seed,
            **{f"{name} weight": value for name, value in asdict(self.weights).items()},
        }
        return {name: str(value) for name, value in chosen.items()}


def training_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Dtype of forward passes; ``auto`` is bfloat16 only if the device supports it in hardware."""
    if precision != "auto":
        return TRAINING_PRECISIONS[precision]
    if device.type == "cuda":
        return torch.bfloat16 if _gpu_has_bfloat16(device) else torch.float32
    # Older versions of PyTorch do not report the processor's capabilities.
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if device.type == "cpu" and fast else torch.float32


def _gpu_has_bfloat16(device: torch.device) -> bool:
    # PyTorch also reports support on NVIDIA GPUs that only emulate it, slowly.
    if torch.version.hip is not None:
        return torch.cuda.is_bf16_supported()
    return torch.cuda.get_device_capability(device) >= (8, 0)
