"""Placeholders in names of files, filled in as ComfyUI's page does for its own nodes.

The page fills in the names of a fixed list of core nodes before it queues them, and ours are not in
it. Filling them in here works for scripts, too::

    %date:yyyy-MM-dd%      the time, in parts d dd M MM h hh m mm s ss yy yyyy
    %KSampler.seed%        a widget's value, by the node's name for search and replace, or its title

``%year%``, ``%width%`` and the like are left to ``folder_paths.get_save_image_path``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

PLACEHOLDER = re.compile(r"%([^%]+)%")
DATE_PART = re.compile(r"yyyy|yyy|yy|dd?|MM?|hh?|mm?|ss?")
UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
"""Characters of a widget's value that do not belong in the name of a file."""

NAME_PROPERTY = "Node name for S&R"


def fill_in(name: str, hidden: Any, now: datetime | None = None) -> str:
    """Replace dates and values of widgets; what is unknown stays, with a warning.

    Args:
        name: a name or prefix of a file.
        hidden: ComfyUI's hidden inputs, with ``prompt`` and ``extra_pnginfo``; or None.
        now: the time, for tests.
    """
    time = now or datetime.now()

    def replacement(found: re.Match[str]) -> str:
        inside = found[1]
        if inside.startswith("date:"):
            return format_date(inside.removeprefix("date:"), time)
        node, _, widget = inside.rpartition(".")
        if not node:
            return found[0]
        value = _value_of(node, widget, hidden)
        if value is None:
            logging.warning("URST: no node has a value for %s in the name %r", found[0], name)
            return found[0]
        return UNSAFE.sub("_", value)

    return PLACEHOLDER.sub(replacement, name)


def format_date(pattern: str, time: datetime) -> str:
    """A time in the page's pattern: two letters have a leading zero, one letter has none."""
    parts = {"d": time.day, "M": time.month, "h": time.hour, "m": time.minute, "s": time.second}

    def part(found: re.Match[str]) -> str:
        letters = found[0]
        if letters[0] in parts:
            return str(parts[letters[0]]).zfill(len(letters))
        year = str(time.year)
        return {"yy": year[2:], "yyyy": year}.get(letters, letters)

    return DATE_PART.sub(part, pattern)


def _value_of(node: str, widget: str, hidden: Any) -> str | None:
    """A widget's value as text; None if there is no such node or value."""
    prompt: Mapping[str, Any] = getattr(hidden, "prompt", None) or {}
    for number in _numbers_of(node, prompt, hidden):
        value = prompt.get(number, {}).get("inputs", {}).get(widget)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (str, int, float)):
            return f"{value:.15g}" if isinstance(value, float) else str(value)
    return None


def _numbers_of(node: str, prompt: Mapping[str, Any], hidden: Any) -> Iterator[str]:
    """Numbers of the nodes of a name, in the page's order of preference."""
    workflow = (getattr(hidden, "extra_pnginfo", None) or {}).get("workflow") or {}
    drawn = [each for each in workflow.get("nodes", ()) if isinstance(each, dict)]
    yield from (str(n["id"]) for n in drawn if n.get("properties", {}).get(NAME_PROPERTY) == node)
    yield from (str(n["id"]) for n in drawn if n.get("title") == node)
    # A script queues a prompt without a workflow.
    yield from (i for i, n in prompt.items() if n.get("_meta", {}).get("title") == node)
    yield from (i for i, n in prompt.items() if n.get("class_type") == node)
