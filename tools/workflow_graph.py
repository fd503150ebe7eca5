"""Graphs in the format that ComfyUI's page saves, with a layout in columns.

A column has notes, nodes and groups from top to bottom. Heights are computed from sockets and
widgets, so that nodes do not overlap when a node gets another widget.

    note | Pictures | Stylize | Result
         |  content |  node   |
         |  style   |  node   |
"""

from __future__ import annotations

import math
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chinese import with_chinese
from node_types import NodeType, Socket

TITLE = 30
"""Height of a node's title, which is above its position, in px."""

FOOTER, LOOSER = 46, 28
"""Heights, in px, that Nodes 2.0 needs below nodes of ours, and of others."""

GROUP_TITLE, PADDING, GAP = 40, 20, 24
"""Height of a group's title, padding around its nodes, and gap between columns, in px."""

SCREEN = (1770, 880)
"""Width and height of the visible part of a graph on a screen of 1920 x 1080 px.

The bars of 0.3.64 take the most: there, graphs begin 64 px further right and 78 px lower.
"""

SCREEN_CORNER = (74, 110)
"""Left and top of the visible part, next to the page's own bars, in px."""

SMALLEST_SCALE = 0.6
"""At smaller scales, the page does not draw text."""

SHOW_THEIR_WORK = frozenset(
    {"URSTStylizeImage", "URSTStylizePatches", "URSTStylizeFile", "URSTStylizeVideoFile"}
)
LEAST_PREVIEW = 220
"""Minimum height, in px, by which the page extends these nodes when they run."""

FOLDED_HEIGHT = 260
"""Height of a translated note after a click, in px."""

UNCONNECTED_SHAPE = 7
"""Shape with which the page draws optional sockets."""


CODE = re.compile(r"`([^`]+)`")

FILE_WIDGETS = {"LoadImage": "image", "LoadVideo": "file"}
"""Widgets that choose a file, by node."""

APP_WIDGETS = frozenset({*FILE_WIDGETS.values(), "content", "strength", "strokes"})
"""Widgets that the page's app mode shows, of the nodes that have them.

A file's is called like its node there. Others are left out where several nodes have them: app
mode does not say whose they are.
"""

APP_RESULTS = frozenset(
    {"SaveImage", "SaveVideo", "URSTSaveImage", "URSTStylizeFile", "URSTStylizeVideoFile"}
)

Node = dict[str, Any]
Link = tuple[Node, int]
"""A node and the number of its output."""


@dataclass
class Group:
    """Nodes of a column in a frame."""

    title: str
    nodes: Sequence[Node]
    color: str = "#3f789e"


def nodes_of(item: Node | Group) -> Sequence[Node]:
    return item.nodes if isinstance(item, Group) else [item]


