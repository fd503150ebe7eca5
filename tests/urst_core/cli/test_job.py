"""``urst stylize`` into a folder: output, exit codes, options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from examples import load_picture, save_picture, stored_picture

from urst_core.cli import main as cli
from urst_core.cluster.pictures import OnMachines
from urst_core.networks.tile_network import TileNetwork


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("photos/2024", "paintings"):
        (tmp_path / place).mkdir(parents=True)
    for name, seed in (("photos/lake.png", 1), ("photos/2024/hut.jpg", 2)):
        save_picture(tmp_path / name, stored_picture((24, 32), seed=seed))
    for name, seed in (("monet.jpg", 3), ("klee.png", 4)):
        save_picture(tmp_path / "paintings" / name, stored_picture((24, 24), seed=seed))
    return tmp_path


def run(*arguments, content="photos", styles=("paintings/monet.jpg",), output="painted") -> int:
    options = ["--device", "cpu", "--strokes", "fine", *map(str, arguments)]
    return cli.main(["stylize", content, *styles, "-o", output, *options])


def painted(folder):
    found = [p for p in (folder / "painted").rglob("*") if p.is_file()]
    return sorted(p.relative_to(folder / "painted").as_posix() for p in found)


def test_a_folder_in_the_styles_of_a_folder(folder, capsys):
    assert run(styles=["paintings"]) == 0
    assert painted(folder) == [".urst-results", "lake_klee.png", "lake_monet.png"]
    printed = capsys.readouterr()
    assert re.fullmatch(r"painted: 2 pictures painted in [\d.]+ s, [\d.]+ s each\n", printed.out)
    # The bar of all pictures, and one of each below.
    assert re.search(r"pictures \|.*\| 2/2, 00:00 left", printed.err)
    assert "\rtiles |" in printed.err


def test_several_at_once_have_a_bar_each(folder, capsys):
    assert run("--recursive", "--jobs", 2) == 0
    assert painted(folder) == [".urst-results", "2024/hut_monet.jpg", "lake_monet.png"]
    drawn = capsys.readouterr().err
    assert re.search(r"pictures \|.*\| 2/2, 00:00 left", drawn)
    # Lines of the terminal, one below another.
    assert "\n\r" in drawn


@pytest.mark.usefixtures("folder")
def test_a_folder_on_a_cluster(monkeypatch):
    handed = []

    def paint(self, tasks):
        handed.append((self.address, self.workers, self.device, len(list(tasks))))
        return iter(())

    monkeypatch.setattr(OnMachines, "paint", paint)
    assert run("--ray", "head:6379", "--ray-workers", 3, "--mask", "photos/lake.png") == 0
    assert handed == [("head:6379", 3, "cpu", 1)]


def test_subfolders_names_and_formats(folder):
    assert run("--recursive", "--name", "{style}/{content}.tif", "--quiet") == 0
    assert painted(folder) == [".urst-results", "monet/2024/hut.tif", "monet/lake.tif"]
    assert load_picture(folder / "painted/monet/2024/hut.tif").shape == (3, 24, 32)


def test_a_pattern_and_a_mixture(folder):
    styles = ["paintings/monet.jpg", "paintings/klee.png"]
    assert run("--style-weights", 2, 1, "--quiet", content="photos/**/*.jpg", styles=styles) == 0
    assert painted(folder) == [".urst-results", "2024/hut_monet+klee.jpg"]


def test_one_picture_in_several_styles(folder):
    styles = ["paintings/monet.jpg", "paintings/klee.png"]
    (folder / "painted").mkdir()
    assert run("--quiet", content="photos/lake.png", styles=styles) == 0
    assert painted(folder) == [".urst-results", "lake_klee.png", "lake_monet.png"]


def test_a_broken_picture_is_told_once_and_the_rest_is_painted(folder, capsys):
    (folder / "photos" / "bad.jpg").write_bytes(b"no picture")
    assert run(styles=["paintings"]) == 1
    printed = capsys.readouterr()
    message = f"is left out: picture {Path('photos', 'bad.jpg')} cannot be read"
    assert printed.err.count(message) == 1
    assert printed.err.endswith("urst: 2 of 4 pictures were not painted\n")
    assert re.match(r"painted: 2 pictures painted .*, 2 failed\n", printed.out)
    assert run("--resume", "--quiet", styles=["paintings"]) == 1
    assert capsys.readouterr().err.splitlines()[1:] == ["urst: 2 of 4 pictures were not painted"]


@pytest.mark.usefixtures("folder")
def test_ctrl_c_then_resume(capsys, monkeypatch):
    forward, calls = TileNetwork.forward, []

    def interrupted(self, *args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(self, *args, **options)

    monkeypatch.setattr(TileNetwork, "forward", interrupted)
    assert run("--quiet", styles=["paintings"]) == 130
    assert capsys.readouterr().err.endswith(
        "urst: 1 of 2 pictures are finished in painted; continue with --resume\n"
    )
    assert run("--quiet", styles=["paintings"]) == 1
    assert capsys.readouterr().err == (
        "urst: 1 of 2 results exist in painted (lake_klee.png); resume it with --resume, or "
        "discard it with --restart, or replace it with --overwrite\n"
    )
    assert run("--resume", styles=["paintings"]) == 0
    assert re.search("1 pictures painted .*, 1 finished before\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"output": "out.png"},
            "out.png names one file, and there are several pictures; name a folder",
        ),
        (
            {"output": "photos"},
            "results in photos would be among the pictures to paint; choose another folder",
        ),
        ({"output": "notes"}, "notes is not a folder; choose another name"),
        ({"styles": []}, "MicroAST needs a style; give a picture"),
        ({"content": "empty"}, "folder empty has no pictures; name another folder, or search its "
            "subfolders with --recursive"),
        ({"more": ["--style-weights", 1, 2]}, "1 styles with 2 weights; give one weight for each "
            "style"),
        ({"more": ["--strength", 2]}, "strength 2.0 is out of range; use 0 to 1"),
        ({"more": ["--mask-feather", 9]}, "--mask-feather 9 needs a mask; name one with --mask"),
        ({"more": ["--ray", "local", "--jobs", 2]}, "--jobs 2 is for one machine; leave out --jobs "
            "or --ray, or use --ray-workers"),
        ({"more": ["--jobs", 0]}, "--jobs 0 paints nothing; use 1 or more"),
    ],
)  # fmt: skip
def test_refused(folder, capsys, options, message):
    (folder / "empty").mkdir()
    (folder / "notes").touch()
    assert run(*options.pop("more", []), **options) == 1
    assert capsys.readouterr().err == f"urst: {message}\n"
    assert not (folder / "painted").exists()
