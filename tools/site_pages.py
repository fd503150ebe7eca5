"""Hooks of mkdocs: the site is made of docs/ and of the repository's other pages.

In the repository, pages link to one another by their paths there. In the site all pages are in one
folder; links to files that are not part of it become their plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]

OTHER_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/RESULTS.md": "figures.md",
    "benchmarks/NOTES.md": "notes.md",
    "urst_core/data/README.md": "built_in_weights.md",
}
"""Pages outside docs/, by their paths in the repository, and their names in the site."""

PICTURES = "workflows/*.jpg"
"""Pictures outside docs/ that pages show."""

IMAGE = re.compile(r'(<img src=")([^"]+)(")')
LINK = re.compile(r"(!?)\[((?:[^\[\]]|!?\[[^\]]*\](?:\([^)]*\))?)*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures outside docs/."""
    for source, name in OTHER_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    for path in sorted(ROOT.glob(PICTURES)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Bring links to the names of the site; code is left alone."""
    del config
    sources = {name: source for source, name in OTHER_PAGES.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    parts = FENCE.split(markdown)
    parts[::2] = [
        _with_links_of_site(part, posixpath.dirname(source), files) for part in parts[::2]
    ]
    return "".join(parts)


def _with_links_of_site(text: str, folder: str, files: Files) -> str:
    def replaced_image(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        return (
            before
            + posixpath.normpath(posixpath.join(folder, target)).removeprefix("docs/")
            + after
        )

    def replaced(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        label = _with_links_of_site(label, folder, files)
        if target.startswith(("https://", "http://", "mailto:", "#")):
            return f"{mark}[{label}]({target})"
        path, hash_, anchor = target.partition("#")
        name = _name_in_site(posixpath.normpath(posixpath.join(folder, path)))
        if name is None or files.get_file_from_path(name) is None:
            return label
        return f"{mark}[{label}]({name}{hash_}{anchor})"

    return LINK.sub(replaced, IMAGE.sub(replaced_image, text))


def _name_in_site(path: str) -> str | None:
    """The name of a repository's file in the site; None if it is not part of it."""
    if path in OTHER_PAGES:
        return OTHER_PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else None
