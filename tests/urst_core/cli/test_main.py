"""The command line: results, output, exit codes, and files of interrupted runs."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import pyvips
import torch
from examples import load_picture, save_picture, stored_picture
from safetensors.torch import save_file

import urst_core
from urst_core.backbones import REGISTRY, all_backbones
from urst_core.cli import demo as demo_cli
from urst_core.cli import main as cli
from urst_core.cli.bars import ProgressBar
from urst_core.demo import demo_painting
from urst_core.formats.input_options import InputOptions
from urst_core.formats.open import ImageFile, ImageFileCanvas, copy_picture
from urst_core.formats.output_options import OutputOptions
from urst_core.networks.tile_network import TileNetwork
from urst_core.progress import Progress
from urst_core.runs.file_run import FileRun
from urst_core.tiling.settings import IfInterrupted, Settings
from urst_core.weights.loading import EMBEDDED_FILES, load_backbone

SIZE = (100, 136)
EMBEDDED = Path(urst_core.__file__).parent / "data" / EMBEDDED_FILES["microast"]
ROOT = Path(urst_core.__file__).parents[1]


painted_once = functools.cache(demo_painting)


@pytest.fixture(autouse=True)
def one_painting(monkeypatch):
    """Its strokes take as long on a few pixels as on many."""
    monkeypatch.setattr(demo_cli, "demo_painting", painted_once)


@pytest.fixture
def folder(tmp_path):
    """A folder with a content and two styles."""
    save_picture(tmp_path / "content.png", stored_picture(SIZE))
    save_picture(tmp_path / "style.png", stored_picture((72, 80), seed=3))
    save_picture(tmp_path / "style2.png", stored_picture((64, 64), seed=4))
    return tmp_path


def run(folder, *options, output="out.png", styles=("style.png",), device="cpu") -> int:
    """``urst stylize`` in a folder; the exit code."""
    return cli.main(
        [
            "stylize",
            str(folder / "content.png"),
            *(str(folder / style) for style in styles),
            "-o",
            str(folder / output),
            *(["--device", device] if device else []),
            *map(str, options),
        ]
    )


def made(folder) -> list[str]:
    """Names of files that were added to the folder, including hidden ones."""
    return sorted(set(os.listdir(folder)) - {"content.png", "style.png", "style2.png"})


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    error = (first.double() - second.double()).square().mean() / 255**2
    return float(-10 * torch.log10(error))


@pytest.fixture
def captured(monkeypatch):
    """What the command line asks of the engine, which only copies the content here."""
    seen = SimpleNamespace()

    def run(self, listener, *, if_interrupted):
        seen.source, seen.styles, seen.if_interrupted = (
            self.source,
            self.style_sources,
            if_interrupted,
        )
        seen.backbone, seen.settings, seen.overwrite = self.backbone, self.settings, self.overwrite
        seen.style_weights, seen.mask = self.style_weights, self.mask
        seen.input_options = self.input_options
        listener(Progress("tiles", 0, 1, 0, 1))
        with ImageFileCanvas(self.output, self.source, self.options, overwrite=True) as canvas:
            seen.canvas = canvas
            copy_picture(self.source, canvas)

    monkeypatch.setattr(FileRun, "run", run)
    return seen


# Stylize


def test_stylize_writes_the_file_and_prints_its_path(folder, capsys):
    assert run(folder, "--tile-size", 64) == 0
    stylized = load_picture(folder / "out.png")
    assert stylized.shape == (3, *SIZE)
    assert stylized.dtype == torch.uint8
    assert psnr(stylized, load_picture(folder / "content.png")) < 25
    assert made(folder) == ["out.png"]
    printed = capsys.readouterr()
    assert re.fullmatch(
        re.escape(str(folder / "out.png")) + r": 136 x 100 px, 0\.0 MP in \d+\.\d s\n", printed.out
    )
    # The bars' last states: tiles, megapixels a second, time left.
    tiles, encoding = (line.rsplit("\r", 1)[-1] for line in printed.err.strip().split("\n"))
    assert re.search(r"^tiles \|.*\| 100%, tile 6/6, +[\d.]+MP/s, 00:00 left", tiles)
    assert re.search(r"^encoding \|.*\| 100% +[\d.]+MP/s, 00:00 left", encoding)


def test_quiet_prints_nothing(folder, capfd):
    assert run(folder, "--quiet") == 0
    assert made(folder) == ["out.png"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_exact_statistics_have_their_own_bars(folder, capsys):
    assert run(folder, "--stats", "exact", "--tile-size", 64) == 0
    printed = capsys.readouterr().err
    for stage in ("statistics dec1", "statistics dec2", "tiles"):
        assert re.search(rf"{stage} \|.*\| 100%, tile 6/6, ", printed)


def test_default_device(folder):
    assert run(folder, device=None) == 0
    assert load_picture(folder / "out.png").shape == (3, *SIZE)


@pytest.mark.slow
def test_tile_size_does_not_show(folder):
    pictures = []
    for tile_size in (4096, 64, 20):
        assert run(folder, "--tile-size", tile_size, output=f"{tile_size}.png") == 0
        pictures.append(load_picture(folder / f"{tile_size}.png").int())
    for other in pictures[1:]:
        difference = (other - pictures[0]).abs()
        # Sums in another order may round a value that lies between two levels to the other one.
        assert int(difference.max()) <= 1
        assert float((difference > 0).float().mean()) < 1e-3


@pytest.mark.slow
def test_strength_zero_gives_the_content_back(folder):
    content = load_picture(folder / "content.png")
    decibels = []
    for strength in (0, 0.5, 1):
        assert run(folder, "--strength", strength, output=f"{strength}.png") == 0
        decibels.append(psnr(load_picture(folder / f"{strength}.png"), content))
    assert decibels[0] >= 30
    assert decibels == sorted(decibels, reverse=True)


@pytest.mark.slow
def test_two_styles(folder):
    def stylized(name, *options, styles=("style.png", "style2.png")):
        assert run(folder, *options, styles=styles, output=name) == 0
        return load_picture(folder / name).int()

    first = stylized("first.png", styles=["style.png"])
    second = stylized("second.png", styles=["style2.png"])
    only_first = stylized("only.png", "--style-weights", 5, 0)
    equal = stylized("equal.png")
    halves = stylized("halves.png", "--style-weights", 0.5, 0.5)
    assert int((only_first - first).abs().max()) <= 1
    assert torch.equal(equal, halves)
    for pure in (first, second):
        assert float((equal - pure).abs().float().mean()) > 2


def test_alpha_of_content_and_style(folder, captured):
    """The style is laid on white; the content's alpha goes with it."""
    for name, seed in (("style.png", 3), ("content.png", 0)):
        save_picture(folder / name, stored_picture((72, 80), seed=seed, channels=4))
    assert run(folder) == 0
    assert [style.channels for style in captured.styles] == [3]
    assert captured.source.channels == load_picture(folder / "out.png").shape[0] == 4


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_formats(folder, ending):
    assert run(folder, output=f"out{ending}") == 0
    assert load_picture(folder / f"out{ending}").shape == (3, *SIZE)


