"""The pack in the ComfyUI registry: its files and metadata, and that it loads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import urst_core

ROOT = Path(__file__).resolve().parents[1]
LARGEST_PACK_BYTES = 8_000_000

# The pack is loaded as ComfyUI does, from a folder of any name, at first without ComfyUI.
SCRIPT = """
import asyncio, importlib.util, sys
folder, stand_in = sys.argv[1:]
sys.path = [entry for entry in sys.path if "site-packages" in entry or entry.startswith(sys.prefix)
            or entry.startswith(sys.base_prefix)]

def load(name, path, folders=None):
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

pack = load("a pack", folder + "/__init__.py", [folder])
assert pack.WEB_DIRECTORY == "./web"
assert not [name for name in sys.modules if name.split(".")[0] in ("comfy", "comfy_api", "torch")]
stubs = load("stand_in", stand_in).stub_modules()
sys.modules.update(stubs)
extension = asyncio.run(pack.comfy_entrypoint())
nodes = {n.define_schema().node_id: n for n in asyncio.run(extension.get_node_list())}
loader = nodes["URSTLoadBackbone"]
choice = {"backbone": "microast", "weights": "built-in", "precision": "auto", "device": "cpu"}
loaded = loader.execute(**choice)[0]
engine = sys.modules[type(loaded.backbone).__module__]
assert engine.__file__.startswith(folder), engine.__file__
print(*nodes)
"""


def git(*arguments):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, from which the registry's archive is made")
    result = subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=300
    )
    return [name for name in result.stdout.decode().split("\0") if name]


@pytest.fixture(scope="module")
def published():
    """Paths in the archive: what git tracks, without what .comfyignore names."""
    ignored = set(git("ls-files", "-z", "--cached", "-i", "--exclude-from=.comfyignore"))
    names = [name for name in git("ls-files", "-z") if (ROOT / name).is_file()]
    return [name for name in names if name not in ignored]


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_published_files_are_exactly_those_that_users_need(published):
    assert {name.split("/")[0] for name in published} == {
        *("__init__.py", "nodes", "urst_core", "web", "locales", "workflows", "subgraphs"),
        "sample_pictures",
        *("pyproject.toml", "requirements.txt", "README.md", "CHANGELOG.md", "LICENSE"),
        *("weights_manifest.json", "weights_manifest.schema.json"),
    }
    for folder in ("nodes", "urst_core", "web", "locales", "workflows", "subgraphs"):
        assert set(git("ls-files", "-z", folder)) <= set(published)
    assert "urst_core/data/microast_default.safetensors" in published
    assert "web/docs/URSTStylizeImage/en.md" in published
    assert sum((ROOT / name).stat().st_size for name in published) < LARGEST_PACK_BYTES


def test_installing_takes_the_list_of_requirements_and_comfyuis_own_python():
    readme, page = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/comfyui.md"))
    command = "python -m pip install -r ComfyUI/custom_nodes/urst/requirements.txt"
    assert command in readme
    assert command in page
    portable = r".\python_embeded\python.exe -m pip install -r ComfyUI\custom_nodes\urst"
    assert portable + r"\requirements.txt" in page


@pytest.mark.slow
def test_published_pack_loads_from_its_own_folder(published, tmp_path):
    folder = tmp_path / "custom_nodes" / "Some.Pack-1.0"
    for name in published:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    stand_in = ROOT / "tests" / "nodes" / "conftest.py"
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(stand_in)],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    pages = {path.parent.name for path in (folder / "web" / "docs").glob("*/en.md")}
    assert set(result.stdout.split()) == pages


def test_pack_and_engine_have_the_same_version(project):
    assert project["project"]["version"] == urst_core.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", urst_core.__version__)


def test_registry_metadata(project):
    about, comfy = project["project"], project["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9._-]{0,99}", about["name"])
    assert not about["name"].startswith("comfy")
    assert comfy["PublisherId"]
    assert comfy["DisplayName"]
    assert about["description"]
    assert "Operating System :: OS Independent" in about["classifiers"]
    assert comfy["includes"] == []
    assert (ROOT / comfy["web"] / "docs").is_dir()
    for address, file in ((comfy["Icon"], "icon.png"), (comfy["Banner"], "banner.jpg")):
        assert address == "" or re.fullmatch(rf"https://.+/docs/{re.escape(file)}", address)


def test_hardware_is_named_as_the_registry_does(project):
    """With any other name it ignores all of them."""
    known = {"NVIDIA CUDA", "AMD ROCm", "Intel Arc", "Apple Metal"}
    prefix = "Environment :: "
    classifiers = project["project"]["classifiers"]
    named = [each.removeprefix(prefix) for each in classifiers if each.startswith(prefix)]
    assert {"GPU :: NVIDIA CUDA"} <= set(named) <= {f"GPU :: {each}" for each in known}


def test_the_registry_reads_the_license(project):
    """Its tool takes an SPDX expression as text, the only form that Python's tools keep."""
    assert project["project"]["license"] == "Apache-2.0"
    assert project["project"]["license-files"] == ["LICENSE"]
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_oldest_comfyui_is_the_same_everywhere(project):
    oldest = project["tool"]["comfy"]["requires-comfyui"].removeprefix(">=")
    assert f"({oldest} or newer)" in (ROOT / "README.md").read_text(encoding="utf-8")
    stand_in = (ROOT / "tests" / "nodes" / "conftest.py").read_text(encoding="utf-8")
    assert f"ComfyUI {oldest} knows" in stand_in
    jobs = (ROOT / ".github" / "workflows" / "comfyui.yml").read_text(encoding="utf-8")
    assert f"v{oldest}" in jobs


def test_icon_and_banner_have_the_registry_sizes():
    image = pytest.importorskip("PIL.Image")
    with (
        image.open(ROOT / "docs" / "icon.png") as icon,
        image.open(ROOT / "docs" / "banner.jpg") as banner,
    ):
        assert icon.width == icon.height <= 400
        assert banner.width * 9 == banner.height * 21
    assert (ROOT / "docs" / "icon.png").stat().st_size < 100_000


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["nodes", "urst_core"])
def test_published_files_follow_the_rules_of_the_registry(folder):
    """The rules of the registry's own check: no exec, no eval, one statement a line."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache"]
    result = subprocess.run(
        [*command, "--select", "S102,S307,E702", "--ignore-noqa", folder],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if "No module named ruff" in result.stderr:
        pytest.skip("ruff is not installed")
    assert result.returncode == 0, result.stdout
