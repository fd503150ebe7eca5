"""``urst train``: results, output, exit codes, and resuming."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from examples import load_picture, random_state, save_picture, stored_picture
from safetensors.torch import load_file, save_file
from training_examples import random_vgg

import urst_core
from urst_core.cli import main as cli
from urst_core.cli import train as train_cli
from urst_core.training import assembling
from urst_core.training.checkpoint import Checkpoint
from urst_core.training.recipes.microast import MicroASTRecipe
from urst_core.weights.loading import load_backbone

ROOT = Path(urst_core.__file__).parents[1]
FILES = ("--content", "a", "--style", "b", "--vgg", "c", "-o", "d")


@pytest.fixture(autouse=True)
def ctrl_c_heard():
    """Whoever runs the tests in the background may have Ctrl-C ignored: not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def thin(monkeypatch):
    """Losses measured in a VGG of a sixteenth of the width, to be faster."""
    monkeypatch.setattr(assembling, "load_vgg", lambda _path: random_vgg(thinness=16))


@pytest.fixture
def train(pictures, vgg_file, tmp_path):
    """``urst train`` on tiny pictures; the exit code."""

    def run(*options, recipe="microast", output="out.safetensors", style=None) -> int:
        return cli.main(
            [
                *("train", recipe, "--content", str(pictures / "content")),
                *("--style", str(style or pictures / "style"), "--vgg", str(vgg_file)),
                *("-o", str(tmp_path / output), "--image-size", "32", "--batch-size", "2"),
                *("--device", "cpu", "--precision", "fp32", *map(str, options)),
            ]
        )

    return run


def made(folder) -> list[str]:
    return sorted(os.listdir(folder))


def state_of(path) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in load_file(path).items()}


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(
        torch.allclose(first[name], second[name], atol=1e-6) for name in first
    )