# Options

OPTIONS = {
    "--overwrite": (["--overwrite"], lambda seen: seen.overwrite),
    "--resume": (["--resume"], lambda seen: seen.if_interrupted is IfInterrupted.RESUME),
    "--restart": (["--restart"], lambda seen: seen.if_interrupted is IfInterrupted.DISCARD),
    "--output": (
        ["--output", "{folder}/other.png"],
        lambda seen: seen.canvas.path.name == "other.png",
    ),
    "--style-weights": (["--style-weights", "3"], lambda seen: seen.style_weights == [3.0]),
    "--mask": (
        ["--mask", "{folder}/content.png"],
        lambda seen: seen.mask.path.name == "content.png",
    ),
    "--mask-feather": (
        ["--mask", "{folder}/content.png", "--mask-feather", "7"],
        lambda seen: seen.mask.feather == 7,
    ),
    "--backbone": (
        ["--backbone", "adain", "--weights", "{folder}/adain.safetensors"],
        lambda seen: seen.backbone.traits.name == "adain",
    ),
    "--weights": (
        ["--weights", "{folder}/microast.safetensors"],
        lambda seen: seen.backbone.fingerprint != load_backbone().fingerprint,
    ),
    "--thumbnail-size": (
        ["--thumbnail-size", "96"],
        lambda seen: seen.settings == Settings(thumbnail_size=96),
    ),
    "--style-size": (["--style-size", "0"], lambda seen: seen.settings == Settings(style_size=0)),
    "--tile-size": (["--tile-size", "72"], lambda seen: seen.settings == Settings(tile_size=72)),
    "--stats": (["--stats", "exact"], lambda seen: seen.settings == Settings(stats="exact")),
    "--strength": (["--strength", ".25"], lambda seen: seen.settings == Settings(strength=0.25)),
    "--precision": (
        ["--precision", "bf16"],
        lambda seen: seen.settings == Settings(precision="bf16"),
    ),
    "--strokes": (["--strokes", "2.5"], lambda seen: seen.settings == Settings(strokes=2.5)),
    "--detail": (["--detail", "0.5"], lambda seen: seen.settings == Settings(detail=0.5)),
    "--brushwork": (["--brushwork", "0"], lambda seen: seen.settings == Settings(brushwork=0.0)),
    "--seed": (["--seed", "7"], lambda seen: seen.settings == Settings(seed=7)),
    "--device": (["--device", "cpu"], lambda seen: seen.settings == Settings(device="cpu")),
    "--quality": (
        ["--quality", "31", "--output", "{folder}/out.jpg"],
        lambda seen: seen.canvas._options == OutputOptions(quality=31),
    ),
    "--compression": (
        ["--compression", "lzw", "--output", "{folder}/out.tif"],
        lambda seen: seen.canvas._options == OutputOptions(compression="lzw"),
    ),
    "--pyramid": (
        ["--pyramid", "--output", "{folder}/out.tif"],
        lambda seen: seen.canvas._options == OutputOptions(pyramid=True),
    ),
    "--stored-tile-size": (
        ["--stored-tile-size", "128", "--output", "{folder}/out.tif"],
        lambda seen: seen.canvas._options == OutputOptions(stored_tile_size=128),
    ),
    "--tile-format": (
        ["--tile-format", "png", "--output", "{folder}/out.dzi"],
        lambda seen: seen.canvas._options == OutputOptions(tile_format="png"),
    ),
    "--strict": (["--strict"], lambda seen: seen.input_options == InputOptions(strict=True)),
    "--any-size": (["--any-size"], lambda seen: seen.input_options == InputOptions(any_size=True)),
    "--colors": (
        ["--colors", "content"],
        lambda seen: seen.settings == Settings(colors="content"),
    ),
    "--local-radius": (
        ["--local-radius", "0.1"],
        lambda seen: seen.settings == Settings(local_radius=0.1),
    ),
    "--match": (["--match", "moments"], lambda seen: seen.settings == Settings(match="moments")),
    "--quiet": (["--quiet"], lambda seen: seen.settings == Settings()),
    "--size": (["--size", "40x24"], lambda seen: seen.source.size == (24, 40)),
}


