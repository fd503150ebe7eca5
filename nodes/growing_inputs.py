"""Inputs that grow: one more socket appears with each connection, from ComfyUI 0.8.0 on.

Older versions do not have them, and so not the nodes that need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from comfy_api.latest import io

from ..urst_core.choices import MOST_REGIONS
from ..urst_core.errors import SettingsError
from .sockets import StyleSocket

MOST = MOST_REGIONS
"""Number of sockets that an input can grow to."""

Value = TypeVar("Value")


def can_grow() -> bool:
    """Whether this ComfyUI has such inputs."""
    return hasattr(io, "Autogrow")


def growing_input(name: str, socket: io.Input, *, least: int = 0, tooltip: str) -> io.Input:
    """Any number of sockets: ``style_1``, ``style_2`` and so on, if the first is named ``style``.

    Args:
        name: of the input; its value is a dictionary of the connected sockets.
        socket: the kind of the sockets; not optional, which 0.8.0 cannot expand.
        least: number of sockets that must be connected.
        tooltip: of the input.
    """
    names = [f"{socket.id}_{number}" for number in range(1, MOST + 1)]
    template = io.Autogrow.TemplateNames(socket, names=names, min=least)
    return io.Autogrow.Input(name, template=template, optional=not least, tooltip=tooltip)


def growing_styles_input(*, least: int, tooltip: str) -> io.Input:
    """Any number of pictures and saved styles."""
    socket = io.MultiType.Input("style", types=[io.Image, StyleSocket])
    return growing_input("styles", socket, least=least, tooltip=tooltip)


def by_number(values: Mapping[str, Value]) -> dict[int, Value]:
    """The connected sockets of an input that grows, by their number from 1, in order."""
    numbered = {int(name.rsplit("_", 1)[1]): value for name, value in values.items()}
    return {number: numbered[number] for number in sorted(numbered)}


def numbers_of(text: str, count: int, *, name: str) -> list[float]:
    """Numbers from a text, as in ``2, 1, 0.5``; all 1 if it is empty.

    Args:
        text: numbers, separated by commas or spaces.
        count: how many there must be.
        name: of the input, for the message.

    Raises:
        SettingsError: they are not numbers, or not so many.
    """
    parts = text.replace(",", " ").split()
    if not parts:
        return [1.0] * count
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise SettingsError(
            f"{name} {text!r} are not numbers; separate them by commas, as in 2, 1, 0.5"
        ) from None
    if len(numbers) != count:
        raise SettingsError(
            f"{len(numbers)} {name} do not fit {count} styles; give one for each style, or none"
        )
    return numbers
