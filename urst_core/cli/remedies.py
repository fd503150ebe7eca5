"""Errors as the command line words them: with options instead of settings."""

from __future__ import annotations

from ..errors import Change, Reworded, URSTError

OPTIONS = {"workers": "ray-workers"}
"""Options whose name differs from that of the setting."""

SWITCHES: dict[tuple[str, object], str] = {
    ("overwrite", True): "replace it with --overwrite",
    ("progress", False): "use --quiet",
    ("recursive", True): "search its subfolders with --recursive",
    ("any_size", True): "confirm it with --any-size",
    ("resume", True): "resume with --resume",
    ("resume", False): "leave --resume out to begin",
    ("if_interrupted", "resume"): "resume it with --resume",
    ("if_interrupted", "restart"): "discard it with --restart",
}
"""Words for options without a value."""


def error_words(error: URSTError) -> str:
    """The whole message, with remedies for the command line."""
    return error.worded(_words)


def _words(remedy: Reworded) -> str:
    if not isinstance(remedy, Change):
        return str(remedy)
    words = SWITCHES.get((remedy.setting, remedy.value))
    if words is not None:
        return words
    option = f"--{OPTIONS.get(remedy.setting, remedy.setting).replace('_', '-')}"
    if remedy.value is None:
        return f"{remedy.how} {option}"
    return f"use {option} {remedy.value}"