TESTED_ELSEWHERE = {
    *(
        "--jobs",
        "--ray",
        "--ray-workers",
        "--name",
        "--recursive",
        "--like",
        "--preset",
        "--no-metadata",
    ),
    *("--regions", "--region", "--region-strength", "--region-feather", "--region-stats"),
    "--mix-map",
    *("--print-size", "--dpi", "--fit", "--crop"),
}
"""In the files of those subjects: test_ray.py, test_job.py, test_describe.py, test_crop.py, …"""


def command_options(command: str) -> list[str]:
    """The long names of a command's options, read off the parser itself."""
    parser = cli._parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    actions = commands.choices[command]._actions
    names = {action.option_strings[-1] for action in actions if action.option_strings}
    return sorted(names - {"--help"} - TESTED_ELSEWHERE)


def test_every_option_is_in_the_table():
    assert {*command_options("stylize"), *command_options("demo")} == set(OPTIONS)
    assert command_options("info") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "option"),
    [(command, name) for command in ("stylize", "demo") for name in command_options(command)],
)
def test_every_option_reaches_the_engine(
    folder, captured, command, option, random_backbones, monkeypatch
):
    if option in ("--backbone", "--weights"):
        for name in ("microast", "adain"):
            backbone = random_backbones[name]
            save_file(backbone.network.state_dict(), folder / f"{name}.safetensors")
    if option == "--overwrite":
        (folder / "out.png").write_bytes(b"old")
    arguments, shows = OPTIONS[option]
    if command == "stylize":
        start = ["stylize", str(folder / "content.png"), str(folder / "style.png")]
        output = folder / "out.png"
    else:
        monkeypatch.setattr(demo_cli, "DEMO_PAINTING_SIZE", (24, 24))
        monkeypatch.setattr(demo_cli, "DEMO_SIZE", (24, 32))
        start, output = ["demo"], folder / "demo"
    # Given twice, the later one counts.
    arguments = ["--output", str(output)] + [text.format(folder=folder) for text in arguments]
    assert cli.main([*start, *arguments]) == 0
    if (command, option) == ("demo", "--output"):
        assert captured.canvas.path == folder / "other.png" / "stylized.jpg"
    else:
        assert shows(captured)


