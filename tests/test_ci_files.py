"""CI workflows: they parse, and agree with the project's other files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / ".github").rglob("*.yml"))
WORKFLOWS = [path for path in FILES if path.parent.name == "workflows"]


@pytest.fixture(scope="module")
def parsed():
    yaml = pytest.importorskip("yaml")
    return {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}


def test_every_job_has_steps_a_limit_and_pinned_actions(parsed):
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "comfyui.yml", "publish.yml"}
    for path in WORKFLOWS:
        workflow = parsed[path.name]
        # YAML 1.1 reads the key "on" as true.
        assert workflow[True]
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 60
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])
            actions = [step["uses"] for step in job["steps"] if "uses" in step]
            assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action) for action in actions)


def test_ci_runs_the_project_checks(parsed):
    jobs = parsed["ci.yml"]["jobs"]
    commands = [step["run"] for step in jobs["lint"]["steps"] if "run" in step]
    assert commands[1:] == ["ruff check .", "ruff format --check .", "pyright"]
    matrix = jobs["test"]["strategy"]["matrix"]
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={matrix["python"][0]}"' in pyproject
    assert {entry.split("-")[0] for entry in matrix["os"]} == {"ubuntu", "windows"}
    local = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("ruff check .", "ruff format --check .", "pyright", "pytest -q -n auto"):
        assert f"\n{command}" in local


def test_ci_builds_the_site_without_warnings(parsed):
    commands = [step["run"] for step in parsed["ci.yml"]["jobs"]["docs"]["steps"] if "run" in step]
    assert commands == ['pip install -e ".[docs]" -c constraints.txt', "mkdocs build --strict"]


def test_publishing_looks_for_the_version_where_it_is(parsed):
    [compare] = [s for s in parsed["publish.yml"]["jobs"]["version"]["steps"] if "run" in s]
    [pattern] = re.findall(r"sed -n 's/(\^version = .*?\$)/", compare["run"])
    as_python = pattern.replace("\\(", "(").replace("\\)", ")")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(re.findall(as_python, pyproject, re.MULTILINE)) == 1


def test_no_file_names_a_host():
    for path in FILES:
        assert "://" not in path.read_text(encoding="utf-8"), path.name