# From pictures to a picture


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "backbone"),
    [
        ("microast", "microast"),
        ("microast_blurred", "microast"),
        ("microast_extended", "microast"),
        ("adain", "adain"),
        pytest.param("linear_r31", "linear_r31", marks=pytest.mark.slow),
        ("johnson", "johnson_examples"),
    ],
)
def test_trained_weights_load_and_stylize(train, tmp_path, capsys, request, recipe, backbone):
    if recipe not in ("adain", "linear_r31"):  # whose encoder the VGG is
        request.getfixturevalue("thin")
    style = save_picture(tmp_path / "style.png", stored_picture((24, 24)))
    content = save_picture(tmp_path / "content.png", stored_picture((40, 56)))
    assert train("--steps", 2, recipe=recipe, style=style if recipe == "johnson" else None) == 0
    output = tmp_path / "out.safetensors"
    printed = capsys.readouterr()
    assert re.fullmatch(
        re.escape(f"{output}: 2 steps in 0.") + r"\d minutes; "
        r"out\.checkpoint\.safetensors may be deleted, or trained further\n",
        printed.out,
    )
    assert "step 2, content " in printed.err
    assert load_backbone(backbone, output).traits.name == backbone
    styles = [] if recipe == "johnson" else [str(style)]
    options = ["--backbone", backbone, "--weights", str(output), "--device", "cpu", "--quiet"]
    stylized = tmp_path / "stylized.png"
    assert cli.main(["stylize", str(content), *styles, "-o", str(stylized), *options]) == 0
    assert load_picture(stylized).shape == (3, 40, 56)
    assert made(tmp_path) == [
        "content.png",
        "out.checkpoint.safetensors",
        "out.safetensors",
        "style.png",
        "stylized.png",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_quiet_prints_nothing(train, capfd):
    assert train("--steps", 1, "--quiet") == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_grids(train, tmp_path):
    assert train("--steps", 3, "--grid-every", 2) == 0
    assert made(tmp_path / "out.grids") == ["step-000002.jpg"]
    # Contents, styles and results of two pictures of 16 px.
    assert load_picture(tmp_path / "out.grids" / "step-000002.jpg").shape == (3, 48, 32)


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_minutes(train, tmp_path, capsys):
    assert train("--minutes", 1e-6) == 0
    assert Checkpoint.load(tmp_path / "out.checkpoint.safetensors").step == 1
    assert ": 1 steps in " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_options_reach_the_training(train, tmp_path):
    options = {
        "--learning-rate": ("learning rate", "0.002"),
        "--warmup": ("warmup", "3"),
        "--final-share": ("final share", "0.5"),
        "--content-weight": ("content weight", "1.5"),
        "--style-weight": ("style weight", "2.5"),
        "--stroke-weight": ("stroke weight", "0.25"),
        "--contrastive-weight": ("contrastive weight", "0.75"),
        "--total-variation-weight": ("total_variation weight", "0.125"),
        "--grid-weight": ("grid weight", "0.0625"),
        "--out-of-range-weight": ("out_of_range weight", "9.0"),
        "--clip-norm": ("gradient norm", "4.0"),
        "--ema-decay": ("average decay", "0.5"),
        "--style-crops": ("style crops", "3"),
        "--deep-every": ("deep every", "2"),
        "--seed": ("seed", "11"),
        "--precision": ("precision", "bf16"),
    }
    chosen = [word for option, (_, value) in options.items() for word in (option, value)]
    assert train("--steps", 1, "--keep-in-memory", *chosen) == 0
    run = Checkpoint.load(tmp_path / "out.checkpoint.safetensors").run
    for name, value in options.values():
        assert run[name] == {"bf16": "torch.bfloat16"}.get(value, value)
    assert run["image size"] == "32"
    assert run["batch size"] == "2"
    assert run["content pictures"].startswith("4 (")


def test_defaults_of_each_recipe_are_its_own():
    options = cli._parser().parse_args(["train", "johnson", *FILES, "--steps", "1"])
    for entry in train_cli.RECIPES:
        settings = train_cli._settings(options, entry)
        assert settings.weights == entry.default_weights
        assert settings.schedule.learning_rate == entry.learning_rate
    rates = {entry.name: entry.learning_rate for entry in train_cli.RECIPES}
    assert rates["din"] == rates["metanet_16"] == 10 * rates["adain"] == 1e-3


def test_help_names_learning_rates(capsys):
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["train", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "highest learning rate (default: 0.0001; din 0.001; metanet_8 0.001; " in words


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_start_from(train, tmp_path):
    """A rate near zero leaves the initial weights unchanged."""
    state = random_state(MicroASTRecipe(random_vgg(thinness=16)).network, 5)
    save_file(state, tmp_path / "start.safetensors")
    options = ("--start-from", tmp_path / "start.safetensors", "--learning-rate", 1e-9)
    assert train("--steps", 1, *options) == 0
    assert same(state_of(tmp_path / "out.safetensors"), state)


# Stopped and resumed


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_stop_after_and_resume(train, tmp_path, capsys):
    assert train("--steps", 4, output="once.safetensors") == 0
    assert train("--steps", 4, "--stop-after", 2) == 0
    assert ": 2 steps in " in capsys.readouterr().out
    halfway = state_of(tmp_path / "out.safetensors")
    assert load_backbone("microast", tmp_path / "out.safetensors")
    assert train("--steps", 4, "--resume") == 0
    assert ": 4 steps in " in capsys.readouterr().out
    once, resumed = (state_of(tmp_path / f"{name}.safetensors") for name in ("once", "out"))
    assert same(once, resumed)
    assert not same(once, halfway)


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_resume_with_the_same_start(train, tmp_path, capsys):
    """The same command and --resume: --overwrite and --start-from are in it still."""
    assert train("--steps", 2, output="first.safetensors") == 0
    command = ("--steps", 4, "--overwrite", "--start-from", tmp_path / "first.safetensors")
    assert train(*command, "--stop-after", 3) == 0
    (tmp_path / "out.safetensors").unlink()
    assert train(*command, "--resume") == 0
    assert ": 4 steps in " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_resume_with_other_settings(train, tmp_path, capsys):
    assert train("--steps", 2, "--quiet") == 0
    before = (tmp_path / "out.safetensors").read_bytes()
    assert train("--steps", 2, "--seed", 3, "--resume") == 1
    assert capsys.readouterr().err == (
        "urst: the checkpoint belongs to another training run, it had: seed 0, not 3; use the "
        "same settings, or start another training run from its weights with --start-from\n"
    )
    assert (tmp_path / "out.safetensors").read_bytes() == before


@pytest.mark.usefixtures("thin")
def test_resume_without_a_checkpoint(train, tmp_path, capsys):
    assert train("--steps", 2, "--resume") == 1
    path = tmp_path / "out.checkpoint.safetensors"
    message = f"there is no checkpoint {path} to resume from; leave --resume out to begin"
    assert capsys.readouterr().err == f"urst: {message}\n"
    assert made(tmp_path) == []


@pytest.fixture
def in_step(monkeypatch):
    """Does something in the middle of a step."""

    def do(step, action):
        losses, calls = MicroASTRecipe.losses, []

        def counted(self, batch, weights, **options):
            calls.append(batch)
            if len(calls) == step:
                action()
            return losses(self, batch, weights, **options)

        monkeypatch.setattr(MicroASTRecipe, "losses", counted)

    return do


SENTENCE = (
    "urst: training stopped; the checkpoint is at step {}; "
    "repeat the command with --resume to continue from there\n"
)


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (getattr(signal, "SIGHUP", None), 129)],
)
def test_signals_stop_between_steps(train, tmp_path, capsys, in_step, number, code):
    if number is None:
        pytest.skip("Windows has no such signal")
    in_step(2, lambda: signal.raise_signal(number))
    if number == signal.SIGINT:
        assert train("--steps", 3) == code
    else:
        before = signal.signal(number, signal.SIG_DFL)
        with pytest.raises(SystemExit) as caught:
            train("--steps", 3)
        signal.signal(number, before)
        assert caught.value.code == code
    assert capsys.readouterr().err.endswith(SENTENCE.format(2))
    assert Checkpoint.load(tmp_path / "out.checkpoint.safetensors").step == 2
    assert made(tmp_path) == ["out.checkpoint.safetensors"]
    if number == signal.SIGINT:
        assert train("--steps", 3, "--resume") == 0
        assert train("--steps", 3, output="once.safetensors") == 0
        assert same(*(state_of(tmp_path / f"{name}.safetensors") for name in ("once", "out")))


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_ctrl_c_twice_does_not_wait_for_the_step(train, tmp_path, capsys, in_step):
    """The checkpoint is the one before, here that of the beginning."""

    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    in_step(3, twice)
    assert train("--steps", 5) == 130
    assert capsys.readouterr().err.endswith(SENTENCE.format(0))
    assert made(tmp_path) == ["out.checkpoint.safetensors"]
    assert Checkpoint.load(tmp_path / "out.checkpoint.safetensors").step == 0


