"""Imports between the modules of a package, read from the files without importing them."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arrow:
    """One import: modules as dotted names below the package, "" for the package itself."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer or '__init__'}:{self.line} imports {self.imported or '__init__'}"


def find_arrows(package: Path) -> list[Arrow]:
    """Every import of a module of the package, wherever in a file it is written.

    An import in a function or under ``TYPE_CHECKING`` counts like any other: it ties the modules
    together all the same. Importing ``a.b.c`` from outside ``a`` also runs ``a/__init__.py`` and
    ``a/b/__init__.py``, so those are arrows, too. The only exception is a ``__version__`` that is
    taken from the package itself.
    """
    files = {_module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    arrows: set[Arrow] = set()
    for importer, path in files.items():
        inside = importer if path.name == "__init__.py" else _parent(importer)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _imported_names(node, inside, package.name):
                target = name if name in files else _parent(name)
                while target != importer and target in files:
                    arrows.add(Arrow(importer, target, node.lineno))
                    target = _parent(target)
                    if f"{importer}.".startswith(f"{target}.") or not target:
                        break
    return sorted(arrows, key=lambda arrow: (arrow.importer, arrow.line, arrow.imported))


def find_upward(arrows: Sequence[Arrow], order: Sequence[str]) -> list[Arrow]:
    """Imports of something that comes later in the order of the package's top level.

    The package's own ``__init__.py`` comes last. A name that the order lacks is a ``ValueError``.
    """
    places = {name: place for place, name in enumerate([*order, ""])}

    def place_of(module: str) -> int:
        top = module.split(".", maxsplit=1)[0]
        if top not in places:
            raise ValueError(f"{top} has no place in the order; give it one")
        return places[top]

    return [arrow for arrow in arrows if place_of(arrow.imported) > place_of(arrow.importer)]


def find_circle(arrows: Sequence[Arrow]) -> list[str]:
    """The modules of one circle, the first again at the end; empty where there is none."""
    imports: dict[str, set[str]] = {}
    for arrow in arrows:
        imports.setdefault(arrow.importer, set()).add(arrow.imported)
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1][::-1]
    return []


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


def _imported_names(node: ast.AST, inside: str, package: str) -> Iterator[str]:
    """Dotted names below the package that a statement may import; modules or names in them."""
    if isinstance(node, ast.Import):
        absolute = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        start = [package, *filter(None, inside.split("."))]
        start = start[: len(start) + 1 - node.level] if node.level else []
        absolute = [".".join([*start, *filter(None, [node.module]), a.name]) for a in node.names]
    else:
        return
    for name in absolute:
        root, _, rest = name.partition(".")
        if root == package and rest != "__version__":
            yield rest
