"""The pages of the documentation: their blocks of code, and the commands in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        ROOT / "urst_core" / "data" / "README.md",
    ]
)
OF_USERS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def text_of(page):
    return page.read_text(encoding="utf-8")


def name_of(page):
    return str(page.relative_to(ROOT).as_posix())


def blocks(page, language):
    return [code for kind, code in FENCE.findall(text_of(page)) if kind == language]


def commands_of(page):
    """The command lines of ours in a page's blocks, comments and continuations joined."""
    found = []
    for code in blocks(page, ""):
        for line in re.split(r"\n|&&", code.replace("\\\n", " ")):
            words = shlex.split(line.strip(), comments=True) if "urst" in line else []
            if words[:3] == ["python", "-m", "urst_core"]:
                words = ["urst", *words[3:]]
            if words[:1] == ["urst"]:
                found.append(words[1:])
    return found
