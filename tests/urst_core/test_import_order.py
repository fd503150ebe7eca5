"""Folders import only from those above them in the list, and no modules import in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest
from import_arrows import find_arrows, find_circle, find_upward

import urst_core

PACKAGE = Path(urst_core.__file__).parent

ORDER = (
    *("errors", "geometry", "progress", "choices", "durable", "identity"),
    *("pictures", "networks", "backbones", "tiling", "method"),
    *("weights", "formats", "runs", "cluster", "training"),
    *("demo", "data", "cli", "kinds", "model", "api", "api_files", "__main__"),
)


@pytest.fixture(scope="module")
def arrows():
    return find_arrows(PACKAGE)


@pytest.mark.slow
def test_no_folder_imports_from_a_later_one(arrows):
    assert len(arrows) > 500
    assert [str(arrow) for arrow in find_upward(arrows, ORDER)] == []


@pytest.mark.slow
def test_no_modules_import_in_a_circle(arrows):
    assert " imports ".join(find_circle(arrows)) == ""


def test_nodes_do_not_import_in_a_circle():
    arrows = find_arrows(PACKAGE.parent / "nodes")
    assert len(arrows) > 40
    assert " imports ".join(find_circle(arrows)) == ""


# A tree of a few files, to see that the two tests above can fail

TREE = {
    "__init__.py": "__version__ = '1'",
    "errors.py": "",
    "pictures/__init__.py": "",
    "pictures/source.py": "from .. import __version__\nfrom ..errors import Error",
    "pictures/padding.py": "from .source import Source",
    "method/__init__.py": "from .pipeline import stylize",
    "method/pipeline.py": "from ..pictures import padding, source",
    "cli.py": "import tree.method.pipeline",
}


@pytest.fixture
def arrows_of(tmp_path):
    """The imports of the tree after lines were added to some of its files."""

    def arrows(**added):
        files = TREE | {path: f"{TREE.get(path, '')}\n{line}" for path, line in added.items()}
        for path, text in files.items():
            (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / path).write_text(text, encoding="utf-8")
        return find_arrows(tmp_path / "tree")

    return arrows


TREE_ORDER = ("errors", "pictures", "method", "cli")


def test_every_import_is_an_arrow(arrows_of):
    arrows = arrows_of()
    assert [str(arrow) for arrow in arrows] == [
        "cli:1 imports method",
        "cli:1 imports method.pipeline",
        "method:1 imports method.pipeline",
        "method.pipeline:1 imports pictures",
        "method.pipeline:1 imports pictures.padding",
        "method.pipeline:1 imports pictures.source",
        "pictures.padding:1 imports pictures.source",
        "pictures.source:2 imports errors",
    ]
    assert find_upward(arrows, TREE_ORDER) == []
    assert find_circle(arrows) == []


@pytest.mark.parametrize(
    "line",
    [
        "from ..method import pipeline",
        "from ..method.pipeline import stylize",
        "import tree.method.pipeline",
        "from tree.method import pipeline",
        "def late():\n    from ..method.pipeline import stylize",
        "if TYPE_CHECKING:\n    from ..method.pipeline import stylize",
    ],
)
def test_an_import_upward_is_found_and_is_a_circle(arrows_of, line):
    arrows = arrows_of(**{"pictures/source.py": line})
    upward = {arrow.imported for arrow in find_upward(arrows, TREE_ORDER)}
    assert "method.pipeline" in upward
    assert {arrow.importer for arrow in find_upward(arrows, TREE_ORDER)} == {"pictures.source"}
    circle = find_circle(arrows)
    assert circle[0] == circle[-1]
    assert {"pictures.source", "method.pipeline"} <= set(circle)


def test_an_import_upward_needs_no_circle(arrows_of):
    arrows = arrows_of(
        **{"errors.py": "from .pictures import padding_sizes", "pictures/source.py": ""}
    )
    arrows = [arrow for arrow in arrows if arrow.importer == "errors"]
    assert [str(arrow) for arrow in find_upward(arrows, TREE_ORDER)] == [
        "errors:2 imports pictures"
    ]


def test_a_circle_within_a_folder_is_found(arrows_of):
    arrows = arrows_of(**{"pictures/source.py": "def late():\n    from . import padding"})
    assert find_upward(arrows, TREE_ORDER) == []
    assert sorted(find_circle(arrows)[1:]) == ["pictures.padding", "pictures.source"]


def test_a_circle_through_the_front_door_is_found(arrows_of):
    arrows = arrows_of(
        **{"__init__.py": "from .method import stylize", "errors.py": "from . import stylize"}
    )
    assert [str(arrow) for arrow in find_upward(arrows, TREE_ORDER)] == [
        "errors:2 imports __init__"
    ]
    assert {"", "errors"} <= set(find_circle(arrows))


def test_a_module_without_a_place_is_refused(arrows_of):
    arrows = arrows_of(**{"utilities.py": "from .errors import Error"})
    with pytest.raises(ValueError, match="utilities has no place in the order"):
        find_upward(arrows, TREE_ORDER)
