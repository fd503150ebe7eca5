"""Texts of the nodes: locales, help pages and search aliases."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"
TRANSLATIONS = ("zh",)
LARGEST_PICTURE = 60_000


@pytest.fixture(scope="module")
def tool():
    """tools/write_words.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("write_words", ROOT / "tools" / "write_words.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["write_words"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["write_words"]


@pytest.fixture
def schemas(nodes):
    return {node_id: node.define_schema() for node_id, node in nodes.items()}


def pages_in(language):
    return sorted(PAGES.glob(f"*/{language}.md"))


def texts_of(words):
    for value in words.values():
        yield from texts_of(value) if isinstance(value, dict) else [value]


def test_translations_have_every_word_and_no_more(tool, schemas):
    assert tool.translation_problems(schemas) == []


def test_english_words_and_help_pages_match_the_schemas(tool, schemas):
    """Where this fails, a node has changed: python tools/write_words.py."""
    stale = [
        path.relative_to(ROOT).as_posix()
        for path, text in tool.planned_files(schemas).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run python tools/write_words.py"


def test_english_texts_come_from_the_schemas(tool, schemas):
    words = tool.read_words("en")
    assert list(words) == list(schemas)
    node = words["URSTTileImage"]
    schema = schemas["URSTTileImage"]
    assert node["display_name"] == schema.display_name == "Tile Image"
    assert node["description"] == schema.description
    assert list(node["inputs"]) == ["image", "tile_size", "backbone", "halo", "stride"]
    assert node["inputs"]["halo"] == {"name": "halo", "tooltip": schema.inputs[3].tooltip}
    assert node["outputs"]["1"] == {"name": "layout", "tooltip": schema.outputs[1].tooltip}


def test_missing_and_unknown_translations_are_listed(tool, schemas, monkeypatch):
    words = tool.read_words("zh")
    inputs = words["URSTTileImage"]["inputs"]
    inputs["mask"] = inputs.pop("halo")
    inputs["stride"]["name"] = "stride"
    monkeypatch.setattr(tool, "read_words", lambda _language: words)
    problems = tool.translation_problems(schemas)
    tooltip = schemas["URSTTileImage"].inputs[3].tooltip
    name = "locales/zh/nodeDefs.json"
    assert problems == [
        f"{name} has unknown URSTTileImage.inputs.mask.name",
        f"{name} has unknown URSTTileImage.inputs.mask.tooltip",
        f"{name} lacks URSTTileImage.inputs.halo.name: halo",
        f"{name} lacks URSTTileImage.inputs.halo.tooltip: {tooltip}",
        f"{name} leaves URSTTileImage.inputs.stride.name in English",
    ]


def test_english_that_has_changed_is_named_for_translators(tool, schemas, monkeypatch):
    assert tool.changed_english(schemas) == []
    words = tool.read_words("en")
    words["URSTTileImage"]["inputs"]["halo"]["tooltip"] = "Something else."
    del words["URSTTileImage"]["inputs"]["stride"]
    monkeypatch.setattr(tool, "read_words", lambda _language: words)
    tooltip = schemas["URSTTileImage"].inputs[3].tooltip
    assert tool.changed_english(schemas) == [
        f"translate again URSTTileImage.inputs.halo.tooltip: {tooltip}"
    ]


@pytest.mark.parametrize("language", ["en", *TRANSLATIONS])
def test_pages_can_show_the_words(tool, language):
    """ComfyUI's pages take these characters for placeholders, plurals and links."""
    texts = list(texts_of(tool.read_words(language)))
    assert len(texts) > 100
    assert [text for text in texts if set("@{}|") & set(text)] == []
    assert [text for text in texts if text != text.strip() or not text] == []


def test_every_node_has_a_help_page_in_every_language(nodes):
    for language in ("en", *TRANSLATIONS):
        assert [path.parent.name for path in pages_in(language)] == sorted(nodes)
    # For all other languages; and nothing that belongs to no node.
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(nodes)
    assert sorted(path.name for path in PAGES.iterdir() if path.is_dir()) == sorted(nodes)


@pytest.mark.parametrize("language", ["en", *TRANSLATIONS])
def test_pictures_of_help_pages_exist(language):
    for path in pages_in(language):
        # Pages look for pictures beside the folder of the node, not inside it.
        [(alternative, picture)] = re.findall(r"!\[(.*?)\]\((.*?)\)", path.read_text("utf-8"))
        assert alternative
        assert picture.split("/")[0] == path.parent.name
        content = (PAGES / picture).read_bytes()
        assert content.startswith(b"\xff\xd8\xff")
        assert len(content) < LARGEST_PICTURE, picture


@pytest.mark.parametrize("language", ["en", *TRANSLATIONS])
def test_help_pages_have_the_same_sections_and_name_nodes_and_inputs_that_exist(
    tool, language, schemas
):
    words = tool.read_words(language)
    titles = {node["display_name"] for node in words.values()}
    for path in pages_in(language):
        text = path.read_text(encoding="utf-8")
        headings = re.findall(r"^#+ .*", text, re.MULTILINE)
        assert len(headings) == 4
        assert all(heading.startswith("## ") for heading in headings)
        known = {s.id for schema in schemas.values() for s in (*schema.inputs, *schema.outputs)}
        known |= {output["name"] for w in words.values() for output in w["outputs"].values()}
        mentioned = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", text))
        assert mentioned <= known | {"linear_r31", "linear_r41", "johnson_examples"}, path
        names = {i["name"] for node in words.values() for i in node["inputs"].values()}
        names |= {o["name"] for node in words.values() for o in node["outputs"].values()}
        if language != "en":
            quoted = set(re.findall("“([^”]*)”", text))
            foreign = {"加载图像", "文件名 [output]"}
            assert quoted <= titles | names | foreign, path


def message_of(node):
    """The text of a string in source code, with ellipses for its placeholders."""
    if isinstance(node, ast.JoinedStr):
        return "".join(message_of(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) else "…"


def messages_in(path):
    """Texts with something filled in, and those that are raised or logged as they are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield message_of(node)
        elif isinstance(node, ast.Raise) or _is_warning(node):
            constants = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
            yield from (part.value for part in constants if isinstance(part.value, str))


def _is_warning(node):
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "warning"


@pytest.mark.slow
def test_messages_that_help_pages_quote_are_messages_of_the_engine():
    messages = [
        message
        for folder in ("urst_core", "nodes")
        for path in (ROOT / folder).rglob("*.py")
        for message in messages_in(path)
    ]
    quotes = {
        (path.parent.name, quote)
        for language in ("en", *TRANSLATIONS)
        for path in pages_in(language)
        for quote in re.findall(r'"([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(quotes) > 20
    for node_id, quote in quotes:
        wanted = re.compile(".*".join(map(re.escape, quote.split("…"))), re.DOTALL)
        assert any(wanted.search(message) for message in messages), (node_id, quote)


def test_help_pages_are_in_the_web_directory(pack):
    assert (ROOT / pack.WEB_DIRECTORY / "docs").resolve() == PAGES


def test_versions_without_search_words_get_none(nodes, part):
    assert part("nodes.sockets").found_by("tiles, 图块") == {}
    assert not hasattr(nodes["URSTTileImage"].define_schema(), "search_aliases")


def test_versions_with_search_words_find_every_node_by_some(nodes, part, monkeypatch):
    stand_in = part("nodes.sockets").io
    fields = [
        ("search_aliases", list, dataclasses.field(default_factory=list)),
        ("essentials_category", str, None),
    ]
    newer = dataclasses.make_dataclass("Schema", fields, bases=(stand_in.Schema,))
    monkeypatch.setattr(stand_in, "Schema", newer)
    schemas = {node_id: node.define_schema() for node_id, node in nodes.items()}
    found = {node_id: schema.search_aliases for node_id, schema in schemas.items()}
    essentials = {node_id for node_id, schema in schemas.items() if schema.essentials_category}
    assert essentials == {"URSTStylizeImage"}
    for words in found.values():
        assert len(words) == len(set(words)) >= 5
        assert all(word == word.strip() != "" for word in words)
        assert any(not word.isascii() for word in words)
    assert {"style transfer", "neural style", "painting", "AdaIN", "风格迁移"} <= set(
        found["URSTStylizeImage"]
    )