def test_defaults(folder, captured):
    assert run(folder, device=None) == 0
    assert captured.settings == Settings()
    assert captured.backbone.traits.name == "microast"
    assert captured.style_weights is None
    assert captured.mask is None
    assert [style.channels for style in captured.styles] == [3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "others"),
    [
        ([], ["--thumbnail-size", 48]),
        ([], ["--style-size", 32]),
        (["--thumbnail-size", 48], ["--thumbnail-size", 48, "--stats", "exact"]),
        ([], ["--strength", 0.6]),
        ([], ["--precision", "bf16"]),
    ],
    ids=str,
)
def test_options_that_show_in_the_picture(folder, options, others):
    assert run(folder, *options, output="plain.png") == 0
    assert run(folder, *others, output="other.png") == 0
    plain, other = load_picture(folder / "plain.png"), load_picture(folder / "other.png")
    assert not torch.equal(plain, other)


@pytest.mark.slow
def test_options_that_do_not_show_in_the_picture(folder):
    assert run(folder, output="plain.png") == 0
    options = ["--weights", EMBEDDED, "--backbone", "microast", "--precision", "fp32", "--quiet"]
    assert run(folder, *options, output="other.png") == 0
    assert torch.equal(load_picture(folder / "plain.png"), load_picture(folder / "other.png"))


@pytest.mark.slow
def test_adain_from_the_command_line(folder, random_backbones):
    weights = folder / "adain.safetensors"
    save_file(random_backbones["adain"].network.state_dict(), weights)
    options = ["--backbone", "adain", "--weights", weights, "--style-size", 48]
    assert run(folder, *options, "--thumbnail-size", 48) == 0
    weights.unlink()
    assert made(folder) == ["out.png"]


