"""``urst train``: networks of one's own, loadable by every node and command."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import OutputError, SettingsError
from ..weights import build_backbone, read_weights, used_weights
from .batches import Batches
from .board import ScalarBoard
from .checkpoint import restore
from .grid import save_grid
from .pictures import PictureFolder
from .recipe import LossWeights, Recipe
from .recipes import RECIPES, RecipeEntry, build_recipe, find_recipe
from .settings import Schedule, TrainingSettings
from .trainer import Trainer, TrainingListener, TrainingProgress
from .vgg import load_vgg

CHECKPOINT_ENDING = ".checkpoint.safetensors"


def add_train_command(
    # argparse has no public name for what add_subparsers returns.
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add ``train`` to the commands of a parser."""
    command = commands.add_parser(
        "train",
        help="train a network on pictures of your own",
        description="Train a network. Stopped with Ctrl-C, it goes on with --resume.",
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
    add("--steps", type=int, metavar="N", help="end after so many steps")
    add("--minutes", type=float, metavar="M", help="end after so much time")
    add("--resume", action="store_true", help="go on from the checkpoint beside OUT")
    add("--stop-after", type=int, metavar="N", help="stop at step N; --resume goes on later")
    add("--start-from", type=Path, metavar="FILE", help="weights to begin with (default: random)")
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
        default=settings.thumbnail_size,
        metavar="PX",
        help="edge of thumbnails, patches and styles (default: %(default)s)",
    )
    add("--batch-size", type=int, default=settings.batch_size, metavar="N")
    add("--learning-rate", type=float, default=schedule.learning_rate, metavar="RATE")
    add("--warmup", type=int, default=schedule.warmup, metavar="STEPS")
    add(
        "--final-share",
        type=float,
        default=schedule.final_share,
        metavar="0..1",
        help="of the learning rate at the end (default: %(default)s; 1: constant)",
    )
    for field in fields(LossWeights):
        option = f"--{field.name.replace('_', '-')}-weight"
        add(option, type=float, metavar="W", help="(default: as the method's paper has it)")
    add("--precision", default=settings.precision, metavar="auto|fp32|bf16")
    add("--clip-norm", type=float, default=settings.clip_norm, metavar="NORM")
    add(
        "--ema-decay",
        type=float,
        default=settings.ema_decay,
        metavar="0..1",
        help="of the average of weights that is saved (default: %(default)s)",
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
    add("--keep-in-memory", action="store_true", help="keep the picture files' bytes in memory")
    add("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> None:
    """``urst train``: to the end of the schedule, or until it is stopped."""
    entry = find_recipe(options.recipe)
    settings = _settings(options, entry)
    settings.check()
    checkpoint_path = _check_output(options)
    recipe, batches = _recipe_and_batches(options, entry, settings)
    trainer = Trainer(recipe, batches, settings, checkpoint_path)
    if options.resume:
        trainer.resume()
    with _stopped_between_steps() as stop, _listening(options, trainer, batches) as listener:

        def listen(progress: TrainingProgress) -> None:
            listener(progress)
            stop.check()

        trainer.run(listen, stop_after=options.stop_after)
    trainer.save_weights(options.output)
    if not options.quiet:
        print(
            f"{options.output}: {trainer.step} steps in {trainer.seconds / 60:.1f} minutes; "
            f"{checkpoint_path.name} may be deleted, or gone on from"
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
            learning_rate=options.learning_rate,
            warmup=options.warmup,
            final_share=options.final_share,
        ),
        weights=replace(entry.default_weights, **chosen),
        batch_size=options.batch_size,
        image_size=options.image_size,
        thumbnail_size=options.thumbnail_size,
        precision=options.precision,
        clip_norm=options.clip_norm,
        ema_decay=options.ema_decay,
        seed=options.seed,
        device=options.device,
        checkpoint_minutes=options.checkpoint_minutes,
    )


def _check_output(options: argparse.Namespace) -> Path:
    """Where the checkpoint goes; refuses, before any work, a result that could not be written."""
    output: Path = options.output
    if output.suffix != ".safetensors":
        raise OutputError(f"{output} must end in .safetensors, as all weights do")
    if not output.parent.is_dir():
        raise OutputError(f"folder {output.parent} does not exist; make it first")
    checkpoint_path = output.with_name(output.stem + CHECKPOINT_ENDING)
    if not options.resume and not options.overwrite:
        for path in (output, checkpoint_path):
            if path.exists():
                raise OutputError(
                    f"{path} exists; go on from it (--resume), replace it (--overwrite), "
                    "or choose another name"
                )
    return checkpoint_path


def _recipe_and_batches(
    options: argparse.Namespace, entry: RecipeEntry, settings: TrainingSettings
) -> tuple[Recipe, Batches]:
    edge = settings.thumbnail_size

    def report(sentence: str) -> None:
        if not options.quiet:
            print(f"urst: {sentence}", file=sys.stderr)

    def opened(folders: Sequence[Path], crop: int) -> PictureFolder:
        return PictureFolder.open(
            folders, crop, report=report, keep_in_memory=options.keep_in_memory
        )

    if entry.takes_folders:
        _check_pair(options.content, options.style)
    vgg = load_vgg(options.vgg)
    recipe = build_recipe(entry, vgg, options.style, edge=edge, seed=settings.seed)
    if options.start_from:
        _start_from(recipe, options.start_from)
    styles = opened(options.style, edge) if entry.takes_folders else None
    contents = opened(options.content, settings.image_size)
    return recipe, Batches(
        contents,
        styles,
        size=settings.batch_size,
        image_size=settings.image_size,
        thumbnail_size=edge,
        seed=settings.seed,
    )


def _check_pair(contents: Sequence[Path], styles: Sequence[Path]) -> None:
    for style in styles:
        if any(
            style.exists() and content.exists() and style.samefile(content) for content in contents
        ):
            raise SettingsError(f"folder {style} is both content and style; name two folders")


def _start_from(recipe: Recipe, path: Path) -> None:
    network_class = type(recipe.network)
    state = used_weights(network_class, read_weights(path))
    build_backbone(network_class, state, origin=str(path))  # which says what does not fit
    restore(recipe.network.state_dict(), state)


class _StopAfterStep:
    """Ctrl-C and SIGTERM, kept until a step is complete: half a step cannot be gone on from."""

    def __init__(self) -> None:
        self.pending: BaseException | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.pending is not None and number == signal.SIGINT:
            raise self.pending  # asked twice
        interrupted = number == signal.SIGINT
        self.pending = KeyboardInterrupt() if interrupted else SystemExit(128 + number)

    def check(self) -> None:
        if self.pending is not None:
            raise self.pending


@contextmanager
def _stopped_between_steps() -> Generator[_StopAfterStep]:
    stop = _StopAfterStep()
    previous = {n: signal.signal(n, stop.handle) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _listening(
    options: argparse.Namespace, trainer: Trainer, batches: Batches
) -> Generator[TrainingListener]:
    """What is told of each step: a bar, TensorBoard, grids of pictures."""
    grids: Path = options.output.with_suffix(".grids")
    shown = batches.at(-1) if options.grid_every else None
    board = ScalarBoard(options.board) if options.board else None
    bar = _progress_bar(quiet=options.quiet)

    def listen(progress: TrainingProgress) -> None:
        bar.n = round(1000 * progress.done)
        losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        bar.set_postfix_str(f"step {progress.step}, {losses}")
        if board is not None:
            board.add(progress)
        if shown is not None and progress.step % options.grid_every == 0:
            save_grid(trainer.picture_grid(shown), grids / f"step-{progress.step:06d}.jpg")

    try:
        yield listen
    finally:
        bar.close()
        if board is not None:
            board.close()


def _progress_bar(*, quiet: bool) -> Any:
    try:
        from tqdm import tqdm  # noqa: PLC0415 - of the extra "app"
    except ImportError as error:
        raise SettingsError(
            f"training shows its progress with tqdm, which is missing ({error}); pip install tqdm"
        ) from error
    return tqdm(
        total=1000,
        disable=quiet,
        unit="‰",
        bar_format="{percentage:5.1f}%|{bar}| {elapsed}<{remaining} {postfix}",
    )
