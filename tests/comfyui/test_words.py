"""Translations and help pages as a real ComfyUI serves them to its page."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ROOT / "locales"


@pytest.fixture
def fetched(server):
    """The answer of the server for a path: its status, kind and content."""

    def fetch(path):
        try:
            with urllib.request.urlopen(server.url + path, timeout=30) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, "", b""

    return fetch


def ours(server):
    """What the server tells of our nodes, by id."""
    return {
        name: info
        for name, info in server.object_info.items()
        if info["python_module"] == "custom_nodes.urst"
    }


def told_inputs(sections):
    """Inputs by the keys of their words; those of a choice's options follow it."""
    for name, (kind, options) in {
        **sections.get("required", {}),
        **sections.get("optional", {}),
    }.items():
        yield name, (kind, options)
        if kind == "COMFY_DYNAMICCOMBO_V3":
            for option in options["options"]:
                for nested, told in told_inputs(option["inputs"]):
                    yield f"{name}_{nested}", told


def test_translations_reach_the_pages(server):
    told = server.ask("/api/i18n")
    for language in ("en", "zh"):
        words = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
        assert told[language]["nodeDefs"] == words
        assert set(words) == set(ours(server)) | server.missing_nodes


def test_english_words_match_the_server(server):
    words = server.ask("/api/i18n")["en"]["nodeDefs"]
    for name, info in ours(server).items():
        node = words[name]
        assert (node["display_name"], node["description"]) == (
            info["display_name"],
            info["description"],
        )
        inputs = dict(told_inputs(info["input"]))
        assert set(node["inputs"]) == set(inputs)
        for key, (_, options) in inputs.items():
            assert node["inputs"][key]["tooltip"] == options["tooltip"]
        outputs = [node["outputs"][str(number)] for number in range(len(info["output"]))]
        assert [output["name"] for output in outputs] == info["output_name"]
        assert [output["tooltip"] for output in outputs] == info["output_tooltips"]


@pytest.mark.parametrize("page", ["{}/en.md", "{}/zh.md", "{}.md"])
def test_help_pages_and_their_pictures_are_served(server, fetched, page):
    for name in ours(server):
        status, kind, content = fetched(f"/extensions/urst/docs/{page.format(name)}")
        assert status == 200, name
        # Pages take HTML for the answer of a server that has no help.
        assert kind != "text/html"
        [picture] = re.findall(r"!\[.*?\]\((.*?)\)", content.decode("utf-8"))
        # Pages prepend this to relative addresses.
        status, kind, content = fetched(f"/extensions/urst/docs/{picture}")
        assert (status, kind) == (200, "image/jpeg"), picture
        assert content.startswith(b"\xff\xd8\xff")


def test_a_language_without_a_page_is_not_found(fetched):
    """So pages fall back to the page without a language."""
    assert fetched("/extensions/urst/docs/URSTStylizeImage/ja.md")[0] == 404
