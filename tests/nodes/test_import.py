"""ComfyUI's start: the pack loads no heavy modules, and its schemas access nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

START = f"""
import asyncio, hashlib, importlib.util, json, pathlib, socket, sys
import numpy, PIL.Image, psutil, safetensors.torch, torch
sys.path.insert(0, {str(ROOT / "tests" / "nodes")!r})
import conftest
sys.modules.update(conftest.stub_modules())
conftest.HOST.folder = pathlib.Path(sys.argv[1])
before = set(sys.modules)
spec = importlib.util.spec_from_file_location(
    "pack", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
nodes = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())

asked = []
sys.addaudithook(lambda event, arguments: asked.append([event, str(arguments[0])])
    if event == "open" or event.startswith("socket.") else None)
hashlib.sha256 = hashlib.md5 = hashlib.new = lambda *_: asked.append(["hash", ""])
for node in nodes:
    node.define_schema()
[weights, *_] = nodes[-1].define_schema().inputs
print(json.dumps({{
    "banks": {{choice: style.values["options"] for choice, [style] in weights.nested.items()}},
    "loaded": sorted(name for name in set(sys.modules) - before if not name.startswith("pack.")),
    "engine": sorted(name for name in sys.modules if name.startswith("pack.urst_core.")),
    "asked": list(asked),
    "nodes": len(nodes),
}}))
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Modules that a start of ComfyUI loads, and files that schemas access."""
    folder = tmp_path_factory.mktemp("weights")
    header = json.dumps({"transformer.contract.conv1.gamma": {"shape": [2, 32]}}).encode()
    # No tensors: they cannot be loaded.
    (folder / "mine.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    answer = subprocess.run(
        [sys.executable, "-c", START, str(folder)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.slow
def test_heavy_modules_are_not_loaded(start):
    heavy = {
        *("pyvips", "ray", "zarr", "huggingface_hub", "fsspec", "filelock", "tifffile", "tqdm"),
        *("matplotlib", "scipy", "skimage", "cv2", "pandas", "torchvision", "torchfile", "imageio"),
        *("requests", "httpx", "aiohttp", "tensorboard", "jsonschema", "numcodecs"),
    }
    assert start["nodes"] >= 9
    assert heavy.isdisjoint(name.split(".")[0] for name in start["loaded"])
    assert [name for name in start["loaded"] if name.endswith("ImagePlugin")] == []
    # What torch, NumPy and ComfyUI itself have not loaded before: parts of the standard library.
    others = {name.split(".")[0] for name in start["loaded"]} - sys.stdlib_module_names
    assert others <= {"pack", "PIL"}


@pytest.mark.slow
def test_the_engine_is_not_loaded(start):
    """Nodes import it where they run; schemas need its choices, limits and defaults."""
    on_use = {
        *("method", "networks", "runs", "cluster", "training", "cli"),
        *("formats.registry", "formats.open", "weights.loading", "weights.store"),
    }
    loaded = [name.removeprefix("pack.urst_core.") for name in start["engine"]]
    assert {"choices", "tiling.settings", "weights.manifest"} <= {*loaded}
    assert [name for name in loaded if name in on_use or name.split(".")[0] in on_use] == []


@pytest.mark.slow
def test_schemas_neither_hash_files_nor_access_the_network(start):
    """They read the manifest, and headers of weights."""
    kinds = {kind for kind, _ in start["asked"]}
    assert kinds <= {"open"}
    opened = {Path(name).name for _, name in start["asked"]}
    assert opened <= {"weights_manifest.json", "mine.safetensors"}
    assert start["banks"] == {"mine.safetensors": ["0", "1"]}
