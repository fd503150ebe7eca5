"""Names of colors."""

from __future__ import annotations

from ..errors import SettingsError
from .region_map import Color


def parse_color(name: str) -> Color:
    """A color from its CSS name, ``#rrggbb``, or a gray value of 0 to 255.

    Raises:
        SettingsError: there is no such color.

    Example:
        >>> parse_color("red"), parse_color("#00f"), parse_color("128")
        ((255, 0, 0), (0, 0, 255), (128, 128, 128))
    """
    from PIL import ImageColor  # noqa: PLC0415 - on use

    if name.isdecimal() and int(name) <= 255:
        return int(name), int(name), int(name)
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise SettingsError(
            f"color {name!r} is unknown", "use a name such as red, #rrggbb, or a gray of 0 to 255"
        ) from None
    return red, green, blue