# Refused: exit code 1, the reason on standard error, nothing written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--backbone", "vgg"],
            "backbone 'vgg' is unknown; use one of: " + ", ".join(REGISTRY),
        ),
        (
            ["--backbone", "adain"],
            "AdaIN has no embedded weights; give a safetensors file as --weights, or make one "
            "from the published files with 'urst weights convert FILES --backbone adain -o OUT'",
        ),
        (
            ["--backbone", "adain", "--weights", str(EMBEDDED)],
            f"weights {EMBEDDED} are MicroAST's, not AdaIN's; "
            "choose backbone 'microast' or another file",
        ),
        (["--weights", "absent.st"], "weights file absent.st does not exist; check the path"),
        (
            ["--thumbnail-size", "7"],
            "thumbnail size 7 is too small for MicroAST; "
            "use 8 or more, or 0 to keep the picture's own",
        ),
        (
            ["--style-size", "-1"],
            "style size -1 is too small for MicroAST; "
            "use 8 or more, or 0 to keep the picture's own",
        ),
        (
            ["--tile-size", "66"],
            "tile size 66 is not a positive multiple of MicroAST's stride 4; use 64 or 68",
        ),
        (["--strength", "1.5"], "strength 1.5 is out of range; use 0 to 1"),
        (["--strength", "nan"], "strength nan is out of range; use 0 to 1"),
        (["--precision", "fp8"], "precision 'fp8' is unknown; use auto, fp32, fp16, bf16"),
        (
            ["--device", "tpu"],
            "device 'tpu' is unknown; use auto, cpu, cuda, cuda:N or mps",
        ),
        (["--quality", "0"], "quality 0 is out of range; use 1 to 100"),
        (["--style-weights", "1", "2"], "1 styles with 2 weights; give one weight for each style"),
        (
            ["--style-weights", "0"],
            "style weights [0.0] cannot be used; use values >= 0, at least one above 0",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_options(folder, capsys, options, message):
    assert run(folder, *options) == 1
    printed = capsys.readouterr()
    assert printed.err == f"urst: {message}\n"
    assert printed.out == ""
    assert made(folder) == []


def test_refused_cuda_device(folder, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert run(folder, "--device", "cuda:99") == 1
    assert capsys.readouterr().err == (
        "urst: device 'cuda:99' is not available: torch sees 1 CUDA devices; use auto or cpu\n"
    )


@pytest.mark.parametrize("size", [(1, 1), (4, 4)])
def test_refused_style(folder, capsys, size):
    save_picture(folder / "style.png", stored_picture(size))
    assert run(folder) == 1
    assert capsys.readouterr().err == (
        f"urst: style of {size[0]} x {size[1]} px is too small for MicroAST; "
        "use a picture of at least 8 x 8 px\n"
    )
    assert made(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["content.png", "style.png"])
@pytest.mark.parametrize("damage", ["missing", "empty", "text", "truncated"])
def test_refused_pictures(folder, capsys, name, damage):
    path = folder / name
    encoded = path.read_bytes()
    replacement = {"empty": b"", "text": b"no picture", "truncated": encoded[: len(encoded) // 2]}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(replacement[damage])
    assert run(folder) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"urst: picture {path} ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert made(folder) == []


def test_output_exists(folder, capsys):
    (folder / "out.png").write_bytes(b"precious")
    assert run(folder) == 1
    assert capsys.readouterr().err == (
        f"urst: {folder / 'out.png'} exists; choose another name, or replace it with --overwrite\n"
    )
    assert (folder / "out.png").read_bytes() == b"precious"
    assert run(folder, "--overwrite") == 0
    assert load_picture(folder / "out.png").shape == (3, *SIZE)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("absent/out.png", "folder {folder}/absent does not exist; create it first"),
        (
            "out.gif",
            "{folder}/out.gif: ending '.gif' names no known format; "
            "use one of: .jpg .jpeg .png .tif .tiff .webp .avif .heic .jxl .exr .dzi .npy .zarr",
        ),
        ("content.png", "output {folder}/content.png is the content itself; choose another name"),
    ],
)
def test_refused_outputs(folder, capsys, output, message):
    assert run(folder, "--overwrite", output=output) == 1
    assert capsys.readouterr().err == f"urst: {message.format(folder=folder)}\n"
    assert made(folder) == []
    assert torch.equal(load_picture(folder / "content.png"), stored_picture(SIZE))


# Wrong usage: exit code 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["stylize", "a.png"], "the following arguments are required: "),
        (["stylize", "a.png", "b.png"], "the following arguments are required: -o/--output"),
        (["stylize", "a.png", "b.png", "-o", "c.png", "--fast"], "unrecognized arguments: --fast"),
        (
            ["stylize", "a.png", "b.png", "-o", "c.png", "--strength", "much"],
            "argument --strength: invalid float value: 'much'",
        ),
        (
            ["stylize", "a.png", "b.png", "-o", "c.png", "--tile-size", "1.5"],
            "argument --tile-size: invalid int value: '1.5'",
        ),
        (
            ["stylize", "a.png", "b.png", "-o", "c.png", "--stats", "median"],
            "argument --stats: invalid choice: 'median'",
        ),
        (["demo", "--overwrite"], "unrecognized arguments: --overwrite"),
        (
            ["stylize", "a.png", "b.png", "-o", "c.png", "--resume", "--restart"],
            "argument --restart: not allowed with argument --resume",
        ),
        *(
            (
                ["demo", "--size", size],
                f"argument --size: size {size!r} is not WIDTHxHEIGHT, as in 1248x832",
            )
            for size in ("1248", "0x10", "10x0", "x10", "10x", "1.5x10", "10x10x10")
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("usage: urst")
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--version"], f"urst {urst_core.__version__}\n"),
        (["--help"], "stylize"),
        (["stylize", "--help"], "--thumbnail-size PX"),
        (["demo", "--help"], "--size WxH"),
    ],
    ids=" ".join,
)
def test_version_and_help(capsys, arguments, shown):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    assert shown in capsys.readouterr().out


def test_info_lists_every_backbone(capsys):
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    assert (
        f"urst      {urst_core.__version__} with torch {torch.__version__}, libvips 8." in printed
    )
    assert re.search(r"^device    \S+ \(.+\), \d+\.\d GB free$", printed, re.MULTILINE)
    for index, network in enumerate(all_backbones()):
        traits = network.traits
        default = " (default)" if index == 0 else ""
        weights = "built in" if traits.name in EMBEDDED_FILES else "give --weights FILE"
        assert (
            f"backbone  {traits.name}{default}: {traits.title}, {traits.paper}, {traits.license}\n"
            f"          stride {traits.stride} px, halo {traits.halo} px, weights: {weights}\n"
        ) in printed


def test_info_without_libvips(capsys, monkeypatch):
    """The command that one tries when something does not work."""
    monkeypatch.setitem(sys.modules, "pyvips", None)
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    assert "without libvips: image files need libvips, which did not load (" in printed
    assert "backbone  microast (default)" in printed


# Demo


@pytest.fixture
def small_painting(monkeypatch):
    monkeypatch.setattr(demo_cli, "DEMO_PAINTING_SIZE", (40, 48))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1x1", (1, 1)),
        ("1x3", (3, 1)),
        ("5x2", (2, 5)),
        ("131x97", (97, 131)),
        ("240X40", (40, 240)),
    ],
)
@pytest.mark.usefixtures("small_painting")
def test_demo_makes_three_pictures(tmp_path, capsys, text, size):
    folder = tmp_path / "new" / "demo"
    assert cli.main(["demo", "--size", text, "-o", str(folder), "--device", "cpu"]) == 0
    assert sorted(os.listdir(folder)) == ["content.jpg", "style.jpg", "stylized.jpg"]
    assert load_picture(folder / "content.jpg").shape == (3, *size)
    assert load_picture(folder / "stylized.jpg").shape == (3, *size)
    assert load_picture(folder / "style.jpg").shape == (3, 40, 48)
    height, width = size
    printed = capsys.readouterr().out
    assert printed.startswith(
        f"making {folder / 'content.jpg'} ({width} x {height} px) and {folder / 'style.jpg'}\n"
    )
    assert f"{folder / 'stylized.jpg'}: {width} x {height} px, " in printed