@pytest.mark.usefixtures("thin")
def test_ctrl_c_before_training_began(train, tmp_path, capsys, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(assembling, "load_vgg", interrupted)
    assert train("--steps", 5) == 130
    assert capsys.readouterr().err == "urst: interrupted, no result was written\n"
    assert made(tmp_path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_ctrl_c_while_the_result_is_written_waits_for_it(train, tmp_path, monkeypatch):
    fsync = os.fsync

    def interrupted(number):
        monkeypatch.setattr(os, "fsync", fsync)
        signal.raise_signal(signal.SIGINT)
        fsync(number)

    save_weights = train_cli.Trainer.save_weights

    def saving(self, path):
        monkeypatch.setattr(os, "fsync", interrupted)
        save_weights(self, path)

    monkeypatch.setattr(train_cli.Trainer, "save_weights", saving)
    assert train("--steps", 1) == 0
    assert load_backbone("microast", tmp_path / "out.safetensors")


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_signal_handlers_are_put_back(train):
    numbers = signal.SIGTERM, signal.SIGINT
    before = [signal.getsignal(number) for number in numbers]
    assert train("--steps", 1) == 0
    assert train("--steps", 1) == 1  # it exists now
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_to_a_real_process(pictures, vgg_file, tmp_path):
    """It stops behind a step, says how to go on, and does."""
    # Whoever runs the tests in the background may have Ctrl-C ignored: not here.
    start = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('urst_core', run_name='__main__')"
    )
    output, errors = tmp_path / "out.safetensors", tmp_path / "errors.txt"
    options = [
        *("train", "microast", "--content", str(pictures / "content")),
        *("--style", str(pictures / "style"), "--vgg", str(vgg_file), "-o", str(output)),
        *("--image-size", "32", "--batch-size", "2", "--steps", "1000", "--precision", "fp32"),
        *("--device", "cpu"),
    ]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
    }
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", start, *options],
            env=environment,
            stderr=stream,
            stdout=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 300
            while b"step 2" not in errors.read_bytes():
                assert process.poll() is None, errors.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 130
        finally:
            process.kill()
            process.wait()
    said = errors.read_text()
    assert "Traceback" not in said
    step = Checkpoint.load(tmp_path / "out.checkpoint.safetensors").step
    assert step >= 2
    assert said.endswith(SENTENCE.format(step))
    assert made(tmp_path) == ["errors.txt", "out.checkpoint.safetensors"]
    assert cli.main([*options, "--resume", "--stop-after", str(step + 1), "--quiet"]) == 0
    assert load_backbone("microast", output)


