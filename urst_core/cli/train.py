"""``urst train``: train a network, for use in all nodes and commands."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

from ..errors import OutputError, SettingsError
from ..training.assembling import assemble_batches, assemble_recipe, checkpoint_of, fit_start
from ..training.batches import Batches
from ..training.recipe import LossWeights
from ..training.recipes import RECIPES, RecipeEntry, find_recipe
from ..training.settings import Schedule, TrainingSettings
from ..training.trainer import Trainer, TrainingProgress
from .bars import warn_above_bar
from .console import say, warn
from .training_report import listening


def add_train_command(
    # argparse has no public name for what add_subparsers returns.
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add ``train`` to the commands of a parser."""
    command = commands.add_parser(
        "train",
        help="train a network on your own pictures",
        description="Train a network. Stop with Ctrl-C, and resume with --resume.",
    )
    names = ", ".join(f"{entry.name} ({entry.title})" for entry in RECIPES)
    schedule, settings = Schedule(), TrainingSettings(Schedule())
    add = command.add_argument
    add("recipe", metavar="NAME", help=names)
    add("--content", type=Path, nargs="+", required=True, metavar="DIR", help="photographs")
    add(
        "--style",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="paintings; for a network of one style, one picture",
    )
    add("--vgg", type=Path, required=True, metavar="FILE", help="normalized VGG-19, safetensors")
    add("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")
    add("--steps", type=int, metavar="N", help="end after that many steps")
    add("--minutes", type=float, metavar="M", help="end after that much time")
    add("--resume", action="store_true", help="resume from the checkpoint beside OUT")
    add("--stop-after", type=int, metavar="N", help="stop at step N, to --resume later")
    add(
        "--start-from",
        type=Path,
        metavar="FILE",
        help="initial weights: a result, or a checkpoint (default: random)",
    )
    add("--overwrite", action="store_true", help="replace OUT and its checkpoint")
    add(
        "--image-size",
        type=int,
        default=settings.image_size,
        metavar="PX",
        help="edge of pictures (default: %(default)s)",
    )
    add(
        "--thumbnail-size",
        type=int,
        metavar="PX",
        help="edge of thumbnails, patches and styles (default: half of --image-size)",
    )
    add("--batch-size", type=int, default=settings.batch_size, metavar="N")
    add(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help=f"highest learning rate (default: {_default_rates()})",
    )
    add("--warmup", type=int, default=schedule.warmup, metavar="STEPS")
    add(
        "--final-share",
        type=float,
        default=schedule.final_share,
        metavar="0..1",
        help="share of the learning rate left at the end (default: %(default)s; 1: constant)",
    )
    for field in fields(LossWeights):
        option = f"--{field.name.replace('_', '-')}-weight"
        add(option, type=float, metavar="W", help="(default: the value in the method's paper)")
    add(
        "--brushwork",
        type=float,
        default=settings.brushwork,
        metavar="0..1",
        help="noise on every other picture, to be painted as strokes (default: %(default)s)",
    )
    add(
        "--style-crops",
        type=int,
        default=settings.style_crops,
        metavar="N",
        help="draw from N crops of each painting, whose statistics are kept (default: new crops "
        "each time)",
    )
    add(
        "--deep-every",
        type=int,
        default=settings.deep_every,
        metavar="STEPS",
        help="steps from one with losses at relu4_1 to the next (default: %(default)s)",
    )
    add("--precision", default=settings.precision, metavar="auto|fp32|bf16")
    add("--clip-norm", type=float, default=settings.clip_norm, metavar="NORM")
    add(
        "--ema-decay",
        type=float,
        default=settings.ema_decay,
        metavar="0..1",
        help="decay of the moving average of weights, which is saved (default: %(default)s)",
    )
    add("--seed", type=int, default=settings.seed)
    add("--device", default=settings.device, metavar="auto|cpu|cuda[:N]|mps")
    add("--checkpoint-minutes", type=float, default=settings.checkpoint_minutes, metavar="M")
    add(
        "--grid-every",
        type=int,
        default=0,
        metavar="STEPS",
        help="save a grid of pictures into OUT.grids (default: never)",
    )
    add("--board", type=Path, metavar="DIR", help="write losses for TensorBoard")
    add("--keep-in-memory", action="store_true", help="keep the encoded picture files in memory")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> None:
    """Train to the end of the schedule, or until a signal stops it."""
    entry = find_recipe(options.recipe)
    settings = _settings(options, entry)
    settings.check()
    _check_options(options)
    checkpoint_path = _check_output(options)
    trainer, batches = _trainer_and_batches(options, entry, settings, checkpoint_path)
    listeners = listening(
        trainer,
        batches,
        grid_folder=options.output.with_suffix(".grids"),
        grid_every=options.grid_every,
        board_folder=options.board,
        warn=warn if options.quiet else warn_above_bar,
        quiet=options.quiet,
    )
    with options.stop.after_step() as stop, _saying_how_to_resume(trainer), listeners as listener:

        def listen(progress: TrainingProgress) -> None:
            listener(progress)
            stop.check()

        trainer.run(listen, stop_after=options.stop_after)
        trainer.save_weights(options.output)
    if not options.quiet:
        say(
            f"{options.output}: {trainer.step} steps in {trainer.seconds / 60:.1f} minutes; "
            f"{checkpoint_path.name} may be deleted, or trained further"
        )