@pytest.mark.slow
@pytest.mark.usefixtures("small_painting")
def test_demo_again_in_another_size(tmp_path):
    for text, size in (("60x40", (40, 60)), ("36x52", (52, 36))):
        options = ["--size", text, "-o", str(tmp_path), "--device", "cpu"]
        assert cli.main(["demo", *options]) == 0
        assert load_picture(tmp_path / "content.jpg").shape == (3, *size)
        assert load_picture(tmp_path / "stylized.jpg").shape == (3, *size)


@pytest.mark.slow
@pytest.mark.usefixtures("small_painting")
def test_demo_beyond_jpeg(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_cli, "LONGEST_JPEG_SIDE", 40)
    for text, ending in (("40x9", "jpg"), ("41x9", "tif")):
        folder = tmp_path / text
        options = ["--size", text, "-o", str(folder), "--device", "cpu"]
        assert cli.main(["demo", *options]) == 0
        assert sorted(os.listdir(folder)) == [
            f"content.{ending}",
            "style.jpg",
            f"stylized.{ending}",
        ]


@pytest.mark.slow
@pytest.mark.usefixtures("small_painting")
def test_demo_is_quiet_too(tmp_path, capfd):
    options = ["--size", "40x24", "-o", str(tmp_path), "--device", "cpu", "--quiet"]
    assert cli.main(["demo", *options]) == 0
    assert capfd.readouterr() == ("", "")


