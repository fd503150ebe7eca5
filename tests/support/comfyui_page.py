"""ComfyUI's page in a headless Chromium.

Environment: CHROMIUM names the program; without it what the system has under a usual name is taken.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
VIEW = {"width": 1600, "height": 900}
START_MS, ANSWER_MS = 180_000, 60_000

OF_ANY_NEW_SERVER = ("/user.css", "/api/userdata", "/favicon.ico", "/api/i18n")
"""What a page asks for and a server without a user's files has not."""

OF_THE_FIRST_GRAPH = "huggingface.co/Comfy-Org/"
"""Models of the page's own first graph, of which a busy page complains when tests have begun."""

RUN_BUTTON = "button[data-testid=queue-button], [data-testid=queue-button] button"
"""The button itself, or in older pages a group that holds it."""

DIALOG = ".p-dialog, [role=dialog]"

SHOWN_SCALE = 0.9
SHOWN_MARGIN, SHOWN_TOP = 100, 200
"""In px: beside and above a graph, where the page has bars and messages."""

BOXES = """() => {
  const boxes = app.graph._nodes.map(n => ({
    name: `${n.id} ${n.type}`, left: n.pos[0], top: n.pos[1] - 30,
    right: n.pos[0] + n.size[0], bottom: n.pos[1] + n.size[1]}))
  const frames = app.graph._groups.map(g => ({
    name: g.title, left: g.pos[0], top: g.pos[1],
    right: g.pos[0] + g.size[0], bottom: g.pos[1] + g.size[1]}))
  return [boxes, frames]
}"""

HEIGHTS_IN_NODES_2_0 = """() => [...document.querySelectorAll('[data-node-id]')].map(e => {
  const height = e.getBoundingClientRect().height / app.canvas.ds.scale
  return [e.dataset.nodeId, Math.round(height) - 30]
})"""

NOTE_ROOM = """() => {
  const note = [...document.querySelectorAll('.comfy-markdown')].find(e => e.clientHeight)
  if (!note) return null
  const last = [...note.querySelector('.tiptap').children].at(-1)
  return note.clientHeight - last.offsetTop - last.offsetHeight
}"""

SELECT = """type => {
  const node = app.graph._nodes.find(n => n.type === type)
  app.canvas.selectNode(node)
  return [...node.pos]
}"""

SHOW = """([left, top, scale, x, y]) => {
  const corner = app.canvas.canvas.getBoundingClientRect()
  app.canvas.ds.scale = scale
  app.canvas.ds.offset[0] = (x - corner.left) / scale - left
  app.canvas.ds.offset[1] = (y - corner.top) / scale - top
  app.canvas.setDirty(true, true)
}"""


def find_chromium() -> str:
    """The program; skips the test where there is none, or no playwright."""
    pytest.importorskip("playwright", reason="pip install playwright to test ComfyUI's page")
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium: install one, or name it with CHROMIUM")
    return found