# Pictures that are left out


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_broken_pictures_are_reported_once_and_skipped(train, pictures, tmp_path, capsys):
    style = tmp_path / "style"
    shutil.copytree(pictures / "style", style)
    (style / "text.jpg").write_text("no picture")
    save_picture(style / "small.png", stored_picture((8, 8)))
    broken = save_picture(style / "broken.jpg", stored_picture((200, 300)))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    assert train("--steps", 6, style=style) == 0
    said = [part for part in re.split(r"[\r\n]", capsys.readouterr().err) if "urst: " in part]
    assert [sentence.strip() for sentence in said[:2]] == [
        f"urst: skipping {style / 'small.png'}: 8 x 8 px is smaller than 16 px",
        f"urst: skipping {style / 'text.jpg'}: not a readable picture of 8 or 16 bits per channel",
    ]
    assert len(said) == 3
    # On a line of its own, above the bar.
    assert said[2].startswith(f"urst: skipping {broken}: it is broken (")


# Refused


def refused(train, capsys, *options, **chosen) -> str:
    assert train(*options, **chosen) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("urst: ")
    assert printed.err.count("\n") == 1
    return printed.err[len("urst: ") : -1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "training has no limit; give --steps, or give --minutes"),
        (["--steps", 5, "--stop-after", 0], "--stop-after 0 is not a step; use 1 or more"),
        (
            ["--steps", 5, "--grid-every", -1],
            "--grid-every -1 cannot be used; use steps, or 0 for no grids",
        ),
        (
            ["--steps", 5, "--device", "tpu"],
            "device 'tpu' is unknown; use auto, cpu, cuda, cuda:N or mps",
        ),
        (
            ["--steps", 5, "--image-size", 40],
            "thumbnail size 20 cannot be used; use a multiple of 8 px, 16 or more",
        ),
    ],
    ids=str,
)
def test_refused_options(train, tmp_path, capsys, options, message):
    assert refused(train, capsys, *options) == message
    assert made(tmp_path) == []


def test_unknown_recipe(train, capsys):
    message = (
        "there is no recipe 'stylegan'; use one of: microast, microast_blurred, "
        "microast_extended, adain, "
        "linear_r31, linear_r41, din, metanet_8, metanet_16, metanet_32, johnson"
    )
    assert refused(train, capsys, "--steps", 1, recipe="stylegan") == message