def test_demo_where_a_file_is_in_the_way(tmp_path, capsys):
    path = tmp_path / "demo"
    path.write_bytes(b"precious")
    assert cli.main(["demo", "-o", str(path), "--size", "8x8"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"urst: folder {path} cannot be created (")
    assert printed.endswith("); choose another\n")
    assert path.read_bytes() == b"precious"


# The progress bar


def test_progress_bar(capsys):
    with ProgressBar() as bar:
        bar.update(Progress("tiles", 0, 4, 0, 8_000_000))
        bar.update(Progress("tiles", 1, 4, 2_000_000, 8_000_000))
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert re.search(r"^tiles \|█.*\|  25%, tile 1/4, +[\d.]+MP/s, \d\d:\d\d left", last)


def test_progress_bar_of_a_slow_machine_shows_megapixels_a_second(capsys):
    with ProgressBar() as bar:
        bar.update(Progress("tiles", 0, 4, 0, 8_000_000))
        time.sleep(0.05)
        bar.update(Progress("tiles", 1, 4, 2_000, 8_000_000))
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert "MP/s" in last
    assert "s/MP" not in last


def test_a_new_stage_gets_a_new_bar(capsys):
    with ProgressBar() as bar:
        for stage in ("statistics dec1", "tiles"):
            bar.update(Progress(stage, 0, 1, 0, 100))
            bar.update(Progress(stage, 1, 1, 100, 100))
    lines = capsys.readouterr().err.strip().split("\n")
    assert [line.rsplit("\r", 1)[-1].split(" |")[0] for line in lines] == [
        "statistics dec1",
        "tiles",
    ]


def test_quiet_bar(capsys):
    with ProgressBar(quiet=True) as bar:
        bar.update(Progress("tiles", 1, 4, 2_000_000, 8_000_000))
    assert capsys.readouterr().err == ""


# Stopped in the middle


def stop_after(monkeypatch, tiles: int, error: BaseException) -> list[list[str]]:
    """Let the engine raise after some tiles."""
    forward, calls = TileNetwork.forward, []

    def stopping(network, window, **options):
        calls.append(window.shape)
        if len(calls) > tiles:
            raise error
        return forward(network, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", stopping)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("existing", [False, True])
def test_interrupted(folder, capsys, monkeypatch, existing):
    if existing:
        (folder / "out.png").write_bytes(b"old")
    calls = stop_after(monkeypatch, 3, KeyboardInterrupt())
    assert run(folder, "--tile-size", 32, "--overwrite") == 130
    assert len(calls) == 4
    assert capsys.readouterr().err.endswith(
        "urst: interrupted, no result was written\n"
        f"urst: 23% of its tiles done, kept beside {folder / 'out.png'}; continue with --resume\n"
    )
    assert made(folder) == [".out.png.urst", *(["out.png"] if existing else [])]
    if existing:
        assert (folder / "out.png").read_bytes() == b"old"


@pytest.mark.slow
def test_going_on_with_an_interrupted_run(folder, capsys, monkeypatch):
    assert run(folder, "--tile-size", 32, output="whole.png") == 0
    with monkeypatch.context() as context:
        stop_after(context, 3, SystemExit(143))
        with pytest.raises(SystemExit):
            run(folder, "--tile-size", 32)
    kept = f"23% of its tiles done, kept beside {folder / 'out.png'}"
    hint = f"urst: {kept}; continue with --resume\n"
    assert capsys.readouterr().err.endswith(hint)
    assert run(folder, "--tile-size", 32) == 1
    assert "with 23% of its tiles done; resume it with --resume" in capsys.readouterr().err
    assert run(folder, "--tile-size", 32, "--resume") == 0
    assert capsys.readouterr().out.startswith("resuming with 23% of its tiles done\n")
    assert made(folder) == ["out.png", "whole.png"]
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_resume_without_an_earlier_run(folder, capsys):
    assert run(folder, "--resume") == 0
    assert capsys.readouterr().out.startswith("nothing to resume, starting\n")
    assert run(folder, "--resume") == 1
    printed = capsys.readouterr()
    assert printed.err == (
        f"urst: {folder / 'out.png'} exists; choose another name, or replace it with --overwrite\n"
    )
    assert run(folder, "--resume", "--overwrite", "--quiet") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("tiles", "kept"), [(0, []), (3, [".out.png.urst"])])
def test_a_bug_is_raised_and_leaves_only_finished_tiles(folder, monkeypatch, tiles, kept):
    stop_after(monkeypatch, tiles, ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run(folder, "--tile-size", 32)
    assert made(folder) == kept


@pytest.mark.slow
def test_signal_handlers_are_put_back(folder):
    numbers = signal.SIGTERM, signal.SIGINT
    before = [signal.getsignal(number) for number in numbers]
    assert run(folder) == 0
    assert run(folder) == 1  # it exists now
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.fixture
def ctrl_c_heard():
    """Whoever runs the tests in the background may have Ctrl-C ignored: not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("ctrl_c_heard")
@pytest.mark.parametrize("tile", [0, 1, 3])
def test_ctrl_c_that_libvips_swallows_stops_at_the_next_tile(folder, capfd, monkeypatch, tile):
    """It comes while pyvips runs the callback through which libvips logs."""
    calls = stop_after(monkeypatch, 99, KeyboardInterrupt())
    read = ImageFile.read

    def read_while_libvips_logs(self, rectangle):
        if len(calls) == tile:
            text = pyvips.ffi.new("char[]", b"a message")
            pyvips._log_handler_callback(text, 128, text, None)
        return read(self, rectangle)

    def log(*_arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(pyvips.logger, "log", log)
    # Like cffi, which prints exceptions of callbacks and drops them.
    callback = pyvips._log_handler_callback

    def forgetful(*arguments):
        with contextlib.suppress(KeyboardInterrupt):
            callback(*arguments)

    monkeypatch.setattr(pyvips, "_log_handler_callback", forgetful)
    monkeypatch.setattr(ImageFile, "read", read_while_libvips_logs)
    assert run(folder, "--tile-size", 32, "--thumbnail-size", 0) == 130
    assert len(calls) <= tile + 1
    assert made(folder) == []
    assert capfd.readouterr().err.endswith("urst: interrupted, no result was written\n")


def test_ctrl_c_stays_ignored_where_it_was(folder):
    """As with nohup, or in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        seen = []
        assert run(folder) == 0
        seen.append(signal.getsignal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIG_IGN]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_to_a_real_process(folder, number, code):
    """Tiny tiles keep it busy; the signal comes when the first of them are done."""
    # Whoever runs the tests in the background may have Ctrl-C ignored: not here.
    start = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('urst_core', run_name='__main__')"
    )
    command = [
        *(sys.executable, "-c", start, "stylize", "content.png", "style.png"),
        *("-o", "out.png", "--tile-size", "4", "--stats", "exact", "--device", "cpu"),
    ]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
    }
    errors = folder.parent / f"{folder.name}-errors.txt"
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stderr=stream, stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 300
            while b"tile " not in errors.read_bytes():
                assert process.poll() is None, errors.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            during = made(folder)
            process.send_signal(number)
            assert process.wait(120) == code
        finally:
            process.kill()
            process.wait()
    assert len(during) == 1
    assert during[0].startswith(".out.png.")
    assert made(folder) == []
    assert ("urst: interrupted" in errors.read_text()) == (number == signal.SIGINT)
    assert "Traceback" not in errors.read_text()


def test_as_a_module(monkeypatch, capsys):
    """``python -m urst_core`` is the command."""
    monkeypatch.setattr(sys, "argv", ["urst", "info"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("urst_core", run_name="__main__")
    assert caught.value.code == 0
    assert "backbone  microast (default)" in capsys.readouterr().out


def test_output_that_is_the_style(folder, capsys):
    before = (folder / "style.png").read_bytes()
    assert run(folder, "--overwrite", output="style.png") == 1
    message = f"output {folder}/style.png is the style itself; choose another name"
    assert message in capsys.readouterr().err
    assert (folder / "style.png").read_bytes() == before
