"""A real ComfyUI server in a temporary folder, and workflows in the format of its API.

Environment: COMFYUI_DIR names a checkout of ComfyUI (without it all is skipped); COMFYUI_PYTHON the
Python that runs it, this one when not given; COMFYUI_ARGS more arguments for its main.py.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import moving_frames, save_clip
from fake_hub import FakeHub, running_hub, sha256
from PIL import Image, ImageSequence
from safetensors.torch import load_file, save_file
from template_names import TEMPLATES
from workflow_results import RESULTS, enlarged, read_frames, read_picture

from urst_core.backbones.conditional import ConditionalNormalization
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.geometry import Rectangle

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ("nodes", "urst_core", "locales", "web", "workflows", "subgraphs", "sample_pictures")
START_SECONDS = 180
RUN_SECONDS = 300
UPSCALE_MODEL, CLIP, BANK = "tiny2x.safetensors", "short.mp4", "bank.safetensors"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
"""Kind of some inputs of core's nodes since 0.33; its choices may have inputs of their own."""

DEMO_SIZE = (320, 480)
"""Height and width: one tile of ComfyUI's upscaler."""

Graph = dict[str, dict[str, Any]]
"""Nodes by id, as /prompt takes them: class_type and inputs; a link is [id, output]."""


class Server:
    """One running ComfyUI."""

    def __init__(self, checkout: Path, base: Path, hub: FakeHub) -> None:
        self.base = base
        self.hub = hub
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(base / "hf"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        self.log_path = base / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            os.environ.get("COMFYUI_PYTHON", sys.executable),
            "main.py",
            "--cpu",
            *("--listen", "127.0.0.1", "--port", str(self.port)),
            *("--base-directory", str(base), "--database-url", "sqlite:///:memory:"),
            *("--disable-api-nodes", "--disable-auto-launch"),
            *shlex.split(os.environ.get("COMFYUI_ARGS", "")),
        ]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=checkout,
                env=os.environ | settings,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def ask(self, path: str, content: Any = None) -> Any:
        """GET, or POST of JSON; the answer's JSON, None where there is no body."""
        request = urllib.request.Request(self.url + path)
        if content is not None:
            request.data = json.dumps(content).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from error
        return json.loads(body) if body else None

    def wait_until_up(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if self._answers():
                self.object_info = self.ask("/object_info")
                return
            time.sleep(0.2)
        raise AssertionError(f"ComfyUI did not start:\n{self.log()[-4000:]}")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def version(self) -> tuple[int, ...]:
        """ComfyUI's version: (0, 33, 0)."""
        text = self.ask("/system_stats")["system"]["comfyui_version"]
        return tuple(int(part) for part in re.findall(r"\d+", text))

    @property
    def missing_nodes(self) -> set[str]:
        """Nodes of the pack that this version cannot have: inputs grow, a choice has its own."""
        newer = {"URSTMixStyles", "URSTStyleRegions", "URSTBuiltInStyle"}
        return newer if self.version < (0, 8) else set()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def clear_output(self) -> None:
        """Delete the workflows' results, since finished files are not replaced."""
        shutil.rmtree(self.base / "output" / "urst", ignore_errors=True)

    def queue(self, graph: Graph, *, workflow: Any = None) -> str:
        """Queue a graph, as a page does that shows ``workflow``; returns the run's id."""
        extra_data = {} if workflow is None else {"extra_pnginfo": {"workflow": workflow}}
        return self.ask("/prompt", {"prompt": graph, "extra_data": extra_data})["prompt_id"]

    def wait(self, prompt_id: str) -> dict[str, Any]:
        """The history entry of a run, once it has ended in whatever way."""
        end = time.monotonic() + RUN_SECONDS
        while time.monotonic() < end:
            history = self.ask(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            assert self.process.poll() is None, self.log()[-4000:]
            time.sleep(0.05)
        raise AssertionError(f"no end of the run in {RUN_SECONDS} s:\n{self.log()[-4000:]}")

    def run(self, graph: Graph, *, workflow: Any = None) -> dict[str, Any]:
        """The history entry of a run that succeeded."""
        entry = self.wait(self.queue(graph, workflow=workflow))
        status = entry["status"]
        assert status["status_str"] == "success", json.dumps(status["messages"], indent=1)
        return entry

    def saved_results(self, entry: dict[str, Any]) -> dict[str, np.ndarray]:
        """All that a run saved, (N, H, W, C), uint8, by file names without numbers and endings."""
        saved = {}
        for shown in entry["outputs"].values():
            # Our nodes list files that no page can show, too.
            files = shown.get("files") or shown.get("images", [])
            paths = [
                self.base / "output" / file["subfolder"] / file["filename"]
                for file in files
                if file["type"] == "output"
            ]
            saved |= {file_name(path): np.stack(frames_of(path)) for path in paths}
        return saved

    def view(self, file: dict[str, str]) -> bytes:
        """A file as a page or a script gets it."""
        address = f"{self.url}/view?{urllib.parse.urlencode(file)}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.read()

    def saved_picture(self, entry: dict[str, Any]) -> np.ndarray:
        """The one picture of a run, (H, W, C), uint8."""
        images = [i for o in entry["outputs"].values() for i in o.get("images", [])]
        [image] = [image for image in images if image["type"] == "output"]
        path = self.base / "output" / image["subfolder"] / image["filename"]
        return np.asarray(Image.open(path))

    def probed(self, name: str) -> np.ndarray:
        """What the probe ``name`` saw, (B, H, W, C), float32."""
        return np.load(self.base / "output" / f"{name}.npy")


def file_name(path: Path) -> str:
    return re.sub(r"_\d{5}_?$", "", path.stem)


def frames_of(path: Path) -> list[np.ndarray]:
    if path.suffix == ".mp4":
        return list(read_frames(path))
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def widget_names(info: dict[str, Any]) -> Iterator[str | None]:
    """Inputs that the page shows as widgets, in order; None for one that nodes do not get."""
    for section in ("required", "optional"):
        for name in info["input_order"].get(section, []):
            kind, *rest = info["input"][section][name]
            options = rest[0] if rest else {}
            is_widget = isinstance(kind, list) or kind in (
                *("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", DYNAMIC_COMBO),
            )
            if is_widget and not options.get("forceInput"):
                yield name
                if options.get("control_after_generate") or options.get("image_upload"):
                    yield None


def api_graph(workflow: dict[str, Any], object_info: dict[str, Any]) -> Graph:
    """A workflow as a page saves it, in the form that /prompt takes.

    Nodes that the server does not know must be notes: the page alone draws those.
    """
    origins = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    graph: Graph = {}
    for node in workflow["nodes"]:
        if node["type"] in ("Note", "MarkdownNote"):
            continue
        assert node["type"] in object_info, f"missing node {node['type']}"
        names, values = list(widget_names(object_info[node["type"]])), node["widgets_values"]
        # Newer versions add widgets, which get their defaults.
        assert len(values) <= len(names)
        inputs = {n: v for n, v in zip(names, values) if n}
        for slot in node["inputs"]:
            if slot["link"] is not None:
                inputs[slot["name"]] = origins[slot["link"]]
        graph[str(node["id"])] = {
            "class_type": node["type"],
            "inputs": inputs,
            "_meta": {"title": node.get("title", "")},
        }
    return graph


def ids_of(graph: Graph, class_type: str) -> list[str]:
    return [number for number, node in graph.items() if node["class_type"] == class_type]


def add_node(graph: Graph, class_type: str, **inputs: Any) -> list[Any]:
    """Add a node; returns the link to its first output."""
    number = str(max(map(int, graph)) + 1)
    graph[number] = {"class_type": class_type, "inputs": inputs}
    return [number, 0]


def soft_picture(height: int, width: int, *, seed: int) -> Image.Image:
    """Smooth random colors with some grain, instead of a photograph."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    grain = random.normal(0, 8, (height, width, 1))
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def save_demo_pictures(folder: Path) -> None:
    """A landscape and two paintings, small; the second is the first in other colors."""
    landscape = DemoLandscape(DEMO_SIZE).read(Rectangle(0, 0, *DEMO_SIZE))
    painting = demo_painting((384, 384))
    pictures = {"landscape": landscape, "painting": painting, "painting_2": painting.roll(1, 0)}
    for name, picture in pictures.items():
        pixels = (
            picture if picture.dtype == torch.uint8 else (picture * 255).round().to(torch.uint8)
        )
        Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(folder / f"{name}.png")


def save_upscale_model(path: Path) -> None:
    """A random 2x model of the compact kind (convolutions, PReLU, pixel shuffle): seven layers."""
    generator = torch.Generator().manual_seed(5)
    widths = [3, 24, 24, 24, 3 * 2 * 2]
    state: dict[str, torch.Tensor] = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        noise = torch.randn(outputs, inputs, 3, 3, generator=generator)
        state[f"body.{2 * layer}.weight"] = noise * (0.3 / inputs**0.5)
        state[f"body.{2 * layer}.bias"] = torch.zeros(outputs)
        if outputs == 24:
            state[f"body.{2 * layer + 1}.weight"] = torch.full((outputs,), 0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)


def save_bank(path: Path) -> None:
    """Random weights of a network with three built-in styles."""
    torch.manual_seed(6)
    state = ConditionalNormalization(3, (8, 8, 8, 4, 4)).state_dict()
    banks = {name for name in state if name.endswith((".gamma", ".beta"))}
    save_file({n: torch.rand_like(v) if n in banks else v for n, v in state.items()}, path)


def add_published_weights(manifest: Path, hub: FakeHub) -> None:
    """The embedded weights once more, as ``microast-hub`` in a repository."""
    content = (ROOT / "urst_core" / "data" / "microast_default.safetensors").read_bytes()
    written = json.loads(manifest.read_text(encoding="utf-8"))
    entry = {key: value for key, value in written["weights"][0].items() if key != "embedded"}
    file = {"path": "a.safetensors", "bytes": len(content), "sha256": sha256(content)}
    revision = hub.commit("owner/weights", {"a.safetensors": content})
    home = {"repo_id": "owner/weights", "revision": revision, "files": [file]}
    written["weights"].append(entry | {"variant": "hub"} | home)
    manifest.write_text(json.dumps(written), encoding="utf-8")


def fill_base(base: Path, hub: FakeHub) -> None:
    """What a user's ComfyUI folder holds: the pack, pictures, models."""
    pack = base / "custom_nodes" / "urst"
    pack.mkdir(parents=True)
    for name in ("__init__.py", "pyproject.toml", "weights_manifest.json"):
        shutil.copy(ROOT / name, pack)
    add_published_weights(pack / "weights_manifest.json", hub)
    for name in PUBLISHED:
        shutil.copytree(ROOT / name, pack / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("probe_node.py"), base / "custom_nodes")
    pictures = base / "input"
    pictures.mkdir()
    soft_picture(720, 1080, seed=1).save(pictures / "example.png")
    soft_picture(200, 300, seed=3).save(pictures / "small.png")
    soft_picture(400, 500, seed=2).save(pictures / "style.png")
    save_demo_pictures(pictures)
    save_clip(pictures / CLIP, moving_frames(6, (96, 144)))
    save_upscale_model(base / "models" / "upscale_models" / UPSCALE_MODEL)
    weights = base / "models" / "urst"
    weights.mkdir()
    shutil.copy(
        ROOT / "urst_core" / "data" / "microast_default.safetensors", weights / "mine.safetensors"
    )
    save_bank(weights / BANK)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    checkout = os.environ.get("COMFYUI_DIR")
    if not checkout:
        pytest.skip("COMFYUI_DIR names no checkout of ComfyUI")
    base = tmp_path_factory.mktemp("comfyui")
    with running_hub() as hub:
        fill_base(base, hub)
        running = Server(Path(checkout), base, hub)
        try:
            running.wait_until_up()
            yield running
        finally:
            running.stop()


@pytest.fixture
def graph_of(server: Server):
    """A workflow file as a graph for /prompt, with the pictures and models of this server."""

    def build(
        name: str,
        *,
        content: str = "example.png",
        style: str = "style.png",
        other_style: str = "style.png",
    ) -> Graph:
        workflow = fitted_workflow(name, content, style, other_style)
        return api_graph(workflow, server.object_info)

    return build


def fitted_workflow(name: str, content: str, style: str, other_style: str) -> dict[str, Any]:
    """The file of a workflow, with pictures and models that this server has."""
    path = ROOT / "workflows" / f"{TEMPLATES[name]}.json"
    workflow = json.loads(path.read_text(encoding="utf-8"))
    pictures = {
        "content": content,
        "style": style,
        "style inside": style,
        "style outside": other_style,
    }
    for node in workflow["nodes"]:
        if node["type"] == "LoadImage":
            node["widgets_values"][0] = pictures[node["title"].split(" · ")[0]]
        elif node["type"] == "UpscaleModelLoader":
            node["widgets_values"][0] = UPSCALE_MODEL
        elif node["type"] in ("LoadVideo", "URSTStylizeVideoFile"):
            node["widgets_values"][0] = CLIP
        elif node["type"] == "URSTStylizeFile":
            node["widgets_values"][0] = content
    return workflow


@pytest.fixture(scope="session")
def workflow_with():
    """A workflow file as a page saves it, with other pictures."""
    return fitted_workflow


@pytest.fixture(scope="session")
def engine_results(server: Server):
    """What the engine makes of the demo's pictures, by workflow."""
    inputs = server.base / "input"
    content, style, other = (
        read_picture(inputs / f"{name}.png") for name in ("landscape", "painting", "painting_2")
    )
    pictures = {"content": content, "style": style, "style inside": style, "style outside": other}
    pictures["clip"] = inputs / CLIP
    pictures["frames"] = lambda: loaded_frames(server, CLIP)
    model = load_file(server.base / "models" / "upscale_models" / UPSCALE_MODEL)

    @functools.cache
    def compute(name: str) -> dict[str, np.ndarray]:
        return RESULTS[name](pictures, lambda batch: enlarged(batch, model))

    return compute


def loaded_frames(server: Server, name: str) -> np.ndarray:
    """The frames of a video as ComfyUI loads them: versions read colors differently."""
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": name}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {"class_type": "URSTTestProbe", "inputs": {"image": ["2", 0], "name": "frames"}},
    }
    server.run(graph)
    return server.probed("frames")


@pytest.fixture(scope="session")
def core_nodes() -> Iterator[Any]:
    """What the tool that writes workflows knows of ComfyUI's own nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        yield importlib.import_module("core_nodes").CORE_NODES


@pytest.fixture
def tools():
    """The helpers of this file that tests call; conftest files cannot be imported by name."""
    return {"add_node": add_node, "ids_of": ids_of}
