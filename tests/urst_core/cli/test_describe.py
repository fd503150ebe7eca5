"""What a result was painted with: kept by every format, printed, and repeated; presets."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import tifffile
from examples import save_picture, stored_picture
from PIL import Image

from urst_core.cli import main as cli
from urst_core.cli import presets
from urst_core.cli.defaults import PRESET_KEYS
from urst_core.durable import file_hash
from urst_core.errors import ImageError, OutputError
from urst_core.formats.open import open_picture, write_picture
from urst_core.formats.output_options import OutputOptions
from urst_core.formats.registry import format_of
from urst_core.pictures.metadata import WithMetadata, metadata_of
from urst_core.runs.description import Description, read_description
from urst_core.tiling.settings import Settings

ENDINGS = [".jpg", ".png", ".tif", ".webp", ".avif", ".heic", ".jxl", ".exr", ".zarr"]
"""Of the formats that have metadata."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png", stored_picture((24, 32), seed=1))
    save_picture(tmp_path / "new.png", stored_picture((32, 24), seed=2))
    save_picture(tmp_path / "monet.jpg", stored_picture((24, 24), seed=3))
    save_picture(tmp_path / "klee.png", stored_picture((24, 24), seed=4))
    return tmp_path


def run(*arguments, content="photo.png", styles=("monet.jpg",), output="out.jpg") -> int:
    command = ["stylize", content, *styles, "-o", output, "--device", "cpu", "--quiet"]
    return cli.main([*command, *map(str, arguments)])


def files_of(path):
    """The bytes of a file, or of the files in a store."""
    if path.is_file():
        return path.read_bytes()
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_that_can_keeps_it_and_is_repeated_byte_for_byte(folder, ending):
    for package, needed in ((".zarr", "zarr"), (".exr", "OpenEXR")):
        if ending == package:
            pytest.importorskip(needed)
    if ending in (".heic", ".jxl"):
        try:
            format_of(folder / f"out{ending}").check_build(folder / f"out{ending}", OutputOptions())
        except OutputError as error:
            pytest.skip(str(error))
    assert run("--strength", 0.7, "--strokes", 2, "--seed", 3, output=f"out{ending}") == 0
    described = read_description(folder / f"out{ending}")
    assert described.settings["strength"] == 0.7
    assert described.styles[0].name == "monet.jpg"
    assert f"SHA-256 {described.styles[0].sha256}" == file_hash(folder / "monet.jpg")
    (folder / "again").mkdir()
    # Of the same name, which is part of a Zarr store.
    assert run("--like", f"out{ending}", styles=[], output=f"again/out{ending}") == 0
    assert files_of(folder / f"again/out{ending}") == files_of(folder / f"out{ending}")
    assert run("--like", f"out{ending}", "--seed", 4, styles=[], output=f"b{ending}") == 0
    assert files_of(folder / f"b{ending}") != files_of(folder / f"out{ending}")


def test_plain_texts_for_other_programs(folder):
    assert run(output="out.png") == run(output="out.tif") == 0
    text = read_description(folder / "out.png").text()
    with Image.open(folder / "out.png") as image:
        assert image.text["urst"] == text
    with tifffile.TiffFile(folder / "out.tif") as tiff:
        assert tiff.pages[0].description == text


def test_no_metadata_and_stale_metadata(folder, capsys):
    assert run("--seed", 7, output="first.png") == 0
    assert run("--no-metadata", content="first.png", output="second.png") == 0
    with pytest.raises(ImageError, match=r"second\.png does not say what it was painted with"):
        read_description(folder / "second.png")
    assert run("--seed", 8, content="first.png", output="third.png") == 0
    assert read_description(folder / "third.png").settings["seed"] == 8
    assert cli.main(["describe", "photo.png"]) == 1
    assert capsys.readouterr().err == (
        "urst: picture photo.png does not say what it was painted with; name a result of urst "
        "whose metadata were kept\n"
    )


