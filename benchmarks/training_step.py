"""CPU time of a step of ``urst train microast``, beside that of an older checkout.

    python benchmarks/training_step.py --vgg FILE [--baseline CHECKOUT] [--rounds N]

Both codes run in one process, in alternating rounds, on one thread, with made-up pictures: 4 crops
of 160 px, bfloat16, contrastive loss included. Medians of the thread's processor time, which other
work on the machine changes less than wall time.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional as F

EDGE = 160
COUNT = 4
NAMES = ("first", "second", "third", "fourth")
MODULES = ("training.vgg", "training.recipes.microast", "training.recipe", "training.batches")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vgg", type=Path, required=True)
    parser.add_argument("--baseline", type=Path, help="the folder of an older checkout")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    old = modules_of(options.baseline) if options.baseline else None
    new = modules_of(Path(__file__).resolve().parents[1])
    for stroke in (0.0, 1.0):
        steps: dict[str, Callable[[], None]] = {}
        if old is not None:
            steps["baseline"] = step_of(old, options.vgg, stroke)
        steps["now"] = step_of(new, options.vgg, stroke)
        steps["statistics of styles known"] = step_of(new, options.vgg, stroke, style_names=NAMES)
        for label, deep in (("of these, a deep step in three", 3.0), ("a shallow one", 0.0)):
            steps[label] = step_of(new, options.vgg, stroke, style_names=NAMES, deep=deep)
        print(f"stroke weight {stroke:g}")
        for name, seconds in medians(steps, options.rounds).items():
            print(f"  {name:34s}{seconds:7.3f} s", flush=True)


def modules_of(folder: Path) -> dict[str, ModuleType]:
    """Import the modules of one checkout, even after another has been imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "urst_core"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    modules = {name: importlib.import_module(f"urst_core.{name}") for name in MODULES}
    sys.path.pop(0)
    return modules


def step_of(
    modules: dict[str, Any],
    vgg: Path,
    stroke: float,
    *,
    style_names: tuple[str, ...] | None = None,
    **options: float,
) -> Callable[[], None]:
    """A step's losses and their gradients."""
    layers = modules["training.vgg"].load_vgg(vgg)
    recipe = modules["training.recipes.microast"].MicroASTRecipe(layers)
    recipe.prepare(torch.device("cpu"), torch.bfloat16)
    torch.manual_seed(0)
    pictures, styles = torch.rand(COUNT, 3, 2 * EDGE, 2 * EDGE), torch.rand(COUNT, 3, EDGE, EDGE)
    thumbnails = F.interpolate(pictures, (EDGE, EDGE), mode="bilinear", antialias=True)
    batches = modules["training.batches"]
    place = batches.Rectangle(0, 0, EDGE, EDGE)
    named = {"style_names": style_names} if style_names else {}
    batch = batches.Batch(thumbnails, pictures[..., :EDGE, :EDGE], place, 2, styles, **named)
    batch = batch.to(torch.device("cpu"))
    weights = modules["training.recipe"].LossWeights(1.0, 3.0, stroke, 3.0)

    def step() -> None:
        recipe.network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            losses = recipe.losses(batch, weights, **options)
        torch.stack(list(losses.values())).sum().backward()

    return step


def medians(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Of each step's processor time, in alternating rounds after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(rounds + 1):
        for name, step in steps.items():
            began = time.thread_time()
            step()
            if round_number:
                seconds[name].append(time.thread_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