class Page:
    """One page, and its errors since it was loaded."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []

    def open(self, url: str) -> None:
        # ComfyUI's own templates are a package of their own; without their list some pages open
        # nobody else's.
        self.page.route("**/templates/index*.json", lambda route: route.fulfill(json=[]))
        self.page.goto(url, wait_until="domcontentloaded", timeout=START_MS)
        is_up = "window.app?.vueAppReady && app.graph && app.extensionManager"
        self.page.wait_for_function(is_up, timeout=START_MS)
        # From here on: at its start the page has complaints of its own.
        self.page.wait_for_load_state("networkidle", timeout=START_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        if message.type != "error":
            return
        complaint = f"{message.text} ({message.location.get('url', '')})"
        if not any(part in complaint for part in (*OF_ANY_NEW_SERVER, OF_THE_FIRST_GRAPH)):
            self.complaints.append(complaint)

    def command(self, name: str) -> None:
        self.page.evaluate("name => app.extensionManager.command.execute(name)", name)

    def load(self, workflow: Mapping[str, Any]) -> None:
        """As when a file is dropped on the page."""
        self.page.evaluate("workflow => app.loadGraphData(workflow, true, true)", workflow)

    def run(self) -> str:
        """Press Run; returns the run's id."""
        with self.page.expect_response("**/prompt", timeout=ANSWER_MS) as asked:
            self.page.locator(RUN_BUTTON).first.click()
        answer = asked.value.json()
        assert answer.get("node_errors") == {}, answer
        return answer["prompt_id"]

    def wait_until_shown(self, node_ids: list[str]) -> None:
        """Until the page has what these nodes gave, and has drawn it."""
        all_there = "ids => ids.every(id => app.nodeOutputs[id])"
        self.page.wait_for_function(all_there, arg=node_ids, timeout=ANSWER_MS)
        self.page.wait_for_load_state("networkidle", timeout=ANSWER_MS)
        time.sleep(1)

    def messages(self) -> list[str]:
        """Texts of dialogs and of what pops up."""
        return self.page.locator(f"{DIALOG}, .p-toast-message").all_inner_texts()

    def node_errors(self) -> Any:
        return self.page.evaluate(
            "() => [app.lastNodeErrors ?? {}, app.graph._nodes.filter(n => n.has_errors).length]"
        )

    def boxes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Where nodes and groups are drawn: name, left, top, right, bottom."""
        nodes, frames = self.page.evaluate(BOXES)
        return nodes, frames

    def help_of(self, node_type: str) -> tuple[str, list[int]]:
        """Open the help page of a node in the graph; its text, and the widths of its pictures."""
        corner = self.page.evaluate(SELECT, node_type)
        self.page.evaluate(SHOW, [*corner, 1, VIEW["width"] // 2, VIEW["height"] // 3])
        self.page.get_by_test_id("info-button").click()
        content = self.page.locator(".node-help-content")
        content.locator("h2").first.wait_for(timeout=ANSWER_MS)
        self.page.wait_for_load_state("networkidle", timeout=ANSWER_MS)
        widths = content.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
        return content.inner_text(), widths

    def heights_in_nodes_2_0(self) -> dict[str, int]:
        """Heights of nodes by id, without titles, in px of the graph, as elements of the page.

        Skips the test where the page cannot draw nodes in this way.
        """
        setting = "Comfy.VueNodes.Enabled"
        current = self.page.evaluate("name => app.extensionManager.setting.get(name)", setting)
        if current is None:
            pytest.skip("this page has no Nodes 2.0")
        self._set(setting, True)
        try:
            self.page.wait_for_selector("[data-node-id]", timeout=ANSWER_MS)
            time.sleep(2)
            return dict(self.page.evaluate(HEIGHTS_IN_NODES_2_0))
        finally:
            self._set(setting, current)

    def set_language(self, language: str) -> None:
        self._set("Comfy.Locale", language)
        # Words are loaded with the first use of their language.
        time.sleep(2)

    def _set(self, setting: str, value: Any) -> None:
        script = "([name, value]) => app.extensionManager.setting.set(name, value)"
        self.page.evaluate(script, [setting, value])

    def search_templates(self, words: str) -> list[str]:
        """Names of the templates that a search shows; skips the test where there is no search."""
        self.command("Comfy.BrowseTemplates")
        dialog = self.page.locator(DIALOG)
        dialog.get_by_text("urst").first.wait_for(timeout=ANSWER_MS)
        box = dialog.locator("input[type=text]")
        try:
            if not box.count():
                pytest.skip("this page cannot search for templates")
            box.first.fill(words)
            time.sleep(2)
            cards = dialog.locator("[data-testid^=template-workflow-]")
            shown = cards.evaluate_all("all => all.map(one => one.dataset.testid)")
            # Some pages would begin with these words when the dialog opens again.
            box.first.fill("")
        finally:
            self._close_dialog()
        return [name.removeprefix("template-workflow-") for name in shown]

    def _close_dialog(self) -> None:
        """Close the dialog, and wait until it is gone: another would fade with it."""
        # By a click beside it: Escape does not close it in every version.
        self.page.mouse.click(2, VIEW["height"] - 10)
        self.page.locator(DIALOG).first.wait_for(state="detached", timeout=ANSWER_MS)

    def note_room(self) -> float:
        """What is free below the text of the note, in px; negative where text is cut off."""
        # Texts of a graph that is drawn small are not there at all.
        self.page.evaluate(SHOW, [0, 0, 1, SHOWN_MARGIN, SHOWN_TOP])
        self.page.wait_for_function(f"({NOTE_ROOM})() !== null", timeout=ANSWER_MS)
        return self.page.evaluate(NOTE_ROOM)

    def show_graph(self, path: Path) -> None:
        """Save a screenshot of exactly the whole graph."""
        boxes = [box for kind in self.boxes() for box in kind]
        left, top = (min(box[side] for box in boxes) for side in ("left", "top"))
        width = SHOWN_SCALE * (max(box["right"] for box in boxes) - left)
        height = SHOWN_SCALE * (max(box["bottom"] for box in boxes) - top)
        view = {"width": round(width) + 2 * SHOWN_MARGIN, "height": round(height) + 2 * SHOWN_TOP}
        self.page.set_viewport_size(view)
        self.page.evaluate(SHOW, [left, top, SHOWN_SCALE, SHOWN_MARGIN, SHOWN_TOP])
        time.sleep(2)
        corner = {"x": SHOWN_MARGIN - 20, "y": SHOWN_TOP - 10}
        clip = {**corner, "width": width + 40, "height": height + 20}
        self.page.screenshot(path=path, clip=clip)
        self.page.set_viewport_size(VIEW)


@contextmanager
def open_page(url: str) -> Iterator[Page]:
    """ComfyUI's page at an address."""
    chromium = find_chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        try:
            page = Page(browser.new_page(viewport=VIEW))
            page.open(url)
            yield page
        finally:
            browser.close()
