"""Write the nodes' English texts, and the lists in help pages, from the nodes' schemas.

    python tools/write_words.py

Run it after a node has changed. It writes locales/en/nodeDefs.json, and the sections Inputs and
Outputs of every help page, from locales/LANGUAGE/nodeDefs.json. Translations are written by hand;
missing ones are listed, and the exit status is 1 until they are complete. Changed English texts are
listed once, when they are written.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
STAND_IN = ROOT / "tests" / "nodes" / "conftest.py"

Words = dict[str, Any]
"""Texts of all nodes in the format of nodeDefs.json: by node id, then as in :func:`node_words`."""


@dataclass(frozen=True)
class Phrases:
    """Phrases for the lists of a help page in one language.

    Attributes:
        headings: headings of inputs and outputs.
        entry: format of an entry: name, English name, notes and tooltip.
        notes: format of the notes, which are joined with ``separator``.
        default: format of a widget's default.
        limits: format of a number's range.
        states: values of a switch, off and on.
        optional: note for an optional socket.
    """

    headings: tuple[str, str]
    entry: str
    notes: str
    separator: str
    default: str
    limits: str
    states: tuple[str, str]
    optional: str


LANGUAGES = {
    "en": Phrases(
        headings=("## Inputs", "## Outputs"),
        entry="- `{name}`{notes}: {tooltip}",
        notes=" ({})",
        separator=", ",
        default="default {}",
        limits="{} to {}",
        states=("off", "on"),
        optional="optional",
    ),
    "zh": Phrases(
        headings=("## 输入", "## 输出"),
        entry="- **{name}** `{english}`{notes}：{tooltip}",
        notes="（{}）",
        separator="，",
        default="默认 {}",
        limits="{} 至 {}",
        states=("关", "开"),
        optional="可选",
    ),
}


def main() -> int:
    schemas = load_schemas()
    problems = translation_problems(schemas)
    print("\n".join(problems) or "All translations are complete.")
    if problems:
        return 1
    for notice in changed_english(schemas):
        print(notice)
    for path, text in planned_files(schemas).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


def load_schemas() -> dict[str, Any]:
    """The nodes' schemas by id, with the tests' stub of ComfyUI."""
    stand_in = _load("stand_in", STAND_IN)
    sys.modules.update(stand_in.stub_modules())
    pack = _load("pack", ROOT / "__init__.py", package=True)
    extension = asyncio.run(pack.comfy_entrypoint())
    schemas = [node.define_schema() for node in asyncio.run(extension.get_node_list())]
    return {schema.node_id: schema for schema in schemas}


def _load(name: str, path: Path, *, package: bool = False) -> ModuleType:
    folders = [str(path.parent)] if package else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded; run this in a whole checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def words_path(language: str) -> Path:
    return ROOT / "locales" / language / "nodeDefs.json"


def read_words(language: str) -> Words:
    return json.loads(words_path(language).read_text(encoding="utf-8"))


def node_words(schema: Any) -> Words:
    """A node's texts, under the keys that ComfyUI's page expects."""
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {
            key: {
                "name": socket.values.get("display_name", socket.id),
                "tooltip": socket.tooltip,
            }
            for key, socket in input_sockets(schema)
        },
        # Outputs are identified by number.
        "outputs": {
            str(number): {"name": socket.values["display_name"], "tooltip": socket.tooltip}
            for number, socket in enumerate(schema.outputs)
        },
    }


def input_sockets(schema: Any) -> Iterator[tuple[str, Any]]:
    """Inputs with their keys; those of a choice follow it, once for all of its options.

    Pages call them ``weights.style`` and look for their words under ``weights_style``.
    """
    for socket in schema.inputs:
        yield socket.id, socket
        nested = [each for inputs in socket.nested.values() for each in inputs]
        yield from {f"{socket.id}_{each.id}": each for each in nested}.items()


def english_words(schemas: Mapping[str, Any]) -> Words:
    return {node_id: node_words(schema) for node_id, schema in schemas.items()}


def translation_problems(schemas: Mapping[str, Any]) -> list[str]:
    """Missing and superfluous translations, one per line."""
    english = dict(_leaves(english_words(schemas)))
    problems: list[str] = []
    for language in LANGUAGES:
        if language == "en":
            continue
        name = words_path(language).relative_to(ROOT).as_posix()
        words = dict(_leaves(read_words(language)))
        problems += [f"{name} lacks {key}: {english[key]}" for key in english.keys() - words.keys()]
        problems += [f"{name} has unknown {key}" for key in words.keys() - english.keys()]
        problems += [
            f"{name} leaves {key} in English"
            for key in english.keys() & words.keys()
            if english[key] == words[key]
        ]
    return sorted(problems)


def changed_english(schemas: Mapping[str, Any]) -> list[str]:
    """English texts that are about to change, whose translations may have to change, too."""
    if not words_path("en").is_file():
        return []
    before = dict(_leaves(read_words("en")))
    return [
        f"translate again {key}: {text}"
        for key, text in _leaves(english_words(schemas))
        if before.get(key, text) != text
    ]


def _leaves(words: Words, path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in words.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield path + key, value


def planned_files(schemas: Mapping[str, Any]) -> dict[Path, str]:
    """All generated files with their content."""
    english = english_words(schemas)
    files = {words_path("en"): json.dumps(english, indent=2, ensure_ascii=False) + "\n"}
    for language, phrases in LANGUAGES.items():
        words = english if language == "en" else read_words(language)
        for node_id, schema in schemas.items():
            path = PAGES / node_id / f"{language}.md"
            text = path.read_text(encoding="utf-8")
            lists = _lists(schema, words[node_id], phrases)
            for heading, entries in zip(phrases.headings, lists):
                text = _with_section(text, heading, entries, path)
            files[path] = text
            if language == "en":
                # Shown for languages without a help page.
                files[PAGES / f"{node_id}.md"] = text
    return files


def _lists(schema: Any, words: Words, phrases: Phrases) -> tuple[list[str], list[str]]:
    inputs = [
        _entry(phrases, socket.id, words["inputs"][key], _input_notes(socket, phrases))
        for key, socket in input_sockets(schema)
    ]
    # The page shows only names of outputs, not ids.
    outputs = [
        _entry(phrases, english["name"], words["outputs"][number], [f"`{socket.io_type}`"])
        for socket, (number, english) in zip(schema.outputs, node_words(schema)["outputs"].items())
    ]
    return inputs, outputs


def _entry(phrases: Phrases, shown: str, words: Words, notes: list[str]) -> str:
    enclosed = phrases.notes.format(phrases.separator.join(notes)) if notes else ""
    return phrases.entry.format(english=shown, notes=enclosed, **words)


def _input_notes(socket: Any, phrases: Phrases) -> list[str]:
    values = socket.values
    notes: list[str] = []
    if socket.nested:
        return notes
    if socket.io_type not in ("INT", "FLOAT", "COMBO", "STRING", "BOOLEAN"):
        notes = [f"`{socket.io_type}`"]
        if socket.optional:
            notes.append(phrases.optional)
    elif socket.io_type == "BOOLEAN":
        notes = [phrases.default.format(phrases.states[values["default"]])]
    elif values.get("default") not in (None, ""):
        notes = [phrases.default.format(f"`{values['default']}`")]
    if "min" in values:
        notes.append(phrases.limits.format(values["min"], values["max"]))
    return notes


def _with_section(text: str, heading: str, entries: list[str], path: Path) -> str:
    """A page with the entries under one of its headings replaced."""
    section = re.compile(rf"^{heading}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if len(section.findall(text)) != 1:
        raise ValueError(f"{path} must have the heading {heading!r} exactly once")
    written = "\n".join([heading, "", *entries, "", ""])
    return section.sub(lambda _: written, text).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.exit(main())
