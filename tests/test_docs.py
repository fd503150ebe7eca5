"""README and docs: links resolve, commands parse, examples run, tables are complete."""

from __future__ import annotations

import argparse
import re
from urllib.parse import unquote

import numpy as np
import pytest
from clips import moving_frames, save_clip
from pages import FENCE, OF_USERS, PAGES, ROOT, blocks, commands_of, name_of, text_of
from PIL import Image

import urst_core
from urst_core.backbones import all_backbones
from urst_core.cli.main import _parser
from urst_core.weights.manifest import read_manifest

LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
OTHER_PROGRAMS = {"--system-site-packages"}


def each(pages):
    return pytest.mark.parametrize("page", pages, ids=name_of)


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@each(PAGES)
def test_links_lead_to_files_and_headings(page):
    for link in (a or b for a, b in LINK.findall(FENCE.sub("", text_of(page)))):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def commands():
    return [
        pytest.param(words, id=f"{name_of(page)}: {' '.join(['urst', *words])}")
        for page in PAGES
        for words in commands_of(page)
    ]


@pytest.mark.parametrize("arguments", commands())
def test_commands_are_understood(arguments):
    options = _parser().parse_args(arguments)
    assert callable(options.run)


def test_a_command_that_is_not_understood_would_fail(capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args(["stylize", "photo.jpg", "-o", "painted.jpg", "--strenght", "1"])
    assert "--strenght" in capsys.readouterr().err


def options_of(parser):
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)


@each(OF_USERS)
def test_options_that_are_mentioned_exist(page):
    known = {*options_of(_parser()), *OTHER_PROGRAMS}
    mentioned = set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", text_of(page)))
    assert mentioned <= known


def test_every_option_to_stylize_is_described():
    stylize = next(
        action.choices["stylize"]
        for action in _parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    described = text_of(ROOT / "docs" / "command_line.md") + text_of(ROOT / "docs" / "clusters.md")
    missing = [
        name for name in options_of(stylize) if name.startswith("--") and name not in described
    ]
    assert set(missing) <= {"--help", "--output", "--quiet"}


def examples():
    return [
        pytest.param(code, id=f"{name_of(page)} {index}")
        for page in OF_USERS
        for index, code in enumerate(blocks(page, "python"), start=1)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("code", examples())
def test_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, size in (("photo", (64, 96, 3)), ("painting", (48, 56, 3)), ("other", (40, 40, 3))):
        Image.fromarray(generator.integers(0, 256, size, np.uint8)).save(f"{name}.jpg")
    save_clip(tmp_path / "clip.mp4", moving_frames(2))
    exec(compile(code, "example", "exec"), {"__name__": "example"})  # noqa: S102 - our own page


def test_the_first_example_is_three_lines_and_gives_an_image(tmp_path, monkeypatch):
    [code] = blocks(ROOT / "README.md", "python")
    assert len([line for line in code.splitlines() if line]) == 3
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30), "teal").save("photo.jpg")
    Image.new("RGB", (30, 40), "orange").save("painting.jpg")
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - our own page
    assert isinstance(names["painted"], Image.Image)
    assert names["painted"].size == (40, 30)


def test_the_readme_has_its_two_commands_on_one_line_each():
    text = text_of(ROOT / "README.md")
    assert '\npip install -e ".[app]" -c constraints.txt && urst demo\n' in text
    assert '\npip install -e ".[dev]" -c constraints.txt && pytest -n auto\n' in text


def test_extras_that_are_installed_exist():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in OF_USERS:
        for extras in re.findall(r'"(?:urst|\.)\[([\w,]+)\]"', text_of(page)):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), page


def test_all_networks_and_the_licenses_of_all_weights_are_listed():
    text = text_of(ROOT / "docs" / "weights.md")
    for network in all_backbones():
        assert f"`{network.traits.name}`" in text.split("![")[0]
    rows = dict(
        re.findall(r"^\| `([\w-]+)`[^|]*\| ([^|]+?) \|", text.split("## Licenses")[1], re.M)
    )
    assert rows == {entry.name: entry.license for entry in read_manifest()}


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {urst_core.__version__}\n" in text
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load(text)
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2103.11784"


def test_the_tree_in_the_guide_is_the_tree():
    text = text_of(ROOT / "CONTRIBUTING.md")
    [tree] = [
        code for code in blocks(ROOT / "CONTRIBUTING.md", "") if code.startswith("urst_core/")
    ]
    engine, others = tree.split("\n\n")
    listed = {word.rstrip("/") for line in engine.splitlines() for word in re.split("  +", line)}
    listed = {name for words in listed for name in words.replace("/", " ").split()}
    there = {path.stem for path in (ROOT / "urst_core").iterdir() if not path.name.startswith("__")}
    assert there - {"py"} <= listed
    for folder in re.findall(r"\b(\w+)/", others):
        assert (ROOT / folder).is_dir() or (ROOT / "tests" / folder).is_dir(), folder
    for path in re.findall(r"`([\w/]+/\w+\.(?:py|md))`", text.replace("NAME.py", "adain.py")):
        assert (ROOT / path).is_file() or (ROOT / "urst_core" / path).is_file(), path