def _settings(options: argparse.Namespace, entry: RecipeEntry) -> TrainingSettings:
    chosen = {
        field.name: value
        for field in fields(LossWeights)
        if (value := getattr(options, f"{field.name}_weight")) is not None
    }
    return TrainingSettings(
        schedule=Schedule(
            steps=options.steps,
            minutes=options.minutes,
            learning_rate=(
                entry.learning_rate if options.learning_rate is None else options.learning_rate
            ),
            warmup=options.warmup,
            final_share=options.final_share,
        ),
        weights=replace(entry.default_weights, **chosen),
        batch_size=options.batch_size,
        image_size=options.image_size,
        thumbnail_size=options.thumbnail_size,
        brushwork=options.brushwork,
        style_crops=options.style_crops,
        deep_every=options.deep_every,
        precision=options.precision,
        clip_norm=options.clip_norm,
        ema_decay=options.ema_decay,
        seed=options.seed,
        device=options.device,
        checkpoint_minutes=options.checkpoint_minutes,
    )


def _default_rates() -> str:
    """The default learning rate, and those of recipes that have another."""
    usual = Schedule.learning_rate
    others = [e for e in RECIPES if e.learning_rate != usual]
    return "; ".join([f"{usual:g}", *(f"{entry.name} {entry.learning_rate:g}" for entry in others)])


def _check_options(options: argparse.Namespace) -> None:
    if options.stop_after is not None and options.stop_after < 1:
        raise SettingsError(f"--stop-after {options.stop_after} is not a step; use 1 or more")
    if options.grid_every < 0:
        raise SettingsError(
            f"--grid-every {options.grid_every} cannot be used; use steps, or 0 for no grids"
        )


def _check_output(options: argparse.Namespace) -> Path:
    """The path of the checkpoint; refuses an output that cannot be written, before any work."""
    output: Path = options.output
    if output.suffix != ".safetensors":
        raise OutputError(f"{output} must end in .safetensors, as all weights do")
    if not output.parent.is_dir():
        raise OutputError(f"folder {output.parent} does not exist; create it first")
    checkpoint_path = checkpoint_of(output)
    for path in (output, checkpoint_path):
        if path.is_dir():
            raise OutputError(f"{path} is a folder; choose another name")
        if path.exists() and options.vgg.exists() and path.samefile(options.vgg):
            raise OutputError(f"output {path} is the VGG file itself; choose another name")
        if path.exists() and not (options.resume or options.overwrite):
            raise OutputError(
                f"{path} exists; resume it (--resume), replace it (--overwrite), "
                "or choose another name"
            )
    return checkpoint_path


def _trainer_and_batches(
    options: argparse.Namespace,
    entry: RecipeEntry,
    settings: TrainingSettings,
    checkpoint_path: Path,
) -> tuple[Trainer, Batches]:
    recipe = assemble_recipe(
        entry, settings, vgg=options.vgg, styles=options.style, start_from=options.start_from
    )
    batches = assemble_batches(
        entry,
        settings,
        contents=options.content,
        styles=options.style,
        keep_in_memory=options.keep_in_memory,
        report=_ignore if options.quiet else warn_above_bar,
    )
    if options.start_from is not None and not options.resume:
        fit_start(recipe, options.start_from, batches)
    trainer = Trainer(recipe, batches, settings, checkpoint_path)
    if options.resume:
        trainer.resume()
    return trainer, batches


@contextmanager
def _saying_how_to_resume(trainer: Trainer) -> Generator[None, None, None]:
    """Add to an interruption how to resume the training."""

    def sentence() -> str:
        return (
            f"training stopped; the checkpoint is at step {trainer.saved_step}; "
            "repeat the command with --resume to continue from there"
        )

    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(sentence()) from None
    except SystemExit:
        warn(sentence())
        raise


def _ignore(sentence: str) -> None:
    del sentence
