"""nodes.file_names: placeholders in names of files."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import pytest

NOW = datetime(2026, 3, 7, 9, 5, 4)
PROMPT = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 8, "cfg": 7.0, "on": True, "model": ["1", 0]},
    },
    "5": {"class_type": "Text", "inputs": {"words": "a/b: c*"}, "_meta": {"title": "My words"}},
    "6": {"class_type": "Text", "inputs": {"words": "second"}},
}
WORKFLOW = {
    "nodes": [
        {"id": 6, "type": "Text", "properties": {"Node name for S&R": "renamed"}},
        {"id": 3, "type": "KSampler", "title": "sampler", "properties": {}},
    ]
}


@pytest.fixture
def fill_in(part):
    hidden = SimpleNamespace(prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW})
    return lambda name, hidden=hidden: part("nodes.file_names").fill_in(name, hidden, NOW)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("urst/a", "urst/a"),
        ("%date:yyyy-MM-dd%/a", "2026-03-07/a"),
        ("%date:yy.M.d hh-mm-ss%", "26.3.7 09-05-04"),
        ("%date:yyyy%_%date:h%", "2026_9"),
        ("%KSampler.seed%", "8"),
        ("%sampler.cfg%_%sampler.on%", "7_true"),
        ("%My words.words%", "a_b_ c_"),
        ("%renamed.words%", "second"),
        ("%width%_%year%", "%width%_%year%"),
    ],
)
def test_what_the_page_fills_in_for_core_nodes(fill_in, name, expected):
    assert fill_in(name) == expected


@pytest.mark.parametrize("name", ["%Nobody.seed%", "%KSampler.steps%", "%KSampler.model%"])
def test_unknown_widgets_stay_with_a_warning(fill_in, caplog, name):
    with caplog.at_level("WARNING"):
        assert fill_in(f"a{name}") == f"a{name}"
    assert f"no node has a value for {name}" in caplog.text


def test_without_a_prompt_nothing_is_filled_in_but_dates(fill_in):
    assert fill_in("%date:yyyy%/a", None) == "2026/a"
    assert fill_in("%KSampler.seed%", None) == "%KSampler.seed%"
