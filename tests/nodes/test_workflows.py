"""The workflows: up to date, valid, readable, explained, and each with a picture."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from template_names import TEMPLATES

RECIPES = {template: workflow for workflow, template in TEMPLATES.items()}
ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "workflows").glob("*.json"))
NOTES = ("Note", "MarkdownNote")
TITLE = 30

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def tools() -> Iterator[SimpleNamespace]:
    """The modules that write the workflows; they lie in a folder that is no package."""
    names = ("make_workflows", "workflow_graph", "node_types")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def types(tools, nodes):
    return tools.make_workflows.all_types(nodes.values())


def graph_in(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_is_a_file_for_every_recipe_and_no_other(tools):
    assert set(TEMPLATES) == set(tools.make_workflows.RECIPES)
    assert {path.stem for path in FILES} == set(RECIPES)


@by_file
def test_names_are_found_by_words_and_have_none_that_addresses_treat_specially(path):
    assert {"style", "transfer"} <= set(path.stem.lower().split())
    assert not set(path.stem) & set('#%?/\\:*"<>|')


@by_file
def test_workflow_files_match_the_schemas(tools, types, path):
    expected = tools.make_workflows.make_workflow(RECIPES[path.stem], types)
    message = f"{path.name} is out of date; run: python tools/make_workflows.py"
    assert path.read_text(encoding="utf-8") == expected, message


@by_file
def test_values_and_sockets_fit_the_types_of_nodes(types, path):
    nodes = graph_in(path)["nodes"]
    assert any(node["type"].startswith("URST") for node in nodes)
    for node in nodes:
        type_ = types[node["type"]]
        values = iter(node["widgets_values"])
        for widget in type_.widgets:
            assert widget.refuse(next(values)) is None, node["type"]
            if widget.page_value is not None:
                assert next(values) == widget.page_value
        assert list(values) == []
        sockets = [slot for slot in node["inputs"] if "widget" not in slot]
        named = [(slot["name"], slot["type"]) for slot in sockets]
        assert named == [(socket.name, socket.kind) for socket in type_.sockets]
        linked = {slot["name"] for slot in node["inputs"] if slot["link"] is not None}
        assert {socket.name for socket in type_.sockets if not socket.optional} <= linked
        given = [(slot["name"], slot["type"]) for slot in node["outputs"]]
        assert given == [(socket.name, socket.kind) for socket in type_.outputs]


@by_file
def test_links_agree_with_both_of_their_ends(path):
    graph = graph_in(path)
    by_id = {node["id"]: node for node in graph["nodes"]}
    assert len(by_id) == len(graph["nodes"])
    assert graph["last_node_id"] == max(by_id)
    assert graph["last_link_id"] == max(link[0] for link in graph["links"])
    for link, source, source_slot, target, target_slot, kind in graph["links"]:
        output, slot = by_id[source]["outputs"][source_slot], by_id[target]["inputs"][target_slot]
        assert output["type"] == kind
        assert slot["type"] in (kind, "*")
        assert link in output["links"]
        assert slot["link"] == link
    ends = [slot["link"] for node in graph["nodes"] for slot in node["inputs"]]
    starts = [n for node in graph["nodes"] for slot in node["outputs"] for n in slot["links"] or []]
    numbers = sorted(link[0] for link in graph["links"])
    assert sorted(end for end in ends if end is not None) == sorted(starts) == numbers


def box_of(node):
    """Left, top, right, bottom, with the title."""
    left, top = node["pos"]
    width, height = node["size"]
    return left, top - TITLE, left + width, top + height


def overlap(one, other):
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(
        one[3], other[3]
    )


@by_file
def test_nodes_do_not_overlap(path):
    graph = graph_in(path)
    nodes = {f"{node['id']} {node['type']}": box_of(node) for node in graph["nodes"]}
    frames = {}
    for group in graph["groups"]:
        left, top, width, height = group["bounding"]
        frames[group["title"]] = (left, top, left + width, top + height)
    for boxes in (nodes, frames):
        for one, other in combinations(boxes, 2):
            assert not overlap(boxes[one], boxes[other]), (one, other)
    for title, frame in frames.items():
        inside = [name for name, box in nodes.items() if overlap(box, frame)]
        assert inside, title
        for name in inside:
            left, top, right, bottom = nodes[name]
            assert frame[0] < left < right < frame[2], name
            assert frame[1] < top < bottom < frame[3], name


@by_file
def test_titles_of_groups_fit_into_them(path):
    for group in graph_in(path)["groups"]:
        # Chinese letters are squares; others are about half as wide.
        letters = sum(0.53 if letter.isascii() else 1 for letter in group["title"])
        assert letters * group["font_size"] < group["bounding"][2], group["title"]


@by_file
def test_links_lead_to_the_right_or_downward(path):
    graph = graph_in(path)
    by_id = {node["id"]: node for node in graph["nodes"]}
    for _, source, _, target, _, _ in graph["links"]:
        (left, top), (to_left, to_top) = by_id[source]["pos"], by_id[target]["pos"]
        assert to_left > left or (to_left == left and to_top > top)


@by_file
def test_a_note_explains_it_first(path):
    first = graph_in(path)["nodes"][0]
    assert first["type"] in NOTES
    [text] = first["widgets_values"]
    assert text.startswith("## ")
    assert len(text) > 400
    assert first["pos"][0] <= min(node["pos"][0] for node in graph_in(path)["nodes"])


@by_file
def test_a_folded_note_explains_it_in_chinese(path):
    [note] = [n for n in graph_in(path)["nodes"] if n["type"] in NOTES][1:]
    assert note["flags"] == {"collapsed": True}
    assert note["title"].startswith("中文")
    [text] = note["widgets_values"]
    assert text.startswith("## ")
    assert sum("\u4e00" <= letter <= "\u9fff" for letter in text) > 100
    titled = [n for n in graph_in(path)["nodes"] if "title" in n and n["type"] not in NOTES]
    assert titled
    for item in (*titled, *graph_in(path)["groups"]):
        assert not item["title"].isascii()


@by_file
def test_notes_have_no_code_which_nodes_2_0_cannot_show(path):
    for note in graph_in(path)["nodes"]:
        if note["type"] in NOTES:
            [text] = note["widgets_values"]
            assert "`" not in text
            assert "****" not in text


@by_file
def test_a_graph_is_readable_on_a_screen_of_1080_lines(path):
    extra = graph_in(path)["extra"]
    boxes = [box_of(node) for node in graph_in(path)["nodes"]]
    width, height = max(box[2] for box in boxes), max(box[3] for box in boxes)
    scale = extra["ds"]["scale"]
    # Below, the page draws no text.
    assert scale >= 0.6
    assert scale * width <= 1770
    assert scale * height <= 880


@by_file
def test_the_app_shows_widgets_and_results_of_the_graph(types, path):
    graph = graph_in(path)
    kinds = {node["id"]: types[node["type"]] for node in graph["nodes"]}
    app = graph["extra"]["linearData"]
    assert app["outputs"]
    assert {name for _, name in app["inputs"]} & {"image", "file", "content"}
    by_id = {node["id"]: node for node in graph["nodes"]}
    shown = []
    for number, name in app["inputs"]:
        assert name in [widget.name for widget in kinds[number].widgets]
        labels = [slot["label"] for slot in by_id[number]["inputs"] if slot.get("widget")]
        shown += labels if name in ("image", "file") else [name]
    assert len(shown) == len(set(shown)) == len(app["inputs"])
    if path.stem == TEMPLATES["quick_start"]:
        assert shown == ["content · 内容图", "style · 风格图", "strength", "strokes"]
    assert set(app["outputs"]) <= set(kinds)


@by_file
def test_pictures_and_models_of_a_new_user_are_there(path):
    for node in graph_in(path)["nodes"]:
        for value in map(str, node["widgets_values"]):
            if value.endswith((".jpg", ".png", ".mp4")):
                assert (ROOT / "sample_pictures" / value).is_file()
        if node["type"] == "UpscaleModelLoader":
            [model] = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["url"].endswith(f"/{model['name']}")
            assert model["directory"] == "upscale_models"


@by_file
def test_each_workflow_has_a_small_square_picture(path):
    picture = path.with_suffix(".jpg")
    assert picture.stat().st_size < 80_000
    with Image.open(picture) as image:
        assert image.format == "JPEG"
        assert image.size == (512, 512)
        assert len(image.resize((8, 8)).getcolors()) > 8


def test_a_recipe_that_does_not_fit_is_refused(tools, types):
    graph = tools.workflow_graph.Graph(types)
    with pytest.raises(ValueError, match="URSTStylizeImage has no widget style_sise"):
        graph.add("URSTStylizeImage", values={"style_sise": 8})
    with pytest.raises(ValueError, match=r"URSTStylizeImage: strength is 2, not in \(0.0, 1.0\)"):
        graph.add("URSTStylizeImage", values={"strength": 2})
    with pytest.raises(ValueError, match="URSTStylizeImage: statistics is 'some', not one of"):
        graph.add("URSTStylizeImage", values={"statistics": "some"})
    with pytest.raises(ValueError, match="LoadImage: image is None, not of type COMBO"):
        graph.add("LoadImage")
    load = graph.add("LoadImage", values={"image": "example.png"})
    with pytest.raises(ValueError, match="PreviewImage has no input image"):
        graph.add("PreviewImage", image=(load, 0))
    with pytest.raises(ValueError, match="PreviewImage's images takes IMAGE, not MASK"):
        graph.add("PreviewImage", images=(load, 1))
