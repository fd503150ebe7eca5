"""ComfyUI's own page in a browser: it loads and runs every workflow and shows the results.

Environment, beside that of ``conftest.py``: SCREENSHOTS names a folder that keeps pictures of the
graphs; CHROMIUM the browser.
"""

from __future__ import annotations

import os
import re
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from comfyui_page import DIALOG, find_chromium, open_page
from template_names import TEMPLATES
from workflow_results import STEP, check_saved, stylized

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(TEMPLATES)


@pytest.fixture(scope="module")
def page(request):
    find_chromium()
    server = request.getfixturevalue("server")
    # Else the page of a new user begins with its templates.
    server.ask("/settings", {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False})
    # Files are numbered from 1 then. Later the page shows them in its history: they must stay.
    server.clear_output()
    with open_page(server.url) as page:
        yield page


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_layout(page):
    """Nothing lies on anything else, as the page draws it."""

    def overlap(one, other):
        return max(one["left"], other["left"]) < min(one["right"], other["right"]) and max(
            one["top"], other["top"]
        ) < min(one["bottom"], other["bottom"])

    nodes, frames = page.boxes()
    for boxes in (nodes, frames):
        for one, other in combinations(boxes, 2):
            assert not overlap(one, other), (one, other)
    for frame in frames:
        inside = [node for node in nodes if overlap(node, frame)]
        assert inside
        for node in inside:
            assert frame["left"] <= node["left"] <= node["right"] <= frame["right"], (node, frame)
            assert frame["top"] <= node["top"] <= node["bottom"] <= frame["bottom"], (node, frame)
    assert page.note_room() >= 0


def run_in(page, server):
    """What a run that was begun on the page saved."""
    entry = server.wait(page.run())
    assert entry["status"]["status_str"] == "success", entry["status"]
    page.wait_until_shown(list(entry["outputs"]))
    assert page.node_errors() == [{}, 0]
    assert page.messages() == []
    assert page.complaints == []
    return server.saved_results(entry)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_page_runs_a_workflow(server, page, workflow_with, engine_results, screenshots, name):
    pictures = ("landscape.png", "painting.png", "painting_2.png")
    page.load(workflow_with(name, *pictures))
    assert page.messages() == []
    check_layout(page)
    saved = run_in(page, server)
    check_layout(page)
    page.show_graph(screenshots / f"{name}.png")
    expected = engine_results(name)
    assert saved.keys() == expected.keys()
    for file, result in expected.items():
        print(check_saved(file, saved[file], result))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nodes_2_0_fit_in_their_places(server, page, workflow_with, name):
    if server.version < (0, 33):
        pytest.skip("a beta of Nodes 2.0 draws notes half as high again")
    workflow = workflow_with(name, "landscape.png", "painting.png", "painting_2.png")
    page.load(workflow)
    drawn = page.heights_in_nodes_2_0()
    for node in workflow["nodes"]:
        if not node["flags"].get("collapsed"):
            assert drawn[str(node["id"])] <= node["size"][1] + 1, node["type"]


def test_a_search_for_style_transfer_finds_all_templates(page):
    assert sorted(page.search_templates("style transfer")) == sorted(TEMPLATES.values())
    assert page.search_templates("no such words") == []


def test_the_templates_have_all_with_their_pictures_and_open_as_they_are(server, page):
    # A new user's page begins here. Three clicks: urst, quick start, Run.
    page.command("Comfy.BrowseTemplates")
    dialog = page.page.locator(DIALOG)
    dialog.get_by_text("urst").first.click()
    for name in TEMPLATES.values():
        card = page.page.get_by_test_id(f"template-workflow-{name}")
        card.scroll_into_view_if_needed()
        handle = card.locator("img").first.element_handle()
        page.page.wait_for_function("image => image.naturalWidth === 512", arg=handle)
    start = time.perf_counter()
    page.page.get_by_test_id(f"template-workflow-{TEMPLATES['quick_start']}").click()
    dialog.wait_for(state="hidden")
    page.page.wait_for_function("app.graph._nodes.some(n => n.type === 'URSTStylizeImage')")
    [saved] = run_in(page, server).values()
    print(f"first picture {time.perf_counter() - start:.1f} s after the template was chosen")
    content, style = (loaded(server, name) for name in ("urst_photograph.jpg", "urst_painting.jpg"))
    assert np.abs(saved / 255 - stylized(content[None], style)).max() <= STEP


ADD_NODE = """async type => {
  const node = LiteGraph.createNode(type)
  app.graph.add(node)
  const prompt = (await app.graphToPrompt()).output
  return [node.widgets.map(w => [w.name, w.label]), prompt[node.id].inputs]
}"""


def test_the_page_shows_the_styles_of_weights_in_its_language(server, page):
    node = "URSTBuiltInStyle"
    if node in server.missing_nodes:
        pytest.skip("this ComfyUI has no choices with inputs of their own")
    for language, label in (("en", "style"), ("zh", "风格")):
        page.set_language(language)
        try:
            widgets, inputs = page.page.evaluate(ADD_NODE, node)
        finally:
            page.set_language("en")
        assert widgets[1] == ["weights.style", label]
        assert inputs == {
            "weights": "bank.safetensors",
            "weights.style": "0",
            "precision": "auto",
            "device": "auto",
        }


def loaded(server, name):
    """A picture as ComfyUI loads it: it decodes JPEG with another rounding than Pillow."""
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "URSTTestProbe", "inputs": {"image": ["1", 0], "name": name}},
    }
    server.run(graph)
    return server.probed(name)[0]


def test_a_help_page_opens(page, workflow_with):
    help_page = ROOT / "web" / "docs" / "URSTStylizeImage" / "en.md"
    if not help_page.is_file():
        pytest.skip("the pack has no help pages")
    page.load(workflow_with("quick_start", "landscape.png", "painting.png", "painting_2.png"))
    text, widths = page.help_of("URSTStylizeImage")
    headings = re.findall(r"^## (.+)$", help_page.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings
    assert all(heading in text for heading in headings)
    assert widths
    assert all(widths)
    assert page.complaints == []