def test_contrastive_loss_where_there_is_none(train, tmp_path, capsys):
    message = "AdaIN has no style signals to contrast; leave the contrastive loss at weight 0"
    options = ("--steps", 1, "--contrastive-weight", 1)
    assert refused(train, capsys, *options, recipe="adain") == message
    assert made(tmp_path) == []


@pytest.mark.parametrize("name", ["out.safetensors", "out.checkpoint.safetensors"])
def test_existing_output(train, tmp_path, capsys, name):
    path = tmp_path / name
    path.write_bytes(b"precious")
    assert refused(train, capsys, "--steps", 1) == (
        f"{path} exists; resume it (--resume), replace it (--overwrite), or choose another name"
    )
    assert path.read_bytes() == b"precious"


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_overwrite(train, tmp_path):
    for name in ("out.safetensors", "out.checkpoint.safetensors"):
        (tmp_path / name).write_bytes(b"old")
    assert train("--steps", 1, "--overwrite") == 0
    assert load_backbone("microast", tmp_path / "out.safetensors")
    assert Checkpoint.load(tmp_path / "out.checkpoint.safetensors").step == 1


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_overwriting_forgets_the_old_checkpoint_before_the_first_step(train, tmp_path, in_step):
    """Or --resume would go on from the old training."""
    assert train("--steps", 2) == 0

    def stop():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    in_step(1, stop)
    assert train("--steps", 2, "--overwrite") == 130
    assert Checkpoint.load(tmp_path / "out.checkpoint.safetensors").step == 0
    assert load_backbone("microast", tmp_path / "out.safetensors")  # the old one, until the end


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.pth", "{path} must end in .safetensors, as all weights do"),
        ("out", "{path} must end in .safetensors, as all weights do"),
        ("absent/out.safetensors", "folder {path.parent} does not exist; create it first"),
        ("folder.safetensors", "{path} is a folder; choose another name"),
    ],
)
def test_refused_outputs(train, tmp_path, capsys, output, message):
    (tmp_path / "folder.safetensors").mkdir()
    expected = message.format(path=tmp_path / output)
    assert refused(train, capsys, "--steps", 1, output=output) == expected


def test_output_that_is_the_vgg(pictures, tmp_path, capsys):
    path = tmp_path / "vgg.safetensors"
    save_file(random_vgg(thinness=16).state_dict(), path)
    before = path.read_bytes()
    folders = ["--content", str(pictures / "content"), "--style", str(pictures / "style")]
    options = [*folders, "--vgg", str(path), "-o", str(path), "--steps", "1", "--overwrite"]
    assert cli.main(["train", "microast", *options]) == 1
    message = f"urst: output {path} is the VGG file itself; choose another name\n"
    assert capsys.readouterr().err == message
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_tqdm_missing(train, tmp_path, capsys, monkeypatch):
    """It is said before the first step; without a bar it is not needed."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    message = refused(train, capsys, "--steps", 1)
    assert message.startswith("progress is shown with tqdm, which did not load (")
    assert made(tmp_path) == []
    assert train("--steps", 1, "--quiet") == 0


@pytest.mark.usefixtures("thin")
def test_tensorboard_missing(train, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train("--steps", 1, "--board", tmp_path / "board") == 1
    said = capsys.readouterr().err
    assert "urst: --board needs TensorBoard, which did not load (" in said
    assert made(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "the following arguments are required: NAME"),
        (["train", "microast"], "arguments are required: --content, --style, --vgg, -o/--output"),
        (
            ["train", "microast", *FILES, "--steps", "many"],
            "argument --steps: invalid int value: 'many'",
        ),
    ],
    ids=" ".join,
)
def test_wrong_usage(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("microast (MicroAST, any style)", "--final-share 0..1", "(default: 512)"):
        assert words in printed
