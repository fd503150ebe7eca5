"""The documentation's site: all pages are in it, links resolve, the reference is complete."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

import urst_core

pytest.importorskip("material", reason="the site needs the extra docs")
pytest.importorskip("mkdocstrings")

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(ROOT / "tools"))
    import site_pages  # noqa: PLC0415

    yield site_pages
    sys.path.remove(str(ROOT / "tools"))


def names_in(nav):
    for entry in nav:
        [value] = entry.values()
        yield from names_in(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation(pages):
    config = load_config(str(ROOT / "mkdocs.yml"))
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(names_in(config.nav)) == sorted(written | set(pages.OTHER_PAGES.values()))
    assert all((ROOT / source).is_file() for source in pages.OTHER_PAGES)


def test_the_reference_has_every_public_name():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    entries = {line.removeprefix("::: ") for line in text.splitlines() if line.startswith(":::")}
    public = set()
    for name in urst_core.__all__:
        value = getattr(urst_core, name)
        public.add(f"{value.__module__}.{value.__qualname__}")
    assert public <= entries


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        ("", "[a](docs/faq.md#it-is-slow)", "[a](faq.md#it-is-slow)"),
        ("docs", "![a](demo.jpg), [b](../README.md)", "![a](demo.jpg), [b](index.md)"),
        ("docs", "[a](../setup.py) [b](https://arxiv.org)", "a [b](https://arxiv.org)"),
        ("", "[![a](docs/demo.jpg)](docs/comfyui.md)", "[![a](demo.jpg)](comfyui.md)"),
        (
            "docs",
            '<img src="../workflows/a.jpg" width="9">',
            '<img src="workflows/a.jpg" width="9">',
        ),
        ("", '<img src="docs/demo.jpg">', '<img src="demo.jpg">'),
    ],
)
def test_links_are_those_of_the_site(pages, folder, text, expected):
    there = {"faq.md", "demo.jpg", "index.md", "comfyui.md"}
    files = SimpleNamespace(get_file_from_path=lambda name: name if name in there else None)
    assert pages._with_links_of_site(text, folder, files) == expected


@pytest.mark.slow
def test_the_site_is_built_without_warnings(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    try:
        build(config)
    except Abort as error:
        pytest.fail(f"the site has warnings: {error}")
    reference = (tmp_path / "reference.html").read_text(encoding="utf-8")
    assert "stylize_file" in reference
    assert ":func:`" not in reference
    for page in tmp_path.glob("*.html"):
        for source in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (tmp_path / unquote(source.lstrip("/"))).is_file(), (page.name, source)
