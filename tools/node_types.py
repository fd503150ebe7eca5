"""Types of nodes, ours and ComfyUI's own: inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDGET_KINDS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")

SLOT, WIDGET, MARGIN = 20, 24, 14
"""Heights of a socket and a widget, and the margin below them, in px."""


@dataclass(frozen=True)
class Socket:
    """An input (widget or socket) or output of a node type.

    Attributes:
        name: id of an input, or displayed name of an output.
        kind: ``IMAGE``, ``INT``, ...
        optional: whether an input may stay unconnected.
        default: a widget's default; None if a workflow must give the value.
        choices: choices of a COMBO that are the same everywhere.
        limits: minimum and maximum of a number.
        page_value: additional value that the page saves after it, for a control of its own.
    """

    name: str
    kind: str
    optional: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    page_value: str | None = None

    @property
    def is_widget(self) -> bool:
        return self.kind in WIDGET_KINDS

    def refuse(self, value: Any) -> str | None:
        """The reason why a widget cannot have a value; None if it can."""
        types = {"INT": int, "FLOAT": (int, float), "BOOLEAN": bool}.get(self.kind, str)
        if not isinstance(value, types) or (isinstance(value, bool) and self.kind != "BOOLEAN"):
            return f"{self.name} is {value!r}, not of type {self.kind}"
        if self.choices and value not in self.choices:
            return f"{self.name} is {value!r}, not one of {self.choices}"
        if self.limits and not self.limits[0] <= value <= self.limits[1]:
            return f"{self.name} is {value!r}, not in {self.limits}"
        return None


@dataclass(frozen=True)
class NodeType:
    """A type of nodes.

    Attributes:
        inputs: sockets and widgets, in order.
        outputs: outputs, in order.
    """

    inputs: tuple[Socket, ...] = ()
    outputs: tuple[Socket, ...] = ()

    @property
    def widgets(self) -> list[Socket]:
        return [socket for socket in self.inputs if socket.is_widget]

    @property
    def sockets(self) -> list[Socket]:
        return [socket for socket in self.inputs if not socket.is_widget]

    @property
    def least_height(self) -> int:
        """Minimum height in px, without the title."""
        slots = max(len(self.sockets), len(self.outputs))
        rows = sum(2 if widget.page_value else 1 for widget in self.widgets)
        return SLOT * slots + WIDGET * rows + MARGIN
