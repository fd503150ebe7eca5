"""How many other styles the contrastive loss should compare with: MicroAST's ablation, in short.

    python benchmarks/negatives.py --content DIR ... --style DIR ... --vgg FILE -o FOLDER
        [--negatives N ...] [--steps N] [--batch-size N] [--edge PX] [--seed SEED]

Trains MicroAST from the same random weights with the same pictures in the same order, once for
each number of negatives, and writes FOLDER/negatives_N.safetensors. Batches are equally large in
all trainings: a picture's result is compared with its own style and with the next N of the batch.
So nothing differs but the loss. Of each training the means over its last fifth of steps are
printed; score the files on pictures that none has seen with benchmarks/quality.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.networks.style import StyleCode
from urst_core.training.assembling import assemble_batches, checkpoint_of
from urst_core.training.losses import signal_distances
from urst_core.training.normalization import batch_stats
from urst_core.training.recipes import find_recipe
from urst_core.training.recipes.microast import MicroASTRecipe
from urst_core.training.settings import Schedule, TrainingSettings
from urst_core.training.trainer import Trainer, TrainingProgress
from urst_core.training.vgg import load_vgg


class FewerNegatives(MicroASTRecipe):
    """MicroAST's recipe, whose results are compared with the next ``count`` styles only."""

    def __init__(self, vgg: nn.Sequential, count: int) -> None:
        super().__init__(vgg)
        self.count = count

    def description(self) -> dict[str, str]:
        return {**super().description(), "negatives": str(self.count)}

    def contrastive_loss(self, stylized: Tensor, code: StyleCode) -> Tensor:
        distances = signal_distances(self.microast.style_signals(stylized, batch_stats), code)
        own = torch.arange(len(distances))
        shifts = range(1, self.count + 1)
        others = torch.stack([distances[own, (own + shift) % len(own)] for shift in shifts])
        return (distances.diagonal() / others.sum(dim=0).clamp(min=1e-8)).sum()


def main() -> None:
    options = parse_options()
    options.output.mkdir(parents=True, exist_ok=True)
    entry = find_recipe("microast")
    settings = TrainingSettings(
        Schedule(steps=options.steps, learning_rate=1e-3, warmup=10),
        weights=replace(MicroASTRecipe.default_weights, stroke=0.0),
        batch_size=options.batch_size,
        image_size=options.edge,
        thumbnail_size=options.edge,
        precision="fp32",
        seed=options.seed,
        device="cpu",
    )
    batches = assemble_batches(
        entry,
        settings,
        contents=options.content,
        styles=options.style,
        keep_in_memory=True,
        report=print,
    )
    for count in options.negatives:
        output = options.output / f"negatives_{count}.safetensors"
        torch.manual_seed(settings.seed)
        trainer = Trainer(
            FewerNegatives(load_vgg(options.vgg), count), batches, settings, checkpoint_of(output)
        )
        if checkpoint_of(output).exists():
            trainer.resume()
        seen = MeansOfLast(options.steps // 5)
        began = time.process_time()
        trainer.run(seen)
        trainer.save_weights(output)
        means = ", ".join(f"{name} {value:.3f}" for name, value in seen.means().items())
        minutes = (time.process_time() - began) / 60.0
        print(f"{count:3d} negatives: {means}; {minutes:.1f} minutes of processor time", flush=True)


class MeansOfLast:
    """Listens to a training and remembers the weighted losses of its last steps."""

    def __init__(self, steps: int) -> None:
        self._steps = max(1, steps)
        self._losses: list[dict[str, float]] = []

    def __call__(self, progress: TrainingProgress) -> None:
        self._losses = [*self._losses, dict(progress.losses)][-self._steps :]

    def means(self) -> dict[str, float]:
        """Mean of each loss."""
        names = self._losses[0] if self._losses else {}
        return {name: sum(row[name] for row in self._losses) / len(self._losses) for name in names}


def parse_options() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--content", type=Path, nargs="+", required=True)
    parser.add_argument("--style", type=Path, nargs="+", required=True)
    parser.add_argument("--vgg", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--negatives", type=int, nargs="+", default=[1, 7, 15, 31])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--edge", type=int, default=64, help="edge of pictures in px")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not 1 <= min(options.negatives) <= max(options.negatives) < options.batch_size:
        parser.error("each number of negatives must be 1 or more, and less than the batch size")
    return options


if __name__ == "__main__":
    main()