def test_describe(folder, capsys):
    styles = ["monet.jpg", "klee.png"]
    save_picture(folder / "mask.png", stored_picture((24, 32), seed=5, channels=1))
    options = ["--style-weights", 2, 1, "--mask", "mask.png", "--mask-feather", 3, "--quality", 80]
    assert run(*options, styles=styles) == 0
    assert cli.main(["describe", "out.jpg"]) == 0
    lines = capsys.readouterr().out.splitlines()
    monet = file_hash(folder / "monet.jpg")[8:20]
    assert f"style     monet.jpg (SHA-256 {monet}…), share 2" in lines
    assert "settings  strength: 1.0" in lines
    assert "stored    quality: 80" in lines
    assert any(line.startswith("mask      mask.png (SHA-256 ") for line in lines)
    assert cli.main(["describe", "out.jpg", "--json"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["style_weights"] == [2.0, 1.0]
    assert Description.parse(text) == read_description(folder / "out.jpg")


def test_like_repeats_a_file_byte_for_byte(folder):
    options = ["--style-weights", 2, 1, "--strength", 0.8, "--thumbnail-size", 16, "--quality", 70]
    options += ["--strokes", "preview", "--brushwork", 0.9, "--seed", 5, "--colors", "content"]
    assert run(*options, styles=["monet.jpg", "klee.png"]) == 0
    assert run("--like", "out.jpg", styles=[], output="again.jpg") == 0
    assert (folder / "again.jpg").read_bytes() == (folder / "out.jpg").read_bytes()
    assert run("--like", "out.jpg", styles=[], content="new.png", output="new.tif") == 0
    assert read_description(folder / "new.tif") == replace(
        read_description(folder / "out.jpg"), stored=None
    )


def test_options_replace_those_of_like(folder):
    assert run("--strength", 0.8) == 0
    assert run("--like", "out.jpg", "--strength", 0.5, styles=["klee.png"], output="b.jpg") == 0
    described = read_description(folder / "b.jpg")
    assert described.settings["strength"] == 0.5
    assert [style.name for style in described.styles] == ["klee.png"]


def test_like_finds_styles_by_their_contents(folder, capsys):
    assert run() == 0
    (folder / "monet.jpg").rename(folder / "other.jpg")
    save_picture(folder / "monet.jpg", stored_picture((24, 24), seed=9))
    assert run("--like", "out.jpg", styles=[], output="b.jpg") == 1
    digest = file_hash(folder / "other.jpg")[8:20]
    assert capsys.readouterr().err == (
        f"urst: style monet.jpg (SHA-256 {digest}…) of out.jpg is neither here nor beside it; "
        "name the style after CONTENT\n"
    )


def test_like_refuses_other_weights(folder, capsys, monkeypatch):
    assert run() == 0
    described = replace(read_description(folder / "out.jpg"), weights="0123456789abcdef")
    monkeypatch.setattr("urst_core.cli.defaults.read_description", lambda _: described)
    assert run("--like", "out.jpg", styles=[], output="b.jpg") == 1
    assert "out.jpg was painted with weights 0123456789ab, these are " in capsys.readouterr().err


@pytest.mark.parametrize("text", ['{"backbone": "microast"}', "{"])
def test_descriptions_of_other_versions(folder, text):
    photo = open_picture(folder / "photo.png")
    described = WithMetadata(photo, metadata_of(photo).with_painting(text))
    write_picture(described, folder / "odd.png")
    with pytest.raises(ImageError) as caught:
        read_description(folder / "odd.png")
    assert "odd.png says in another way what it was painted with (" in caught.value.message
    assert caught.value.remedies == ("use the version of urst that painted it",)


def test_like_refuses_settings_of_a_newer_version(folder, capsys, monkeypatch):
    assert run() == 0
    described = read_description(folder / "out.jpg")
    newer = replace(described, settings={**described.settings, "glow": 1}, urst="9.0")
    monkeypatch.setattr("urst_core.cli.defaults.read_description", lambda _: newer)
    assert run("--like", "out.jpg", output="b.jpg") == 1
    assert capsys.readouterr().err == (
        "urst: out.jpg was painted with the setting 'glow', which is unknown here; use urst 9.0\n"
    )


def test_every_setting_has_an_option_to_be_repeated():
    parser = cli._parser()
    options = vars(parser.parse_args(["stylize", "a.png", "b.png", "-o", "c.png"]))
    names = {each.name for each in fields(Settings)}
    assert names <= options.keys()
    assert options.keys() >= PRESET_KEYS


# Presets


@pytest.fixture
def preset_file(tmp_path, monkeypatch):
    path = tmp_path / "config" / presets.FILE_NAME
    monkeypatch.setattr(presets, "presets_path", lambda: path)
    monkeypatch.setattr("urst_core.cli.defaults.presets_path", lambda: path)
    path.parent.mkdir()
    return path


def test_presets(folder, preset_file, capsys, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder))
    assert cli.main(["presets"]) == 0
    assert capsys.readouterr().out == f"{preset_file}: no presets yet\n"
    preset_file.write_text(
        '[starry]\nstyles = ["~/monet.jpg"]\nstrength = 0.8\nstrokes = 2.5\nquality = 60\n'
        '[mixed]\nstyles = ["monet.jpg", "klee.png"]\nstyle_weights = [2, 1]\n'
    )
    assert run("--preset", "starry", styles=[]) == 0
    described = read_description(folder / "out.jpg")
    assert (described.settings["strength"], described.settings["strokes"]) == (0.8, 2.5)
    assert described.stored == {"quality": 60}
    assert run("--preset", "mixed", "--strength", 0.3, styles=[], output="b.jpg") == 0
    described = read_description(folder / "b.jpg")
    assert (described.settings["strength"], described.style_weights) == (0.3, [2.0, 1.0])
    assert cli.main(["presets"]) == 0
    assert "  mixed: styles ['monet.jpg', 'klee.png'], style_weights [2, 1]" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "preset 'starry' is unknown; write it into {path}"),
        ("[other]\nseed = 1", "preset 'starry' is unknown; use one of: other"),
        ("[starry]\noutput = 1", "preset 'starry' sets 'output', which presets do not have; use "),
        ("[starry]\nstrength = 'much'", "strength cannot be 'much'; use a value that its option"),
        ("[starry]\nstats = 'median'", "stats cannot be 'median'"),
        ("[starry]\npyramid = 2", "pyramid cannot be 2"),
        ("[starry]\nstyle_weights = 2", "style_weights cannot be 2"),
        ("seed = 1", "presets {path}: seed is outside a preset; write [NAME] on a line before it"),
        ("[starry", "presets {path} are not valid TOML ("),
    ],
)
@pytest.mark.usefixtures("folder")
def test_presets_that_cannot_be_used(preset_file, capsys, text, message):
    preset_file.write_text(text)
    assert run("--preset", "starry") == 1
    assert capsys.readouterr().err.startswith(f"urst: {message.format(path=preset_file)}")


def test_like_and_preset_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        run("--like", "a.jpg", "--preset", "b")
    assert "not allowed with argument" in capsys.readouterr().err


def test_the_file_of_presets_is_in_the_folder_of_the_system():
    platformdirs = pytest.importorskip("platformdirs")
    assert presets.presets_path().parent == platformdirs.user_config_path("urst", appauthor=False)
