"""What nodes take and give, whether they are ours or ComfyUI's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDGET_KINDS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")

SLOT, WIDGET, MARGIN = 20, 24, 14
"""Heights, in px, of a socket and a widget; and what is left free below them."""


@dataclass(frozen=True)
class Socket:
    """An input, whether a widget or a socket, or an output, of a type of nodes.

    Attributes:
        name: of an input its id, of an output what is shown.
        kind: ``IMAGE``, ``INT``, ...
        optional: an input that needs no link.
        default: a widget's value; None where a workflow must say it.
        choices: of a COMBO that is the same everywhere.
        limits: least and greatest value of a number.
        page_value: what a page saves behind the value, for a control of its own.
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
        """Why a widget cannot have a value; None where it can."""
        types = {"INT": int, "FLOAT": (int, float), "BOOLEAN": bool}.get(self.kind, str)
        if not isinstance(value, types) or (isinstance(value, bool) and self.kind != "BOOLEAN"):
            return f"{self.name} is {value!r}, no {self.kind}"
        if self.choices and value not in self.choices:
            return f"{self.name} is {value!r}, none of {self.choices}"
        if self.limits and not self.limits[0] <= value <= self.limits[1]:
            return f"{self.name} is {value!r}, not in {self.limits}"
        return None


@dataclass(frozen=True)
class NodeType:
    """What nodes of a type take and give.

    Attributes:
        inputs: sockets and widgets, in their order.
        outputs: in their order.
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
        """In px, without the title."""
        slots = max(len(self.sockets), len(self.outputs))
        rows = sum(2 if widget.page_value else 1 for widget in self.widgets)
        return SLOT * slots + WIDGET * rows + MARGIN
