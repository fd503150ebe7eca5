"""How fast a network learns to tell a few styles apart, from the built-in network's paintings.

    python benchmarks/styles_apart.py RECIPE --content DIR --style DIR --vgg FILE [--steps 150]
        [--learning-rate 3e-3]

Four photographs in four paintings, in small, again and again. The first line is the least
squared difference that a network can reach which paints the same for all styles; each further line
is the trained network's, with the processor time so far. A network that stays above the first line
ignores the style.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from urst_core.training.pictures import PictureFolder
from urst_core.training.recipes import build_recipe, find_recipe
from urst_core.training.teacher import Teacher
from urst_core.training.vgg import load_vgg

EDGE, EACH, BATCH, EVERY = 48, 4, 4, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--vgg", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    options = parser.parse_args()
    recipe = build_recipe(find_recipe(options.recipe), load_vgg(options.vgg), [], edge=EDGE, seed=0)
    recipe.prepare(torch.device("cpu"))
    contents = pictures(options.content).repeat_interleave(EACH, 0)
    styles = pictures(options.style).repeat(EACH, 1, 1, 1)
    painted = Teacher().paint(contents, styles)
    means = painted.unflatten(0, (EACH, EACH)).mean(1).repeat_interleave(EACH, 0)
    print(f"the same for all styles: {float(F.mse_loss(means, painted)):.4f}", flush=True)
    learned = [parameter for _, parameter in recipe.learned_parameters()]
    optimizer = torch.optim.Adam(learned, options.learning_rate)
    generator, began = torch.Generator().manual_seed(0), time.process_time()
    for step in range(1, options.steps + 1):
        some = torch.randperm(EACH**2, generator=generator)[:BATCH]
        shown, _ = recipe.stylize(contents[some], recipe.code(styles[some], BATCH), None)
        optimizer.zero_grad()
        F.mse_loss(shown, painted[some]).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        if step % EVERY == 0:
            difference = float(F.mse_loss(recipe.show(contents, styles), painted))
            print(f"step {step}: {difference:.4f}, {time.process_time() - began:.1f} s", flush=True)


def pictures(folder: Path) -> torch.Tensor:
    """Some crops of a folder's pictures, shrunk."""
    crops = PictureFolder.open([folder], 4 * EDGE, report=print).crops(
        EACH, 4 * EDGE, random.Random(0)
    )
    return F.interpolate(crops, (EDGE, EDGE), mode="bilinear", antialias=True)


if __name__ == "__main__":
    main()