@dataclass
class Graph:
    """A graph that grows node by node.

    Attributes:
        types: node types by name, ComfyUI's and ours.
    """

    types: Mapping[str, NodeType]
    nodes: list[Node] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)

    def note(
        self, text: str, *, height: int, width: int = 380, title: str = "How it works"
    ) -> Node:
        """Add an explanation, in Markdown; code becomes bold, which Nodes 2.0 can show."""
        text = CODE.sub(r"**\1**", text)
        node = self.add("MarkdownNote", width=width, height=height)
        node.update(title=title, widgets_values=[text], properties={})
        node.update(color="#432", bgcolor="#653")
        return node

    def translate_note(self, text: str, title: str) -> None:
        """Add a folded note in another language below the first one, the only one there."""
        first = self.nodes[0]
        left, top = first["pos"]
        note = self.note(text, height=FOLDED_HEIGHT, width=first["size"][0], title=title)
        note["pos"] = [left, top + first["size"][1] + PADDING + TITLE]
        note["flags"] = {"collapsed": True}

    def add(
        self,
        kind: str,
        *,
        title: str | None = None,
        width: int = 300,
        height: int = 0,
        values: Mapping[str, Any] | None = None,
        **links: Link,
    ) -> Node:
        """Add a node.

        Args:
            kind: a name in ``types``.
            title: English title, if it differs from the type's.
            width: in px.
            height: minimum height in px; sockets and widgets may need more.
            values: values of widgets; the others get their defaults.
            links: connected outputs by the name of the input; a connected widget keeps its value.

        Raises:
            ValueError: a value or a link does not fit the type.
        """
        type_ = self.types[kind]
        least_height = type_.least_height + (FOOTER if kind.startswith("URST") else LOOSER)
        least_height += LEAST_PREVIEW if kind in SHOW_THEIR_WORK else 0
        number = len(self.nodes) + 1
        node: Node = {
            "id": number,
            "type": kind,
            "pos": [0, 0],
            "size": [width, max(height, least_height)],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": o.name, "type": o.kind, "links": None} for o in type_.outputs],
            "properties": {
                "cnr_id": "urst" if kind.startswith("URST") else "comfy-core",
                "Node name for S&R": kind,
            },
            "widgets_values": _widget_values(kind, type_, values or {}),
        }
        if title:
            node["title"] = with_chinese(title)
        for socket in type_.sockets:
            node["inputs"].append(self._slot(node, socket, links))
        for widget in type_.widgets:
            if widget.name in links:
                slot = self._slot(node, widget, links)
                node["inputs"].append({**slot, "widget": {"name": widget.name}})
        if title and kind in FILE_WIDGETS:
            node["inputs"].append(_labeled(FILE_WIDGETS[kind], with_chinese(title)))
        if links:
            raise ValueError(f"{kind} has no input {', '.join(links)}")
        self.nodes.append(node)
        return node

    def _slot(self, node: Node, socket: Socket, links: dict[str, Link]) -> dict[str, Any]:
        slot: dict[str, Any] = {"name": socket.name, "type": socket.kind, "link": None}
        if socket.optional:
            slot["shape"] = UNCONNECTED_SHAPE
        if socket.name not in links:
            return slot
        source, index = links.pop(socket.name)
        output = source["outputs"][index]
        if socket.kind not in (output["type"], "*"):
            name = f"{node['type']}'s {socket.name}"
            raise ValueError(f"{name} takes {socket.kind}, not {output['type']}")
        slot["link"] = len(self.links) + 1
        output["links"] = [*(output["links"] or []), slot["link"]]
        to = [node["id"], len(node["inputs"])]
        self.links.append([slot["link"], source["id"], index, *to, output["type"]])
        return slot

    def lay_out(self, *columns: Sequence[Node | Group]) -> None:
        """Place all nodes, column by column from the left."""
        left = 0
        for column in columns:
            top = 0
            for item in column:
                top = self._place(item, left, top) + PADDING
            widths = [node["size"][0] for item in column for node in nodes_of(item)]
            left += max(widths) + 2 * PADDING + GAP

    def _place(self, item: Node | Group, left: int, top: int) -> int:
        """Place a node or a group; returns its lower edge."""
        if not isinstance(item, Group):
            item["pos"] = [left + PADDING, top + TITLE]
            return top + TITLE + item["size"][1]
        end = top + GROUP_TITLE
        for node in item.nodes:
            end = self._place(node, left, end) + PADDING
        width = max(node["size"][0] for node in item.nodes) + 2 * PADDING
        self.groups.append(
            {
                "id": len(self.groups) + 1,
                "title": with_chinese(item.title),
                "bounding": [left, top, width, end - top],
                "color": item.color,
                "font_size": 24,
                "flags": {},
            }
        )
        return end

    def as_json(self, name: str) -> dict[str, Any]:
        """The graph in the format that the page saves and loads."""
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"urst/workflows/{name}")),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": {"ds": self._view(), "linearData": self._app()},
            "version": 0.4,
        }

    def _app(self) -> dict[str, Any]:
        """Widgets and results that the page's app mode shows in place of the graph."""
        widgets = [
            [node["id"], widget.name]
            for node in self.nodes
            for widget in self.types[node["type"]].widgets
            if widget.name in APP_WIDGETS
        ]
        owners = Counter(name for _, name in widgets)
        files = FILE_WIDGETS.values()
        widgets = [each for each in widgets if each[1] in files or owners[each[1]] == 1]
        results = [node["id"] for node in self.nodes if node["type"] in APP_RESULTS]
        return {"inputs": widgets, "outputs": results}

    def _view(self) -> dict[str, Any]:
        """Scale and offset with which the page shows the whole graph when it opens, if possible."""
        width, height = (
            max(node["pos"][axis] + node["size"][axis] for node in self.nodes) for axis in (0, 1)
        )
        scale = min(1.0, SCREEN[0] / width, SCREEN[1] / height)
        scale = max(math.floor(1000 * scale) / 1000, SMALLEST_SCALE)
        return {"scale": scale, "offset": [round(corner / scale) for corner in SCREEN_CORNER]}


def _labeled(widget: str, label: str) -> dict[str, Any]:
    """The slot by which the page calls a widget of files differently."""
    slot = {"name": widget, "type": "COMBO", "link": None}
    return {**slot, "widget": {"name": widget}, "label": label}


def _widget_values(kind: str, type_: NodeType, values: Mapping[str, Any]) -> list[Any]:
    unknown = set(values) - {widget.name for widget in type_.widgets}
    if unknown:
        raise ValueError(f"{kind} has no widget {', '.join(sorted(unknown))}")
    chosen: list[Any] = []
    for widget in type_.widgets:
        value = values.get(widget.name, widget.default)
        complaint = widget.refuse(value)
        if complaint:
            raise ValueError(f"{kind}: {complaint}")
        chosen += [value] if widget.page_value is None else [value, widget.page_value]
    return chosen
