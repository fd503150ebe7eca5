"""Docstrings as the site's library reference shows them; a griffe extension."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
ROLE = re.compile(r":\w+:`(~?)([\w.]+)`")


class SiteDocstrings(Extension):
    """Names the section of examples as griffe does, and shows Sphinx's roles as plain code."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        del kwargs
        if obj.docstring is not None:
            text = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
            obj.docstring.value = ROLE.sub(_code, text)


def _code(role: re.Match[str]) -> str:
    short, name = role.groups()
    return f"`{name.rsplit('.', 1)[-1] if short else name}`"
